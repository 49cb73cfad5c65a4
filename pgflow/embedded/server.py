"""The life of an embedded server: one owner per directory, a port, ready before `start` returns, gone after `stop`.

`EmbeddedPostgres` and `EmbeddedValkey` say what to run and when it is ready; the order of things is here. It begins
with the lock of the directory: only its holder touches what is there. Hence a server that runs there without us is an
orphan, to be stopped and not adopted: one that is not our child can neither be reaped nor be trusted to end with us.
"""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Self

from pgflow.embedded import process
from pgflow.embedded.account import User, unprivileged_user
from pgflow.embedded.directory import make_home, open_log, read_log, write_privately
from pgflow.embedded.lock import DirectoryLock
from pgflow.embedded.port import free_port, kept_port, port_is_free
from pgflow.errors import EmbeddedError

STOP_TIMEOUT = 10.0
PORT_ATTEMPTS = 5


class EmbeddedServer(ABC):
    """What the embedded servers have in common; see `EmbeddedPostgres`."""

    product: ClassVar[str]
    start_timeout: ClassVar[float]
    bind_failure: ClassVar[str] = "Address already in use"

    def __init__(self, directory: Path, *, port: int | None, lock: str, port_memory: str, log: str) -> None:
        self.directory = Path(directory).absolute()
        self._wanted_port = port
        self._lock = DirectoryLock(self.directory / lock)
        self._port_memory = self.directory / port_memory
        self._log = self.directory / log
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None

    @property
    def running(self) -> bool:
        """Whether the server process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def port(self) -> int:
        """The port on 127.0.0.1.

        Raises:
            EmbeddedError: the server was never started; so do `pid` and `url`.
        """
        if self._port is None:
            raise self._not_started()
        return self._port

    @property
    def pid(self) -> int:
        """The process id of the server."""
        if self._process is None:
            raise self._not_started()
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it accepts connections; a running one is left alone.

        Raises:
            EmbeddedError: another process serves this directory, the port is taken, there is no server program, or
                it did not start; then the message holds the end of its log.
        """
        if self.running:
            return
        user = unprivileged_user()
        try:
            make_home(self.directory, user)
            self._lock.acquire()
            self._prepare(user)
            self._start_on_some_port()
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise EmbeddedError(f"cannot start {self.product} in {self.directory}: {error}") from error
            raise

    def stop(self) -> None:
        """Shut down in order; after 10 seconds, kill. Stopping a stopped server is a no-op."""
        if self._process is not None:
            process.end(self._process, self._request_stop, STOP_TIMEOUT)
        self._lock.release()

    def kill(self) -> None:
        """Kill the server as a crash would; it can be started again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def _prepare(self, user: User | None) -> None:
        """Find the programs, stop orphans, and make what the server needs on disk."""

    @abstractmethod
    def _launch(self, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]: ...

    @abstractmethod
    def _ready(self, port: int) -> bool:
        """Whether our own child, and not something else, accepts connections."""

    @abstractmethod
    def _request_stop(self) -> None: ...

    def _start_on_some_port(self) -> None:
        for port in self._ports_to_try():
            with open_log(self._log) as log:
                start_of_log = log.tell()
                self._process = self._launch(port, log)
            if self._becomes_ready(port):
                self._port = port
                write_privately(self._port_memory, str(port))
                return
            said = read_log(self._log, start_of_log)
            if self.running or self.bind_failure not in said:
                raise EmbeddedError(
                    f"{self.product} did not start in {self.directory}; its log ends with:\n{said[-2000:]}",
                    hint=f"the whole log is {self._log}",
                )
        raise self._no_port()

    def _becomes_ready(self, port: int) -> bool:
        settled = process.wait_until(lambda: not self.running or self._ready(port), self.start_timeout)
        return settled and self.running

    def _ports_to_try(self) -> Iterator[int]:
        """The port asked for, if any; else the one used last, when it is still free, then a few free ones."""
        if self._wanted_port is not None:
            if port_is_free(self._wanted_port):
                yield self._wanted_port
            return
        remembered = kept_port(self._port_memory)
        if remembered is not None and port_is_free(remembered):
            yield remembered
        for _ in range(PORT_ATTEMPTS):
            yield free_port()

    def _no_port(self) -> EmbeddedError:
        if self._wanted_port is None:
            return EmbeddedError(f"{self.product} found no free port on 127.0.0.1")
        return EmbeddedError(
            f"port {self._wanted_port} of 127.0.0.1 is already taken, so {self.product} cannot listen there",
            hint="give another `port`, or none to have a free one chosen",
        )

    def _not_started(self) -> EmbeddedError:
        return EmbeddedError(f"{self.product} was not started in {self.directory}", hint="call start() first")
