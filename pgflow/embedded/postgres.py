"""A PostgreSQL server that belongs to this process, with its data in a directory.

Files below `directory`: `postgres/` (the data), `postgres.log`, `password`, `port`, `lock`, and `location` when the
data had to go elsewhere. What holds at every moment, whichever process was killed in the meantime:

* `postgres/` is either absent or complete: `initdb` works in a staging directory, which is renamed at the end.
* The server is ready when `postmaster.pid` says so *with our child's pid*: a killed server leaves a file behind that
  says ready, too.
* Every connection needs the password, also on this machine: its other users must not get in.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, ClassVar

from pgflow.embedded.account import User
from pgflow.embedded.binaries import find_binaries, runnable_postgres
from pgflow.embedded.cluster import Cluster
from pgflow.embedded.directory import kept_password, reachable_home
from pgflow.embedded.server import EmbeddedServer
from pgflow.errors import EmbeddedError

SOCKET_PATH_LIMIT = 100
LIBRARY_PLACES = ("lib", "lib/postgresql", "lib64/pgsql")  # as different installations have it
DEFAULTS = {
    "shared_buffers": "256MB",
    "max_connections": "200",
    "wal_level": "replica",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server of our own, for development and tests.

    Args:
        directory: where everything is kept; created when missing, used again when not.
        durable: whether commits survive a power cut; False is faster, for tests.
        port: the port on 127.0.0.1; by default a free one, and the same again at the next start if it is still free.
        settings: server settings, which win over pgflow's own.
        binaries: the directory with `postgres` and `initdb`; by default `find_binaries()`.

    Attributes:
        data_directory: where the data really is: `directory/postgres`, or elsewhere when pgflow runs as root and
            the account it drops to cannot get there.

    Example:
        >>> with EmbeddedPostgres(Path(".pgflow")) as server:  # doctest: +SKIP
        ...     psycopg.connect(server.url)
    """

    product: ClassVar[str] = "PostgreSQL"
    start_timeout: ClassVar[float] = 30.0

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = True,
        port: int | None = None,
        settings: Mapping[str, str] = {},
        binaries: Path | None = None,
    ) -> None:
        super().__init__(directory, port=port, lock="lock", port_memory="port", log="postgres.log")
        self.durable = durable
        self.settings = dict(settings)
        self.data_directory = self.directory / "postgres"
        self._binaries = binaries
        self._cluster: Cluster | None = None
        self._password = ""

    @property
    def url(self) -> str:
        """How to connect to its database `postgres` as superuser; contains the password."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/postgres"

    @property
    def bindir(self) -> Path:
        """The programs in use: `psql`, `pg_dump` and the others."""
        return self._served.bindir

    @property
    def socket_directory(self) -> Path | None:
        """Where its Unix socket is; None when the path would be too long for one."""
        longest = len(os.fsencode(self.data_directory / ".s.PGSQL.65535"))
        return self.data_directory if os.name == "posix" and longest <= SOCKET_PATH_LIMIT else None

    @property
    def _served(self) -> Cluster:
        if self._cluster is None:
            raise self._not_started()
        return self._cluster

    def _prepare(self, user: User | None) -> None:
        bindir, version = runnable_postgres(self._binaries or find_binaries(), user)
        self.data_directory = reachable_home(self.directory, user) / "postgres"
        cluster = self._cluster = Cluster(self.data_directory, bindir, version, user)
        cluster.clear_leftovers()
        password_file = self.directory / "password"
        if cluster.exists:
            cluster.check()
            if not password_file.exists():
                raise EmbeddedError(
                    f"the password of the data in {self.data_directory} is lost: there is no {password_file}",
                    hint="put that file back, or remove the data to start empty",
                )
            self._password = kept_password(password_file)
            cluster.stop_orphans()
        else:
            self._password = kept_password(password_file)
            cluster.create(self._password, sync=self.durable)

    def _launch(self, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        sockets = {"unix_socket_directories": str(self.socket_directory or "")} if os.name == "posix" else {}
        libraries = [self.bindir.parent / place for place in LIBRARY_PLACES]
        has_statistics = any(any(place.glob("pg_stat_statements.*")) for place in libraries)
        settings = {
            **DEFAULTS,
            **({"shared_preload_libraries": "pg_stat_statements"} if has_statistics else {}),
            **({} if self.durable else NOT_DURABLE),
            **self.settings,
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            **sockets,
        }
        return self._served.launch(settings, log)

    def _ready(self, port: int) -> bool:  # noqa: ARG002
        return self._served.ready(self.pid)

    def _request_stop(self) -> None:
        if sys.platform == "win32":
            subprocess.run([self.bindir / "pg_ctl", "kill", "INT", str(self.pid)], capture_output=True, check=False)
        else:
            os.kill(self.pid, signal.SIGINT)
