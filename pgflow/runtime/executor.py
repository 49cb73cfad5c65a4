"""The executor: the process that runs handlers. Fetcher, runner and settler around one event loop.

It is a child of a supervisor, which renews its lease from outside, so that a handler which blocks the loop or holds
the GIL loses nothing. It lives and dies with one worker id: when the id was reaped, the supervisor ends the process
and starts another.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from typing import Any

import structlog

from pgflow import __version__, logs
from pgflow.config import Settings
from pgflow.db.failures import first_line, is_passing
from pgflow.engine import workers
from pgflow.engine.workflows import define
from pgflow.errors import PgflowError
from pgflow.model import Claimed, Lane
from pgflow.process import die_with_parent
from pgflow.redaction import redact
from pgflow.runtime.blame import Cells
from pgflow.runtime.fetcher import Fetcher
from pgflow.runtime.floors import Floors
from pgflow.runtime.lanes import LaneOrder
from pgflow.runtime.protocol import Line, Message
from pgflow.runtime.runner import Runner
from pgflow.runtime.settler import Settler
from pgflow.runtime.workflows import Workflows
from pgflow.sdk import loading
from pgflow.sdk.registry.declared import declared
from pgflow.sdk.secret import serve
from pgflow.sdk.task import Task
from pgflow.sdk.worker_vault import WorkerVault
from pgflow.sdk.workflow import Workflow
from pgflow.tasks import QUEUES, OwnTasks

log = structlog.get_logger("pgflow")

DEFAULT = "default"
"""The queue of tasks that were given none."""
PULSE = 1.0
IDLE_PULSE = 4.0
"""Less than the silence after which the heart takes an executor for blocked."""
STALE_BACKLOG = 3.0
"""Seconds after which prefetched tasks that no slot has taken are given back to other workers."""


class Executor:
    """One worker: claims, runs and settles until drained.

    Args:
        settings: the settings in force.
        tasks: what it has code for.
        weights: the queues it serves, with their weights; all queues of its tasks when empty.
        concurrency: how many handlers at once.
        running: a cell a slot, for whoever wants to know what ran when this process died.
        besides: queues that it serves beside those of its tasks.
    """

    def __init__(
        self, settings: Settings, tasks: Mapping[str, Task[..., Any]], weights: Mapping[str, float], concurrency: int,
        running: memoryview | None = None, besides: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self.settings = settings
        self.worker_id = secrets.randbits(62)
        own = dict.fromkeys([*(task.queue for task in tasks.values()), *besides] or [DEFAULT], 1.0)
        queues = dict(weights) or own
        queues |= dict.fromkeys(QUEUES, 1.0)
        self._own = OwnTasks(settings)
        self._own.library.queues = {name: task.queue for name, task in tasks.items() if task.queue != DEFAULT}
        tasks = {**self._own.tasks, **tasks}
        self.lanes = LaneOrder(queues)
        self.floors = Floors()
        self.settler = Settler(settings, self.worker_id)
        self.workflows = Workflows(settings, tasks, self.settler, self.worker_id, self._fetch_input)
        self.runner = Runner(
            tasks, self.settler, concurrency=concurrency, worker_id=self.worker_id,
            max_crashes=settings.max_crashes, cells=running,
            inputs=self._fetch_input, workflows=self.workflows, resolve=self._own.library.workflow,
            on_room=self._on_room,
        )  # fmt: skip
        self.fetcher = Fetcher(settings, self.worker_id, self.lanes, self.runner, self.settler, self.floors)
        self._vault = WorkerVault(settings)
        self._tasks = tasks
        self._loops: list[asyncio.Task[None]] = []

    async def _fetch_input(self, claimed: Claimed) -> dict[str, Any]:
        return await self.fetcher.fetch_input(claimed)

    def _on_room(self) -> None:
        self.fetcher.wake()

    async def register(self) -> None:
        """Make the worker known; before anything is claimed."""
        await self.settler.link.run(
            workers.register(
                self.worker_id, host=socket.gethostname(), pid=os.getpid(), version=__version__,
                queues=self.lanes.queues, tasks=sorted(self._tasks), concurrency=self.runner.concurrency,
                lease=self.settings.lease,
            )
        )  # fmt: skip
        known = [task for name, task in self._tasks.items() if name not in self._own.tasks]
        definitions = [task.definition() for task in known if isinstance(task, Workflow)]
        if definitions:
            await self.settler.link.run(define(definitions))

    async def declare(self) -> None:
        """Bring what the code declares beside its tasks to the database."""
        if calls := declared(self._tasks):
            await self.settler.link.run_together(calls)

    def start(self) -> None:
        """Begin to claim."""
        context = copy_context()
        context.run(serve, self._vault)
        self._loops = [asyncio.create_task(service.run(), context=context) for service in (self.fetcher, self.settler)]

    async def wait(self) -> None:
        """Until a loop ends, which it does by itself only by an error."""
        done, _ = await asyncio.wait(self._loops, return_when=asyncio.FIRST_COMPLETED)
        for loop in done:
            loop.result()

    async def drain(self, seconds: float) -> None:
        """Stop claiming, finish or release what is in hand, commit all that is known."""
        self.fetcher.finish()
        await asyncio.wait(self._loops[:1])
        await self.runner.drain(seconds)
        await self.settler.drained()
        await self.workflows.close()
        await self._own.close()
        self._vault.close()
        self.settler.finish()
        await asyncio.gather(*self._loops, return_exceptions=True)

    def take(self, answer: Mapping[str, Any]) -> None:
        """Take over what the database said to the heart's last beat."""
        self.floors.learn_safe({Lane(queue, priority): seq for queue, priority, seq in answer["safe"]})
        paused = frozenset(answer["paused"])
        if paused != self.lanes.paused:
            self.lanes.paused = paused
            self.fetcher.wake()

    def pulse(self) -> dict[str, Any]:
        """What the heart should know."""
        runner = self.runner
        if runner.backlog and asyncio.get_running_loop().time() - runner.backlog_since > STALE_BACKLOG:
            runner.give_back()
        return {"running": runner.in_hand, "floors": self.floors.published(self.lanes.queues)}


async def _serve(line: Line, shared: int) -> None:
    setup = await line.hear()
    if setup is None:
        return
    settings = Settings(**setup["settings"])
    logs.guard()
    logs.configure(setup["log_format"])
    try:
        tasks = loading.load(setup["targets"])
        for task in tasks.values():
            task.signature.prepare()  # what cannot be stored is found now, not after a handler ran
    except PgflowError as error:
        line.say("failed", error=redact(str(error)))
        await asyncio.sleep(0.1)
        return
    cells = Cells(shared, setup["concurrency"])
    executor = Executor(settings, tasks, setup["weights"], setup["concurrency"], cells.running, setup["besides"])
    while True:
        try:
            await executor.register()
            await executor.declare()
            break
        except Exception as error:
            if not (isinstance(error, PgflowError) or is_passing(error)):
                raise
            log.warning("cannot register yet", error=first_line(error))
            await asyncio.sleep(1.0)
    line.say(
        "hello",
        worker_id=executor.worker_id,
        queues=executor.lanes.queues,
        tasks=sorted(tasks),
        plain=[name for name, task in tasks.items() if not task.signature.required],
    )
    executor.start()
    gc.freeze()  # what was imported stays: the collector need not walk it again
    gc.set_threshold(20_000, 20, 50)  # a batch makes thousands of short-lived objects, and hardly ever a cycle

    draining = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, draining.set)
    talk = asyncio.create_task(_listen(line, executor, draining))
    beat = asyncio.create_task(_pulse(line, executor))
    failed = asyncio.create_task(executor.wait())
    drain = asyncio.create_task(draining.wait())
    done, _ = await asyncio.wait({talk, failed, drain}, return_when=asyncio.FIRST_COMPLETED)
    if failed in done:
        failed.result()
    if drain in done:
        await executor.drain(settings.drain)
        line.say("bye", worker_id=executor.worker_id)
        await asyncio.sleep(0.05)
    beat.cancel()


async def _listen(line: Line, executor: Executor, draining: asyncio.Event) -> None:
    """Hear the supervisor; returns when it is gone."""
    while (message := await line.hear()) is not None:
        _obey(message, executor, draining)


def _obey(message: Message, executor: Executor, draining: asyncio.Event) -> None:
    match message["kind"]:
        case "answer":
            executor.take(message)
        case "cancel":
            executor.runner.cancel(message["task_id"], message["epoch"])
        case "drain":
            draining.set()


async def _pulse(line: Line, executor: Executor) -> None:
    told: dict[str, Any] = {}
    while True:
        pulse = executor.pulse()
        line.say("pulse", **pulse)
        calm, told = pulse == told and not pulse["running"], pulse
        await asyncio.sleep(IDLE_PULSE if calm else PULSE)


def main() -> None:
    """Entry point of the child process; its end of the line and the shared cells are file descriptors in argv."""
    die_with_parent()
    end = socket.socket(fileno=int(sys.argv[1]))

    async def run() -> None:
        await _serve(await Line.over(end), int(sys.argv[2]))

    if sys.platform == "win32":
        asyncio.run(run())
    else:
        import uvloop

        uvloop.run(run())
    # Threads of handlers that could not be interrupted must not keep the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
