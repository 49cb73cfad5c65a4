"""A PostgreSQL data directory: made wholly or not at all, served by one process, freed from what a crash left."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from pgflow.embedded import process
from pgflow.embedded.account import User, as_user
from pgflow.embedded.directory import write_privately
from pgflow.embedded.identity import commands
from pgflow.errors import EmbeddedError

STOP_TIMEOUT = 10.0


class Cluster:
    """The data directory, and the programs and the account that serve it."""

    def __init__(self, data: Path, bindir: Path, version: int, user: User | None) -> None:
        self.data = data
        self.bindir = bindir
        self.version = version
        self.user = user
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))} | {"LC_ALL": "C"}

    @property
    def name(self) -> str:
        """A name that shows in the command line of the server and in the titles of all its processes.

        So they can be told from those of other directories, even when the server is dead and they are not. It is
        of the directory itself rather than of its path, which means another directory in another container.
        """
        stat = self.data.stat()
        return "pgflow-" + hashlib.sha256(f"{stat.st_dev}:{stat.st_ino}".encode()).hexdigest()[:16]

    @property
    def exists(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def check(self) -> None:
        """Raises: EmbeddedError when the data is of another PostgreSQL version or of another account."""
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != str(self.version):
            raise EmbeddedError(
                f"the data in {self.data} was made by PostgreSQL {made_by}, but this is PostgreSQL {self.version}",
                hint="remove the directory to start empty, or use the programs of that version",
            )
        owner = self.user.uid if self.user else os.geteuid() if os.name == "posix" else 0
        if os.name == "posix" and self.data.stat().st_uid != owner:
            raise EmbeddedError(
                f"the data in {self.data} belongs to user id {self.data.stat().st_uid}, "
                f"but PostgreSQL would run as user id {owner}",
                hint="run as the user who created it, or choose another directory",
            )

    def clear_leftovers(self) -> None:
        """Remove what interrupted calls of `create` left."""
        for leftover in self.data.parent.glob("initdb-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def create(self, password: str, *, sync: bool) -> None:
        """Make an empty cluster, wholly or not at all."""
        staging = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.data.parent))
        try:
            password_file = staging / "password"
            write_privately(password_file, password)
            if self.user:
                for path in (staging, password_file):
                    os.chown(path, self.user.uid, self.user.gid)
            self._initdb(staging / "postgres", password_file, sync=sync)
            (staging / "postgres").rename(self.data)
            if sync:
                sync_directory(self.data.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _initdb(self, data: Path, password_file: Path, *, sync: bool) -> None:
        # The builtin provider sorts alike everywhere; the C library's C.UTF-8 is not there everywhere.
        provider = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self.version >= 17 else []
        command = [str(self.bindir / "initdb"), f"--pgdata={data}", "--encoding=UTF8", *provider, "--locale=C"]
        command += ["--username=postgres", f"--pwfile={password_file}", "--auth=scram-sha-256"]
        command += [] if sync else ["--no-sync"]
        answer = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=data.parent,
            env=self.environment,
            **as_user(self.user),
        )
        if answer.returncode != 0:
            said = answer.stdout.decode("utf-8", "replace")[-2000:]
            raise EmbeddedError(f"initdb could not make a database cluster in {self.data.parent}:\n{said}")

    def launch(self, options: Mapping[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        arguments = [f"--{name}={value}" for name, value in {**options, "cluster_name": self.name}.items()]
        return process.launch(
            [self.bindir / "postgres", "-D", self.data, *arguments],
            output=log,
            cwd=self.data,
            user=self.user,
            death_signal=signal.SIGINT,
            environment=self.environment,
        )

    def ready(self, pid: int) -> bool:
        """Whether our own server accepts connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def stop_orphans(self) -> None:
        """Stop what still serves this data although nobody owns it, and remove the trace of what is dead.

        Raises:
            EmbeddedError: it cannot be stopped.
        """
        for pid, command in self._processes():
            if not command.startswith("postgres: "):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGINT)
        if not process.wait_until(lambda: not self._processes(), STOP_TIMEOUT, 0.02):
            for pid, _ in self._processes():
                with contextlib.suppress(OSError):
                    os.kill(pid, process.KILL)
            if not process.wait_until(lambda: not self._processes(), STOP_TIMEOUT, 0.02):
                left = ", ".join(str(pid) for pid, _ in self._processes())
                raise EmbeddedError(f"cannot stop the PostgreSQL that still serves {self.data} (pid {left})")
        self._remove_stale_lock_file()

    def _processes(self) -> list[tuple[int, str]]:
        """The processes that serve this data: the server, and those that have not noticed its death yet."""
        server, title = f" --cluster_name={self.name}", f"postgres: {self.name}: "
        return [(pid, line) for pid, line in commands() if line.startswith(title) or server in line]

    def _remove_stale_lock_file(self) -> None:
        """PostgreSQL would not start if a zombie, or a stranger, had the process id in its lock file.

        When a PostgreSQL has it, somebody started one by hand, and the lock file does its duty.
        """
        lock_file = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(lock_file.read_text().split()[0])
            if os.name == "posix" and not re.match(r"(.*/)?postgres(:| -|$)", dict(commands()).get(pid, "")):
                lock_file.unlink()


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
