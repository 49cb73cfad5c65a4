"""The worker under test: a real `pgflow worker` process, started as a person would start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from bench import cpu
from pgflow.config import Settings

APPS = Path(__file__).parent / "apps.py"
HOME = Path(__file__).parents[1]


class Worker:
    """A worker with its executors.

    Args:
        settings: where it works.
        concurrency: handlers at once.
        environment: more `PGFLOW_*` settings.
    """

    def __init__(self, settings: Settings, concurrency: int = 100, environment: Mapping[str, str] = {}) -> None:
        self.options = ["-p", "1", "-c", str(concurrency)]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed when it ends)
        self._url = settings.require_url()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pgflow", "worker", str(APPS), "--log-format", "console", *self.options],
            env={**os.environ, "PGFLOW_DATABASE_URL": self._url, "PYTHONPATH": str(HOME), **environment},
            stdout=subprocess.DEVNULL, stderr=self._log, cwd=HOME,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def executor(self) -> int:
        """The executor's process id."""
        return cpu.children(self.pid)[0]

    def wait_registered(self, connection: psycopg.Connection[Any], timeout: float = 30.0) -> None:
        """Wait until its executor is known to the database.

        Raises:
            RuntimeError: it ended, or took too long; with what it logged.
        """
        deadline = time.monotonic() + timeout
        pids: list[int] = []
        while not pids:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the worker did not start:\n{self.log()}")
            time.sleep(0.002)
            rows = connection.execute("select pid from pgflow.worker where closed_at is null").fetchall()
            pids = [pid for (pid,) in rows if pid in cpu.children(self.pid)]

    def stop(self) -> None:
        """Drain, and wait for its end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def kill(self) -> None:
        """End it all at once, as a power cut would: the supervisor first, which takes its executors along."""
        self._process.kill()
        self._process.wait(10)

    def log(self) -> str:
        """What it logged."""
        self._log.seek(0)
        return self._log.read()[-4000:]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: TracebackType | BaseException | None) -> None:
        try:
            if kind is None:
                self.stop()
            else:
                self.kill()
        finally:
            self._log.close()
