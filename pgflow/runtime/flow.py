"""A running workflow: its code, as a task of its own on the loop, and the lease it runs under.

The code runs until it stops, because all it waits for is still to come, or ends. When it stops, its lease ends, and so
does the worker's hold on it; but the code of an async workflow may be kept where it stands, and go on from there when
this same worker claims the task again, without a replay. It is only a saving: what is recorded decides. Before it goes
on it learns what has come since and how much is recorded; if that is more than it wrote itself, somebody else went on
with the run, and what is kept here is dropped. Dropping raises Suspension in the code, where it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from contextvars import copy_context
from typing import Any

import orjson
import structlog

from pgflow.engine.workflows import HistoryRow, Known
from pgflow.errors import ContinuedAsNew, PayloadError, StepFailed, WorkflowCancelled, WorkflowError
from pgflow.model import Claimed, EventType, Settlement, State
from pgflow.runtime import ending
from pgflow.runtime.batch import Ending
from pgflow.runtime.journal import LeaseGone, Suspended, WorkerJournal
from pgflow.runtime.verdict import TimedOut
from pgflow.sdk import operations
from pgflow.sdk.attempt import CELL, Cell
from pgflow.sdk.driving import drive
from pgflow.sdk.history import SignalReceived
from pgflow.sdk.journal import Wait
from pgflow.sdk.replay import Replay
from pgflow.sdk.workflow import Workflow

log = structlog.get_logger("pgflow")

KEPT_FOR = 60.0
"""Seconds that code is kept at most where it stands."""

Code = Callable[[], Awaitable[Any]]


class Flow:
    """One workflow that runs here.

    Args:
        claimed: its lease.
        workflow: what it is.
        replay: its replay.
        journal: the replay's.
        rows: the history that the replay began with.
        code: calls the function.
        worker_id: for `pgflow.current()`.
    """

    def __init__(
        self, claimed: Claimed, workflow: Workflow[..., Any], replay: Replay, journal: WorkerJournal,
        rows: list[HistoryRow], code: Code, worker_id: int,
    ) -> None:  # fmt: skip
        self.claimed = claimed
        self.replay = replay
        self._workflow = workflow
        self._journal = journal
        self._marks = {row.id for row in rows if row.type in _RARE}
        self._recorded = sum(row.type in _FACTS for row in rows)
        self._function = code
        self._cell = Cell(claimed, worker_id)
        self._code: asyncio.Task[Ending] | None = None
        self._stopped: asyncio.Future[Wait | None] | None = None
        self._resumed: asyncio.Future[None] | None = None
        self._dropped = False
        self.kept = False
        """Whether the code stands where it stopped, and can go on."""
        if workflow.is_async:
            journal.hold = self._hold

    async def go(self, timeout: float | None) -> Ending | None:
        """Let the code run until it stops or ends. Returns how its lease ends; None when it is gone."""
        ends = await self._go(timeout)
        if isinstance(ends, Settlement) and ends.state.final:
            return ends._replace(generation=self.replay.history.generation)
        return ends

    async def _go(self, timeout: float | None) -> Ending | None:
        self._stopped = asyncio.get_running_loop().create_future()
        self.kept = False
        if self._code is None:
            context = copy_context()
            context.run(CELL.set, self._cell)
            self._code = asyncio.create_task(self._run(), context=context, name="pgflow-workflow")
            self._code.add_done_callback(self._came_to_its_end)
        elif self._resumed is not None:
            self._resumed.set_result(None)
        try:
            async with asyncio.timeout(timeout) if timeout is not None else nullcontext():
                wait = await self._stopped
        except TimeoutError:
            await self._abort(self._code)
            return ending.failed(self.claimed, self._workflow, TimedOut(f"took longer than {timeout:g} s"))
        except asyncio.CancelledError:
            await self._abort(self._code)
            raise
        if wait is None:
            return self._ended(self._code)
        ends = ending.waiting(self.claimed, self.replay, wait)
        self.kept = isinstance(ends, Settlement)
        if not self.kept:
            self.drop()
        return ends

    def _came_to_its_end(self, _: object) -> None:
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)

    @staticmethod
    async def _abort(code: asyncio.Task[Ending]) -> None:
        code.cancel()
        await asyncio.wait({code})
        _forget(code)

    def _ended(self, code: asyncio.Task[Ending]) -> Ending | None:
        if code.cancelled():  # its own doing
            return ending.failed(self.claimed, self._workflow, RuntimeError("the workflow cancelled itself"))
        try:
            return code.result()
        except Suspended as stop:
            return ending.waiting(self.claimed, self.replay, stop.wait)
        except LeaseGone:
            return None

    async def _hold(self, wait: Wait) -> None:
        """Stand still until there is news; for what is far off, leave the code at once."""
        clock = self._journal.clock()
        if wait.arrivals == 0 and wait.due is not None and (wait.due - clock).total_seconds() > KEPT_FOR:
            raise Suspended(wait)
        if self._stopped is None or self._stopped.done():  # nobody looks any more: it is being interrupted
            raise Suspended(wait)
        self._resumed = asyncio.get_running_loop().create_future()
        self._stopped.set_result(wait)
        try:
            await self._resumed
        except asyncio.CancelledError:
            if self._dropped:
                raise Suspended(wait) from None
            raise

    def drop(self) -> None:
        """Take the code from where it stands."""
        self._dropped, self.kept = True, False
        if self._code is not None:
            self._code.cancel()
            self._code.add_done_callback(_forget)

    def known(self) -> Known:
        """What to ask for before it goes on."""
        history, ids = self.replay.history, self._journal.child_ids
        pending = []
        for key, child in history.children.items():
            if child.state is None:
                child.id = child.id or ids.get(history.prefix + key, 0)
                pending.append(child.id)
        return Known(self.claimed.root_id, self.claimed.task_id, tuple(pending))

    def learn(self, claimed: Claimed, rows: list[HistoryRow], asked_at: float) -> bool:
        """Take over a new lease and what has come. Returns whether the code may go on where it stands."""
        history, journal = self.replay.history, self._journal
        if claimed.attempt != self.claimed.attempt:
            return False
        children = {child.id: child for child in history.children.values() if child.state is None}
        seen = {signal.id for signal in history.signals}
        for row in rows:
            match row.type:
                case "facts":
                    if row.number != self._recorded + journal.facts:
                        return False
                case "arrived":
                    history.arrived, history.now = row.number or 0, row.at
                    journal.set_clock(row.at, asked_at)
                case "child":
                    child = children[row.id]
                    child.state, child.output, child.error = row.state, row.data, row.error
                case "signal.received" if row.id not in seen:
                    history.signals.append(SignalReceived(row.id, row.key or "", row.data["payload"], row.at))
                case "workflow.cancelling" | "task.redriven" | "workflow.forked" if row.id not in self._marks:
                    return False
        history.signals.sort(key=lambda signal: signal.id)
        self.claimed = self._cell.claimed = claimed
        journal.epoch = claimed.epoch
        return True

    async def _run(self) -> Ending:
        """The code, from its first line to what its end means."""
        replay, claimed = self.replay, self.claimed
        cancelled = False
        try:
            ends = await self._call()
            if ends.state is State.QUEUED:
                return ends
        except WorkflowCancelled:
            cancelled = True
            ends = Settlement(claimed.task_id, claimed.epoch, State.CANCELLED)
        except (WorkflowError, PayloadError) as error:
            return self._parked(error)
        except Exception as error:  # noqa: BLE001 (whatever its code raises is the run's outcome)
            ends = ending.failed(self.claimed, self._workflow, error)
            cancelled = replay.history.cancelling or replay.interrupted
            if cancelled:  # a child was cancelled first, say
                ends = Settlement(claimed.task_id, claimed.epoch, State.CANCELLED)
            elif ends.state is State.RETRYING:
                return ends
            elif replay.history.unasked():
                return self._parked(error)
        if ends.state is not State.COMPLETED:
            await self._clean_up(cancelled)
        return ends._replace(epoch=self.claimed.epoch)  # it may have been claimed anew meanwhile

    async def _call(self) -> Settlement:
        replay = self.replay
        history = replay.history
        if not history.started:
            data = {"attempt": self.claimed.attempt}
            replay.journal.put(ending.mark(self.claimed, EventType.WORKFLOW_STARTED, history.generation, data))
        output, state = b"null", State.COMPLETED
        try:
            result = await self._function()
        except ContinuedAsNew as again:
            ending.check_end(replay)
            state, input = State.QUEUED, {"input": orjson.Fragment(again.input)}
            replay.journal.put(ending.mark(self.claimed, EventType.WORKFLOW_CONTINUED, history.generation + 1, input))
        else:
            ending.check_end(replay)
            output = self._workflow.signature.encode_result(result, limit=self._workflow.payload_limit)
        return Settlement(self.claimed.task_id, self.claimed.epoch, state, output)

    def _parked(self, error: Exception) -> Ending:
        log.warning("workflow parked for attention", task=self.claimed.task_id, error=str(error))
        return ending.parked(self.claimed, self.replay, error)

    async def _clean_up(self, cancelled: bool) -> None:
        """Undo what was registered, the last first. Should that suspend, the code comes here again."""
        replay = self.replay
        replay.cleaning, replay.busy, replay.suspended_at = True, None, None
        for cleanup in reversed(replay.cleanups):
            if not (cancelled or cleanup.on_failure):
                continue
            undo = operations.step(replay, cleanup.key, cleanup.work, cleanup.args, cleanup.kwargs)
            try:
                await drive(replay, undo)
            except StepFailed as error:
                if error.__cause__ is not None:  # it failed just now, not in an earlier replay
                    log.error("not undone", task=self.claimed.task_id, step=cleanup.key, error=str(error))


_FACTS = {
    "step.completed", "timer.created", "workflow.started", "workflow.continued", "step.retried", "step.failed", "child",
}  # fmt: skip
_RARE = {"workflow.cancelling", "task.redriven", "workflow.forked"}


def _forget(code: asyncio.Task[Any]) -> None:
    """Nobody wants to know how it ended."""
    if not code.cancelled():
        code.exception()
