"""Running workflows: replay the code against its history, then settle as it ended.

However the code leaves its function, one of these follows: it suspended, and its task waits; it ended, and has its
outcome; it asks for what cannot be, or does not fit its history, and is parked for a person; or its lease is gone, and
nothing more is written here. Before an outcome `failed` or `cancelled`, what was registered to be undone is undone, as
steps: should that suspend, the code runs again to the same point, and goes on with undoing.
"""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Protocol

import orjson
import structlog

from pgflow.codec import error_json
from pgflow.config import Settings
from pgflow.engine.facts import Fact
from pgflow.errors import (
    ContinuedAsNew,
    HistoryMismatch,
    PayloadError,
    StepFailed,
    SwallowedSuspension,
    TaskCancelled,
    TaskFailed,
    WorkflowCancelled,
    WorkflowError,
)
from pgflow.model import Claimed, EventType, Parking, Settlement, State
from pgflow.runtime.batch import Ending
from pgflow.runtime.historian import Historian
from pgflow.runtime.journal import LeaseGone, Pools, Suspended, WorkerJournal
from pgflow.runtime.settler import Settler
from pgflow.runtime.verdict import judge, policy_of
from pgflow.sdk import operations
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.context import Context
from pgflow.sdk.driving import drive
from pgflow.sdk.environment import Environment, sender
from pgflow.sdk.history import History
from pgflow.sdk.replay import Replay
from pgflow.sdk.sync_context import SyncContext
from pgflow.sdk.task import Task
from pgflow.sdk.workflow import Workflow

log = structlog.get_logger("pgflow")

Inputs = Callable[[Claimed], Awaitable[dict[str, Any]]]
DIFF_LINES = 200


class Call(Protocol):
    """Runs a handler's function with a time-out, on the loop or in a thread."""

    def __call__(
        self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], timeout: float | None
    ) -> Awaitable[Any]: ...


class Workflows:
    """Runs the workflows of one worker.

    Args:
        settings: the settings in force.
        tasks: what may be run as children.
        settler: where writes go.
        worker_id: who writes.
        inputs: fetches an input that was too bulky to travel with its claim.
    """

    def __init__(
        self, settings: Settings, tasks: Mapping[str, Task[..., Any]], settler: Settler, worker_id: int, inputs: Inputs
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._settler = settler
        self._worker_id = worker_id
        self._inputs = inputs
        self._historian = Historian(settings)
        self._pools = Pools(settings, 4)
        self._clients: dict[bool, Any] = {}
        self._sender = cache(lambda workflow: sender(workflow, settings.schema_name))

    async def attempt(
        self, claimed: Claimed, workflow: Workflow[..., Any], call: Call, begun: Callable[[Replay], None]
    ) -> Ending | None:
        """Run one workflow as far as it goes. Returns how its lease ends; None when it is gone.

        Args:
            claimed: the lease.
            workflow: the code.
            call: how to call it.
            begun: told of the replay, for whoever must interrupt it.
        """
        replay = await self._open(claimed, workflow)
        begun(replay)
        try:
            return await self._run(claimed, workflow, replay, call)
        except Suspended as stop:
            return self._suspended(claimed, replay, stop)
        except LeaseGone:
            return None

    async def _open(self, claimed: Claimed, workflow: Workflow[..., Any]) -> Replay:
        journal = WorkerJournal(claimed, self._settler, self._pools, self._settings, self._worker_id)
        read_at = time.monotonic()
        history = History(await self._historian.read(claimed.root_id, claimed.task_id))
        if history.now is not None:
            journal.set_clock(history.now, read_at)
        return Replay(
            journal, history, claimed.name, policy_of(claimed, workflow.retry), claimed.attempt, workflow.payload_limit
        )

    async def _run(self, claimed: Claimed, workflow: Workflow[..., Any], replay: Replay, call: Call) -> Ending:
        history, journal = replay.history, replay.journal
        cancelled = False
        try:
            input = history.input or (claimed.input if claimed.input is not None else await self._inputs(claimed))
            args, kwargs = workflow.signature.decode_arguments(input)
            if not history.started:
                journal.put(
                    _mark(claimed, EventType.WORKFLOW_STARTED, history.generation, {"attempt": claimed.attempt})
                )
            timeout = claimed.timeout if claimed.timeout is not None else workflow.timeout
            result = await call(workflow.function, [self._context(workflow, replay), *args], kwargs, timeout)
            self._check_end(replay)
            output = workflow.signature.encode_result(result, limit=workflow.payload_limit)
            ending = Settlement(claimed.task_id, claimed.epoch, State.COMPLETED, output)
        except ContinuedAsNew as again:
            self._check_end(replay)
            data = {"input": orjson.Fragment(again.input)}
            journal.put(_mark(claimed, EventType.WORKFLOW_CONTINUED, history.generation + 1, data))
            return Settlement(claimed.task_id, claimed.epoch, State.QUEUED)
        except WorkflowCancelled:
            cancelled = True
            ending = Settlement(claimed.task_id, claimed.epoch, State.CANCELLED)
        except (WorkflowError, PayloadError) as error:
            return self._parked(claimed, replay, error)
        except Exception as error:  # noqa: BLE001 (whatever its code raises is the run's outcome)
            ending = self._failed(claimed, workflow, error)
            if ending.state is State.RETRYING:
                return ending
            if history.unasked():
                return self._parked(claimed, replay, error)
        if ending.state is not State.COMPLETED:
            await self._clean_up(replay, cancelled)
        journal.put(_mark(claimed, EventType.WORKFLOW_FINISHED, history.generation, {"state": ending.state}))
        return ending

    def _context(self, workflow: Workflow[..., Any], replay: Replay) -> Context | SyncContext:
        environment = Environment(
            workflow, self._tasks, workflow.steps, lambda: self._client(workflow.is_async), ReplayLog(replay),
            self._sender(workflow),
        )  # fmt: skip
        if workflow.is_async:
            return Context(replay, environment)
        return SyncContext(replay, environment, asyncio.get_running_loop())

    def _client(self, is_async: bool) -> Any:
        if is_async not in self._clients:
            self._clients[is_async] = (AsyncClient if is_async else Client)(self._settings, self._tasks)
        return self._clients[is_async]

    @staticmethod
    def _check_end(replay: Replay) -> None:
        """That the code may end here, or a WorkflowError."""
        if replay.suspended_at is not None:
            raise SwallowedSuspension(
                f"{replay.suspended_at}: the suspension there was caught, and the code came to its end",
                hint="do not catch BaseException around ctx calls; `pgflow lint` finds where",
            )
        problem = replay.problem()
        if problem is not None:
            raise problem
        if replay.history.unasked():
            raise mismatch(replay)

    def _suspended(self, claimed: Claimed, replay: Replay, stop: Suspended) -> Ending:
        if replay.history.unasked():
            return self._parked(claimed, replay, mismatch(replay))
        wait = stop.wait
        if wait.arrivals == 0:
            return Settlement(claimed.task_id, claimed.epoch, State.SLEEPING, due=wait.due)
        needed = replay.history.arrived + wait.arrivals
        return Settlement(claimed.task_id, claimed.epoch, State.WAITING, needed=needed, due=wait.due)

    @staticmethod
    def _failed(claimed: Claimed, workflow: Workflow[..., Any], error: Exception) -> Settlement:
        if isinstance(error, StepFailed | TaskFailed):  # recorded, so it would fail the same way again
            detail = dict(error.error)
            detail |= {"reason": "step", "step": error.step} if isinstance(error, StepFailed) else {
                "reason": "child", "child": error.task_id
            }  # fmt: skip
            return Settlement(claimed.task_id, claimed.epoch, State.FAILED, error=orjson.dumps(detail))
        if isinstance(error, TaskCancelled):
            text = error_json(error)[:-1] + b',"reason":"child"}'
            return Settlement(claimed.task_id, claimed.epoch, State.FAILED, error=text)
        return judge(error, claimed, policy_of(claimed, workflow.retry), workflow.function)

    @staticmethod
    def _parked(claimed: Claimed, replay: Replay, error: Exception) -> Parking:
        detail = orjson.loads(error_json(error))
        history = replay.history
        if history.unasked():
            recorded, asked = list(dict.fromkeys((*history.order, *history.timers))), list(history.asked)
            diff = [line for line in difflib.ndiff(recorded, asked) if not line.startswith("?")]
            detail |= {"recorded": recorded[:DIFF_LINES], "asked": asked[:DIFF_LINES], "diff": diff[:DIFF_LINES]}
        log.warning(
            "workflow parked: it needs attention", task=claimed.task_id, workflow=claimed.name, error=str(error)
        )
        return Parking(claimed.task_id, claimed.epoch, State.NEEDS_ATTENTION, orjson.dumps(detail))

    @staticmethod
    async def _clean_up(replay: Replay, cancelled: bool) -> None:
        replay.cleaning, replay.busy, replay.suspended_at = True, None, None
        for cleanup in reversed(replay.cleanups):
            if not (cancelled or cleanup.on_failure):
                continue
            undo = operations.step(replay, cleanup.key, cleanup.work, cleanup.args, cleanup.kwargs)
            try:
                await drive(replay, undo)
            except StepFailed as error:
                log.error("not undone", task=replay.journal.task_id, step=cleanup.key, error=str(error))

    async def close(self) -> None:
        """Close what was opened."""
        await self._historian.close()
        await self._pools.close()
        for is_async, client in self._clients.items():
            if is_async:
                await client.close()
            else:
                await asyncio.to_thread(client.close)


def _mark(claimed: Claimed, what: EventType, generation: int, data: dict[str, Any]) -> Fact:
    return Fact(claimed.task_id, claimed.epoch, what, str(generation), orjson.dumps(data))


def mismatch(replay: Replay) -> HistoryMismatch:
    """The error of a replay that did not ask for all that is recorded."""
    missing = replay.history.unasked()
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    return HistoryMismatch(
        f"the code no longer asks for what is recorded: {', '.join(missing[:3])}{more}",
        hint="bring the step back, or branch with ctx.version(...); then `pgflow run resume`. Or cancel the run",
    )


class ReplayLog:
    """A logger that keeps quiet while the code is replayed, so that nothing is logged twice."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._log = structlog.get_logger("pgflow.workflow").bind(
            run=replay.journal.root_id, task=replay.journal.task_id, workflow=replay.name
        )

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._log, name)
        return _silent if self._replay.replaying else method

    def __call__(self, text: str, **values: Any) -> None:
        """Log at level info."""
        if not self._replay.replaying:
            self._log.info(text, **values)


def _silent(*_: Any, **__: Any) -> None:
    return None
