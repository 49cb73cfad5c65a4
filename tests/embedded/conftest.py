from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pgflow.embedded import directory as embedded_directory
from pgflow.embedded.process import wait_until

REPOSITORY = Path(__file__).parents[2]


class Owner:
    """Another process that has started an embedded server and waits to be killed."""

    def __init__(self, process: subprocess.Popen[str], server_pid: int) -> None:
        self.process = process
        self.pid = process.pid
        self.server_pid = server_pid

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def ends(pid: int) -> bool:
    return wait_until(lambda: not alive(pid), 60)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that every account can enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="pgflow-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def public(reachable: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stand-ins and copies go instead of the machine's own place for them."""
    path = reachable / "public"
    path.mkdir()
    path.chmod(0o755)
    monkeypatch.setattr(embedded_directory, "PUBLIC", path)
    return path


@contextmanager
def owner_of(server: str, before: str = "") -> Iterator[Owner]:
    """Run `server` (an expression) in a process of its own, after the statements in `before`."""
    script = f"""
import sys
from pathlib import Path
from pgflow.embedded import EmbeddedPostgres, EmbeddedValkey, process
{before}
server = {server}
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, start_new_session=True
    ) as child:
        server_pid = 0
        try:
            assert child.stdout is not None
            server_pid = int(child.stdout.readline())
            yield Owner(child, server_pid)
        finally:
            child.kill()
            if server_pid and not wait_until(lambda: not alive(server_pid), 2):
                with suppress(ProcessLookupError):
                    os.kill(server_pid, signal.SIGKILL)


# The kernel's promise is what usually prevents orphans; elsewhere than on Linux there is none.
WITHOUT_DEATH_SIGNAL = "process.die_with_parent = lambda death_signal: None"
