"""One database server for the whole test session; tests make their own databases on it.

Which server, in this order: the one at PGFLOW_TEST_DATABASE_URL; a container, when PGFLOW_TEST_CONTAINERS=1 and a
Docker engine answers; the embedded one, with the binaries of PGFLOW_TEST_PG if set (as in /usr/lib/postgresql/15/bin).

With xdist the controller starts it before its workers, which find its URL in their environment. Without xdist it is
started by the first test that asks, so a run of pure tests needs no database at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

# Every other fixture lives in tests/fixtures/, one subject a module; each module is named here.
pytest_plugins: list[str] = [
    "tests.fixtures.database",
    "tests.fixtures.workers",
    "tests.fixtures.valkey",
    "tests.fixtures.hooks",
]

URL = "PGFLOW_TEST_DATABASE_URL"
WHY_NOT = "PGFLOW_TEST_DATABASE_ERROR"
PREFIX = "pgflow-tests-"


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


@contextmanager
def _embedded() -> Iterator[str]:
    from pgflow.embedded.postgres import EmbeddedPostgres

    _sweep()
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    directory.chmod(0o755)  # as root, the server runs under another account, which has to get in
    binaries = os.environ.get("PGFLOW_TEST_PG")
    try:
        with EmbeddedPostgres(directory, durable=False, binaries=Path(binaries) if binaries else None) as server:
            yield server.url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _sweep() -> None:
    """Remove what killed sessions left. Their servers died with them; who still runs holds its lock."""
    from pgflow.embedded.lock import DirectoryLock
    from pgflow.errors import EmbeddedError

    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, EmbeddedError):
            if time.time() - directory.stat().st_mtime > 3600:  # a younger one may be about to take its lock
                lock = DirectoryLock(directory / "lock")
                lock.acquire()
                shutil.rmtree(directory, ignore_errors=True)
                lock.release()


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
