"""Real worker processes for tests: started as a person would start them, ended by their ids."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from pgflow.config import Settings

APPS = Path(__file__).parent / "apps.py"


class WorkerProcess:
    """A `pgflow worker` with its executors."""

    def __init__(self, settings: Settings, *options: str, **environment: str) -> None:
        given = {"PGFLOW_DATABASE_URL": settings.require_url(), "PGFLOW_DRAIN": "5", **environment}
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by whoever ends the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pgflow", "worker", str(APPS), "--log-format", "console", *options],
            env={**os.environ, **given}, stdout=subprocess.DEVNULL, stderr=self._log, cwd="/",
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def executors(self) -> list[int]:
        """The process ids of its executors."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._log.close()

    def stop(self, wait: float = 20) -> str:
        """SIGTERM, wait, and what it logged."""
        if self._log.closed:
            return ""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(wait)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        with self._log:
            self._log.seek(0)
            return self._log.read()


@contextmanager
def worker(settings: Settings, *options: str, **environment: str) -> Iterator[WorkerProcess]:
    """A worker for the length of the block."""
    process = WorkerProcess(settings, *options, **environment)
    try:
        yield process
    finally:
        process.stop()


def until(condition: Callable[[], Any], seconds: float = 60.0, every: float = 0.02) -> Any:
    """Wait until the condition is truthy, and return what it gave; fail after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except psycopg.OperationalError:
            value = None
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(every)
