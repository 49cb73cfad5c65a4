"""The runner: slots that take claimed tasks from a backlog and run their handlers.

A slot is one asyncio task that runs handler after handler, so a quick handler costs no task of its own. Async handlers
run on the loop, plain ones in a thread. A slot is free when the handler ends, not when its result is committed. A
handler that left a context variable changed costs its slot: the next task gets a fresh one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import structlog

from pgflow.codec import Signature
from pgflow.model import Claimed, Settlement, State
from pgflow.runtime.batch import Ending
from pgflow.runtime.settler import Settler
from pgflow.runtime.verdict import TimedOut, judge, policy_of
from pgflow.runtime.workflows import Workflows
from pgflow.sdk.attempt import CELL, Cell
from pgflow.sdk.replay import Replay
from pgflow.sdk.task import Task
from pgflow.sdk.workflow import Workflow

log = structlog.get_logger("pgflow")

UNKNOWN_TASK_DELAY = 15.0
"""Seconds after which a task that this worker has no code for is offered again: another worker may have it."""

Cells = list[int] | memoryview
Inputs = Callable[[Claimed], Awaitable[dict[str, Any]]]
Resolve = Callable[[str], Awaitable[Workflow[..., Any] | None]]


@dataclass(slots=True)
class Handler:
    """A task with all that running it needs, looked up once."""

    task: Task[..., Any]
    function: Callable[..., Any]
    signature: Signature
    is_async: bool
    workflow: Workflow[..., Any] | None

    @classmethod
    def of(cls, task: Task[..., Any]) -> Handler:
        """The handler of a task."""
        workflow = task if isinstance(task, Workflow) else None
        return cls(task, task.function, task.signature, task.is_async, workflow)


@dataclass(slots=True)
class Running:
    """A handler that is running."""

    claimed: Claimed
    slot: asyncio.Task[None]
    since: float
    cancelled: bool = False
    replay: Replay | None = None
    interrupted: bool = False

    def begin(self, replay: Replay) -> None:
        """It is a workflow, and this is its replay."""
        self.replay = replay
        replay.interrupted = self.interrupted


class Runner:
    """Runs claimed tasks in `concurrency` slots and hands what became of them to the settler.

    Args:
        tasks: what this worker has code for.
        settler: where results go.
        concurrency: how many handlers at once.
        worker_id: for `pgflow.current()`.
        max_crashes: worker deaths after which a task is dead-lettered.
        inputs: fetches an input that was too bulky to travel with its claim.
        workflows: runs those tasks that are workflows.
        resolve: finds a workflow that the database knows and the code does not.
        cells: a cell a slot, to say what runs there, for whoever looks after this process died.
        on_room: called when there may be room for more.
    """

    def __init__(
        self, tasks: Mapping[str, Task[..., Any]], settler: Settler, *, concurrency: int, worker_id: int,
        max_crashes: int, inputs: Inputs, workflows: Workflows, resolve: Resolve, cells: Cells | None = None,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._handlers = {name: Handler.of(task) for name, task in tasks.items()}
        self._settler = settler
        self.concurrency = concurrency
        self._worker_id = worker_id
        self._max_crashes = max_crashes
        self._inputs = inputs
        self._workflows = workflows
        self._resolve = resolve
        self._cells = [0] * concurrency if cells is None else cells
        self._free_cells = list(range(concurrency))
        self._on_room = on_room
        self.backlog: deque[Claimed] = deque()
        self._suspects: deque[Claimed] = deque()
        self._suspect_runs = False
        self.backlog_since = 0.0
        self.running: dict[int, Running] = {}
        self._resting: list[asyncio.Future[None]] = []
        self._slots: set[asyncio.Task[None]] = set()
        self._pool: ThreadPoolExecutor | None = None
        self._unknown: dict[str, float] = {}
        self._draining = False
        self.low_water = 0
        self.finished = 0
        self.stuck_threads = 0

    @property
    def in_hand(self) -> int:
        """How many tasks are claimed and not finished."""
        return len(self.running) + len(self.backlog) + len(self._suspects)

    def add(self, claimed: Iterable[Claimed]) -> None:
        """Take over claimed tasks; their claim must have committed."""
        if not self.backlog:
            self.backlog_since = time.monotonic()
        self.backlog.extend(claimed)
        wanted = len(self.backlog)
        while wanted > 0 and self._resting:
            future = self._resting.pop()
            if not future.done():
                future.set_result(None)
                wanted -= 1
        for _ in range(min(wanted, self.concurrency - len(self._slots))):
            self._open_slot()

    def _open_slot(self) -> None:
        slot = asyncio.get_running_loop().create_task(self._slot(), name="pgflow-slot")
        self._slots.add(slot)
        slot.add_done_callback(self._slots.discard)

    async def _slot(self) -> None:
        cells, number = self._cells, self._free_cells.pop()
        try:
            await self._work(cells, number)
        finally:
            cells[number] = 0
            self._free_cells.append(number)

    async def _work(self, cells: Cells, number: int) -> None:
        cell = Cell()
        CELL.set(cell)
        context = copy_context()
        loop = asyncio.get_running_loop()
        slot = asyncio.current_task()
        assert slot is not None
        while True:
            while self.backlog:
                claimed = self.backlog.popleft()
                if len(self.backlog) <= self.low_water:
                    self._on_room()
                suspect = claimed.crashes >= self._max_crashes
                if suspect and not self._may_run_suspect(claimed):
                    continue
                cell.claimed = claimed
                cell.worker_id = self._worker_id
                cells[number] = claimed.task_id
                settlement = await self._attempt(claimed, slot)
                cells[number] = 0
                if suspect:
                    self._next_suspect()
                if settlement is not None:
                    self._settler.put(settlement)
                self.finished += 1
                if copy_context() != context:
                    self._slots.discard(slot)
                    if self.backlog and not self._draining:
                        self._open_slot()
                    self._on_room()
                    return
            self._on_room()
            if self._draining:
                return
            future = loop.create_future()
            self._resting.append(future)
            await future

    def _may_run_suspect(self, claimed: Claimed) -> bool:
        """A task whose next crash is its last runs as the only such one here, so that the crash is its own."""
        if self._suspect_runs:
            self._suspects.append(claimed)
            return False
        self._suspect_runs = True
        return True

    def _next_suspect(self) -> None:
        self._suspect_runs = False
        if self._suspects:
            self.backlog.appendleft(self._suspects.popleft())

    async def _attempt(self, claimed: Claimed, slot: asyncio.Task[None]) -> Ending | None:
        """Run one handler. Returns how its lease ends; None when there is nothing to say any more."""
        handler = self._handlers.get(claimed.name)
        running = Running(claimed, slot, time.monotonic())
        self.running[claimed.task_id] = running
        try:
            if handler is None:
                handler = await self._found(claimed.name)
            if handler is None:
                return self._not_ours(claimed)
            if handler.workflow is not None:
                return await self._workflows.attempt(claimed, handler.workflow, self._in_thread, running.begin)
            input = claimed.input if claimed.input is not None else await self._inputs(claimed)
            args, kwargs = handler.signature.decode_arguments(input)
            timeout = claimed.timeout if claimed.timeout is not None else handler.task.timeout
            if not handler.is_async:
                result = await self._in_thread(handler.function, args, kwargs, timeout)
            elif timeout is None:
                result = await handler.function(*args, **kwargs)
            else:
                result = await self._timed(handler.function(*args, **kwargs), timeout)
            output = handler.signature.encode_result(result, limit=handler.task.payload_limit)
            return Settlement(claimed.task_id, claimed.epoch, State.COMPLETED, output)
        except asyncio.CancelledError as error:
            return self._interrupted(running, handler, error)
        except BaseException as error:  # noqa: BLE001 (whatever a handler raises is its task's outcome)
            if handler is None:  # what is published under its name cannot be run here
                return self._not_ours(claimed)
            return judge(error, claimed, policy_of(claimed, handler.task.retry), handler.function)
        finally:
            if self.running.get(claimed.task_id) is running:
                del self.running[claimed.task_id]

    def _interrupted(self, running: Running, handler: Handler | None, error: BaseException) -> Settlement | None:
        claimed = running.claimed
        if running.cancelled:
            running.slot.uncancel()
            return None
        if self._draining:
            running.slot.uncancel()
            return Settlement(claimed.task_id, claimed.epoch, State.QUEUED)
        if running.slot.cancelling() or handler is None:
            raise error
        return judge(
            error, claimed, policy_of(claimed, handler.task.retry), handler.function
        )  # the handler's own doing

    async def _found(self, name: str) -> Handler | None:
        """A workflow that is known to the database alone: a graph."""
        workflow = await self._resolve(name)
        if workflow is None:
            return None
        self._handlers[name] = handler = Handler.of(workflow)
        return handler

    def _not_ours(self, claimed: Claimed) -> Settlement:
        now = time.monotonic()
        if now - self._unknown.get(claimed.name, -1e9) > 60:
            self._unknown[claimed.name] = now
            log.warning(
                "no code for task; released for others",
                task_name=claimed.name,
                task=claimed.task_id,
                queue=claimed.queue,
            )
        return Settlement(claimed.task_id, claimed.epoch, State.SCHEDULED, delay=UNKNOWN_TASK_DELAY)

    async def _timed(self, awaitable: Awaitable[Any], timeout: float) -> Any:
        scope = asyncio.timeout(timeout)
        try:
            async with scope:
                return await awaitable
        except TimeoutError as error:
            if scope.expired():
                raise TimedOut(f"took longer than {timeout:g} s") from error
            raise

    async def _in_thread(
        self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], timeout: float | None
    ) -> Any:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="pgflow")
        context = copy_context()
        future = self._pool.submit(context.run, function, *args, **kwargs)
        wrapped = asyncio.wrap_future(future)
        try:
            return await (wrapped if timeout is None else self._timed(asyncio.shield(wrapped), timeout))
        except (TimedOut, asyncio.CancelledError):
            # A thread cannot be stopped: it goes on, fenced off, and keeps its place in the pool.
            if not future.cancel() and not future.done():
                self.stuck_threads += 1
                future.add_done_callback(self._unstick)
            raise

    def _unstick(self, _: object) -> None:
        self.stuck_threads -= 1

    def cancel(self, task_id: int, epoch: int) -> bool:
        """Interrupt the handler of a lease that was cancelled. Returns whether it was here."""
        for unstarted in (self.backlog, self._suspects):
            for position, claimed in enumerate(unstarted):
                if claimed.task_id == task_id and claimed.epoch == epoch:
                    handler = self._handlers.get(claimed.name)
                    if handler is not None and handler.workflow is not None:
                        return False  # its history tells it; should its lease be gone, its first write is refused
                    del unstarted[position]
                    return True
        running = self.running.get(task_id)
        if running is None or running.claimed.epoch != epoch:
            return False
        handler, replay = self._handlers.get(running.claimed.name), running.replay
        if replay is None and handler is not None and handler.workflow is not None:
            running.interrupted = True
            return True
        if replay is not None and (replay.cleanups or "$cleanup" in replay.history.facts):
            replay.interrupted = True  # it has undoing to do; should its lease be gone, it will notice
            return True
        running.cancelled = True
        running.slot.cancel()
        return True

    def give_back(self) -> int:
        """Release all that has not been started, for other workers. Returns how many."""
        unstarted = [*self._suspects, *self.backlog]
        self._suspects.clear()
        self.backlog.clear()
        for claimed in unstarted:
            self._settler.put(Settlement(claimed.task_id, claimed.epoch, State.QUEUED))
        return len(unstarted)

    async def drain(self, seconds: float) -> None:
        """Start nothing more; wait for running handlers, then interrupt and release those that are left."""
        self._draining = True
        self.give_back()
        for future in self._resting:
            if not future.done():
                future.set_result(None)
        self._resting.clear()
        busy = {running.slot for running in self.running.values()}
        if busy and seconds > 0:
            await asyncio.wait(busy, timeout=seconds)
        for running in list(self.running.values()):
            running.slot.cancel()
        if self._slots:
            await asyncio.wait(self._slots, timeout=2.0)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
