"""One database server for the whole test session; tests make their own databases on it.

Which server, in this order: the one at PGFLOW_TEST_DATABASE_URL; a container, when PGFLOW_TEST_CONTAINERS=1 and a
Docker engine answers; the embedded one, with the binaries of PGFLOW_TEST_PG if set (as in /usr/lib/postgresql/15/bin).

With xdist the controller starts it before its workers, which find its URL in their environment. Without xdist it is
started by the first test that asks, so a run of pure tests needs no database at all.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import hypothesis
import pytest

# No test is about how long it takes: on a busy machine any example may. And a change must not be blamed for an example
# that nobody has drawn before: each run of a commit draws the same ones, unless it is told to explore.
EXPLORE = "PGFLOW_TEST_EXPLORE"
hypothesis.settings.register_profile(
    "unhurried", hypothesis.settings(), deadline=None, derandomize=not os.environ.get(EXPLORE)
)
hypothesis.settings.load_profile("unhurried")

# Every other fixture lives in tests/fixtures/, one subject a module; each module is named here.
pytest_plugins: list[str] = [
    "tests.fixtures.database",
    "tests.fixtures.workers",
    "tests.fixtures.valkey",
    "tests.fixtures.hooks",
    "tests.fixtures.typing",
]

# Images of containers set this to stay small. Here each of some hundred processes would compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell starts what runs in its background deaf to this, and processes hand it on; some tests interrupt theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

URL = "PGFLOW_TEST_DATABASE_URL"
WHY_NOT = "PGFLOW_TEST_DATABASE_ERROR"


class DatabaseServer:
    """The session's server: started at most once, stopped by whoever started it."""

    def __init__(self) -> None:
        self._exit = ExitStack()

    def start(self) -> None:
        """Put its URL into the environment, or the reason why there is none."""
        if URL in os.environ or WHY_NOT in os.environ:
            return
        try:
            os.environ[URL] = self._exit.enter_context(_container() if _docker_is_wanted() else _embedded())
            self._exit.callback(os.environ.pop, URL, None)
        except Exception as error:  # noqa: BLE001 (reported by the first test that needs a database)
            # Tests that need no database shall run all the same; the others fail with this text.
            os.environ[WHY_NOT] = f"{type(error).__name__}: {error}"
            self._exit.callback(os.environ.pop, WHY_NOT, None)

    def stop(self) -> None:
        self._exit.close()


SERVER: pytest.StashKey[DatabaseServer] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    config.stash[SERVER] = DatabaseServer()
    if config.getoption("numprocesses", None) and not config.getoption("collectonly"):
        config.stash[SERVER].start()


def pytest_collection_finish() -> None:
    gc.freeze()  # thousands of tests stay to the end: no collection has to look through them again


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVER in config.stash:
        config.stash[SERVER].stop()


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of the server's maintenance database, as a superuser."""
    if SERVER in request.config.stash:
        request.config.stash[SERVER].start()
    if WHY_NOT in os.environ:
        pytest.fail(f"there is no database server to test on: {os.environ[WHY_NOT]}", pytrace=False)
    return os.environ[URL]


def _embedded() -> AbstractContextManager[str]:
    from pgflow.testing.database import embedded

    binaries = os.environ.get("PGFLOW_TEST_PG")
    return embedded(Path(binaries) if binaries else None)


def _docker_is_wanted() -> bool:
    return os.environ.get("PGFLOW_TEST_CONTAINERS") == "1" and _answers(_ping_docker)


def _ping_docker() -> None:
    import docker

    client = docker.from_env(timeout=3)
    try:
        client.ping()
    finally:
        client.close()


def _answers(probe: Callable[[], None]) -> bool:
    try:
        probe()
    except Exception:  # noqa: BLE001 (whatever is wrong with Docker, there is the embedded server)
        return False
    return True


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.community.postgres import PostgresContainer

    image = os.environ.get("PGFLOW_TEST_IMAGE", "postgres:18")
    with PostgresContainer(image, driver=None, dbname="postgres") as container:
        yield container.get_connection_url()
