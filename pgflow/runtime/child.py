"""A supervisor's view of one executor process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from pgflow.engine.workers import Answer, Pulse
from pgflow.runtime.blame import Cells, shared_file
from pgflow.runtime.protocol import Line, Message

log = structlog.get_logger("pgflow")


class Child:
    """One executor, from its start to its exit.

    Args:
        setup: the content of the first message.
        slots: how many handlers it runs at once.
        on_hello: called when it has registered.
    """

    def __init__(self, setup: Mapping[str, Any], slots: int, on_hello: Callable[[Child], None]) -> None:
        self._setup = setup
        self._slots = slots
        self._on_hello = on_hello
        self._process: asyncio.subprocess.Process | None = None
        self._line: Line | None = None
        self.worker_id: int | None = None
        self.tasks: list[str] = []
        self.queues: list[str] = []
        self.plain: list[str] = []
        """Tasks that can be started without arguments."""
        self.failure: str | None = None
        self.drained = False
        self.started_at = time.monotonic()
        self.heard_at = time.monotonic()
        self.running = 0
        self.last_running: list[int] = []
        """The tasks that ran when it exited."""
        self._floors: dict[str, list[int]] = {}

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def silence(self) -> float:
        """Seconds since it was last heard of."""
        return time.monotonic() - self.heard_at

    async def start(self) -> None:
        """Start the process and send it its setup."""
        ours, theirs = socket.socketpair()
        shared = shared_file(self._slots)
        self._cells = Cells(shared, self._slots)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "pgflow.runtime.executor", str(theirs.fileno()), str(shared),
                pass_fds=(theirs.fileno(), shared), stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        os.close(shared)
        self._line = await Line.over(ours)
        self._line.say("setup", **self._setup)

    async def watch(self) -> int:
        """Listen to it until it exits. Returns its exit status."""
        assert self._process is not None
        assert self._line is not None
        while (message := await self._line.hear()) is not None:
            self._take(message)
        self._line.close()
        status = await self._process.wait()
        self.last_running = self._cells.tasks()
        self._cells.close()
        return status

    def _take(self, message: Message) -> None:
        self.heard_at = time.monotonic()
        match message["kind"]:
            case "hello":
                self.worker_id = message["worker_id"]
                self.queues, self.tasks, self.plain = message["queues"], message["tasks"], message["plain"]
                self._on_hello(self)
            case "pulse":
                self.running, self._floors = message["running"], message["floors"]
            case "failed":
                self.failure = message["error"]
            case "bye":
                self.drained = True

    def pulse(self) -> Pulse | None:
        """What to tell the database about it; None while it is not registered."""
        return None if self.worker_id is None else Pulse(self.worker_id, self.running, self._floors)

    def answer(self, answer: Answer) -> None:
        """Pass on what the database said."""
        if self._line is not None:
            safe = [[lane.queue, lane.priority, seq] for lane, seq in answer.safe.items()]
            self._line.say("answer", safe=safe, paused=sorted(answer.paused))

    def cancel(self, task_id: int, epoch: int) -> None:
        """Have it interrupt a handler."""
        if self._line is not None:
            self._line.say("cancel", task_id=task_id, epoch=epoch)

    def drain(self) -> None:
        """Have it finish and exit."""
        if self._line is not None:
            self._line.say("drain")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
