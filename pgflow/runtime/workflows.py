"""The workflows of one worker: opened from their histories, kept a while where they stopped, gone on with."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import structlog

from pgflow.config import Settings
from pgflow.db.link import Link
from pgflow.engine import workflows as verbs
from pgflow.engine.workflows import HistoryRow, Known
from pgflow.errors import ArgumentError, HistoryMismatch
from pgflow.model import Claimed, State
from pgflow.runtime import ending
from pgflow.runtime.batch import Ending
from pgflow.runtime.flow import KEPT_FOR, Flow
from pgflow.runtime.journal import Pools, WorkerJournal
from pgflow.runtime.reader import Reader
from pgflow.runtime.settler import Settler
from pgflow.runtime.verdict import policy_of
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.checking import Checker, Finding, Recorded
from pgflow.sdk.client import Client
from pgflow.sdk.context import Context
from pgflow.sdk.environment import Environment, sender
from pgflow.sdk.history import History
from pgflow.sdk.replay import Replay
from pgflow.sdk.sync_context import SyncContext
from pgflow.sdk.task import Task
from pgflow.sdk.workflow import Workflow

Inputs = Callable[[Claimed], Awaitable[dict[str, Any]]]
InThread = Callable[[Callable[..., Any], list[Any], dict[str, Any], float | None], Awaitable[Any]]


class _Wanted(NamedTuple):
    root_id: int
    task_id: int


class Workflows:
    """Runs the workflows of one worker.

    Args:
        settings: the settings in force.
        tasks: what may be run as children.
        settler: where writes go.
        worker_id: who writes.
        inputs: fetches an input that was too bulky to travel with its claim.
        keep: how many to keep at most where they stopped, to go on without a replay.
    """

    def __init__(
        self, settings: Settings, tasks: Mapping[str, Task[..., Any]], settler: Settler, worker_id: int,
        inputs: Inputs, keep: int = 1000,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._tasks = tasks
        self._settler = settler
        self._worker_id = worker_id
        self._inputs = inputs
        self.keep = keep
        self._link = Link(settings, "history", statement_timeout="60s")
        self._histories: Reader[_Wanted, list[HistoryRow]] = Reader(self._link, verbs.history, list)
        self._news: Reader[Known, list[HistoryRow]] = Reader(self._link, verbs.news, list)
        self._pools = Pools(settings, 4)
        self._clients: dict[bool, Any] = {}
        self._sender = cache(lambda workflow: sender(workflow, settings.schema_name))
        self._kept: OrderedDict[int, tuple[Flow, float]] = OrderedDict()
        self.resumed = 0
        """How many went on where they stood."""
        self.replayed = 0

    async def attempt(
        self, claimed: Claimed, workflow: Workflow[..., Any], in_thread: InThread, begun: Callable[[Replay], None]
    ) -> Ending | None:
        """Run one workflow as far as it goes. Returns how its lease ends; None when it is gone.

        Args:
            claimed: the lease.
            workflow: what it is.
            in_thread: how to call a plain function.
            begun: told of the replay, for whoever must interrupt it.
        """
        flow = await self._kept_one(claimed) or await self._opened(claimed, workflow, in_thread)
        begun(flow.replay)
        ends = await flow.go(claimed.timeout if claimed.timeout is not None else workflow.timeout)
        if flow.kept:
            self._keep(flow)
        return ends

    async def _kept_one(self, claimed: Claimed) -> Flow | None:
        flow, _ = self._kept.pop(claimed.task_id, (None, 0.0))
        if flow is None:
            return None
        try:
            asked_at = time.monotonic()
            known = flow.known()
            if 0 not in known.children and flow.learn(claimed, await self._news.read(known), asked_at):
                self.resumed += 1
                return flow
        except BaseException:
            flow.drop()
            raise
        flow.drop()
        return None

    def _keep(self, flow: Flow) -> None:
        now = time.monotonic()
        self._kept[flow.claimed.task_id] = (flow, now)
        while self._kept:
            oldest, (other, since) = next(iter(self._kept.items()))
            if len(self._kept) <= self.keep and now - since <= KEPT_FOR:
                break
            del self._kept[oldest]
            other.drop()

    async def _opened(self, claimed: Claimed, workflow: Workflow[..., Any], in_thread: InThread) -> Flow:
        journal = WorkerJournal(claimed, self._settler, self._pools, self._settings, self._worker_id)
        asked_at = time.monotonic()
        rows = await self._histories.read(_Wanted(claimed.root_id, claimed.task_id))
        history = History(rows)
        if history.now is not None:
            journal.set_clock(history.now, asked_at)
        policy = policy_of(claimed, workflow.retry)
        replay = Replay(journal, history, claimed.name, policy, claimed.attempt, workflow.payload_limit)
        self.replayed += 1

        async def given() -> dict[str, Any]:
            for input in (history.input, claimed.input):
                if input is not None:
                    return input
            return await self._inputs(claimed)

        async def rehearse() -> None:
            recorded = Recorded(claimed.task_id, claimed.root_id, claimed.name, State.RUNNING, await given(), rows)
            ending.check_rehearsal(await asyncio.to_thread(_rehearse, self._tasks, recorded))

        async def code() -> Any:
            try:
                args, kwargs = workflow.signature.decode_arguments(await given())
            except ArgumentError as error:
                if history.started:
                    raise HistoryMismatch(error.message, hint=error.hint) from error
                raise
            arguments = [self._context(workflow, replay), *args]
            if workflow.is_async:
                return await workflow.function(*arguments, **kwargs)
            return await in_thread(workflow.function, arguments, kwargs, None)

        replay.rehearse = rehearse if history.order else None
        return Flow(claimed, workflow, replay, journal, rows, code, self._worker_id)

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

    async def close(self) -> None:
        """Drop what is kept, close what was opened."""
        for flow, _ in self._kept.values():
            flow.drop()
        self._kept.clear()
        self._histories.stop()
        self._news.stop()
        await self._link.close()
        await self._pools.close()
        for is_async, client in self._clients.items():
            if is_async:
                await client.close()
            else:
                await asyncio.to_thread(client.close)


def _rehearse(tasks: Mapping[str, Task[..., Any]], recorded: Recorded) -> Finding:
    with Checker(tasks) as checker:
        return checker.check(recorded)


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
