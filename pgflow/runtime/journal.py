"""The journal of one running workflow: its writes go through the settler, its transactions over users' pools."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import AsyncSession, Call, Session
from pgflow.engine import facts, workflows
from pgflow.engine.children import Child
from pgflow.engine.facts import Fact, Recorded, Try
from pgflow.errors import Suspension
from pgflow.model import NODE_EVENTS, Claimed
from pgflow.runtime.settler import Settler
from pgflow.sdk.attempt import within_step
from pgflow.sdk.journal import Entry, Transact, Wait


class _AlreadyRecorded(Exception):
    """The step was recorded before, by a transaction whose commit was not heard of: what was done now is undone."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__("recorded before")
        self.recorded = recorded


class LeaseGone(Suspension):
    """Ends a workflow here whose lease is gone: whoever has it now goes on with it."""


class Suspended(Suspension):
    """Ends a workflow here until what it waits for has come."""

    def __init__(self, wait: Wait) -> None:
        super().__init__()
        self.wait = wait


class Pools:
    """Connections for `ctx.tx`, of both colours, opened at first use: users' SQL runs under no setting of ours."""

    def __init__(self, settings: Settings, size: int) -> None:
        self._settings, self._size = settings, size
        self._async: AsyncConnectionPool[AsyncConnection[Any]] | None = None
        self._sync: ConnectionPool[Connection[Any]] | None = None

    async def asynchronous(self) -> AsyncConnectionPool[AsyncConnection[Any]]:
        """The pool for async workflows."""
        if self._async is None:
            self._async = connect.pool_async(self._settings, self._size, users=True)
        await self._async.open()
        return self._async

    def synchronous(self) -> ConnectionPool[Connection[Any]]:
        """The pool for plain workflows."""
        if self._sync is None:
            self._sync = connect.pool_sync(self._settings, self._size, users=True)
        self._sync.open()
        return self._sync

    async def close(self) -> None:
        """Close what was opened."""
        if self._async is not None:
            await self._async.close()
        if self._sync is not None:
            await asyncio.to_thread(self._sync.close)


class WorkerJournal:
    """Writes under one lease.

    Args:
        claimed: whose lease.
        settler: where writes go.
        pools: connections for transactions.
        settings: the settings in force.
        worker_id: who writes.
    """

    def __init__(
        self, claimed: Claimed, settler: Settler, pools: Pools, settings: Settings, worker_id: int
    ) -> None:  # fmt: skip
        self.task_id, self.root_id, self.epoch = claimed.task_id, claimed.root_id, claimed.epoch
        self._settler = settler
        self._pools = pools
        self._schema = settings.schema_name
        self._worker_id = worker_id
        self._loop = asyncio.get_running_loop()
        self._last: asyncio.Future[Any] | None = None
        self._clock_at = (datetime.now(UTC), time.monotonic())
        self.facts = 0
        """How many facts were recorded through it."""
        self.child_ids: dict[str, int] = {}
        """The ids of children spawned through it, by their steps."""
        self.hold: Callable[[Wait], Awaitable[None]] | None = None
        """Keeps the code where it stands; without it, it is left at once."""

    def set_clock(self, now: datetime, read_at: float) -> None:
        """Learn the database's clock: what it said, and this process's monotonic time when it was asked. Counting from
        when the question went out, not from the answer, no timer is ever set too short."""
        self._clock_at = (now, read_at)

    def clock(self) -> datetime:
        now, read_at = self._clock_at
        return now + timedelta(seconds=time.monotonic() - read_at)

    def put(self, entry: Entry) -> None:
        if self._in_loop():
            self._write(entry)
        else:
            asyncio.run_coroutine_threadsafe(self._put(entry), self._loop).result()

    async def _put(self, entry: Entry) -> None:
        self._write(entry)

    def _write(self, entry: Entry) -> asyncio.Future[Any]:
        self._last = written = self._settler.write(entry)
        if isinstance(entry, Fact | Try | Child) and not (isinstance(entry, Fact) and entry.type in NODE_EVENTS):
            self.facts += 1
        if isinstance(entry, Child):
            written.add_done_callback(partial(self._spawned, entry.step))
        return written

    def _spawned(self, step: str, written: asyncio.Future[Any]) -> None:
        if not written.cancelled() and written.result() is not None:
            self.child_ids[step] = written.result()

    def _in_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    async def commit(self, entry: Entry) -> Any:
        return await self._answer(self._write(entry))

    def settled(self) -> bool:
        last = self._last
        return last is None or (last.done() and not last.cancelled() and last.result() is not None)

    async def flush(self) -> None:
        if self._last is not None:
            await self._answer(self._last)

    async def _answer(self, future: asyncio.Future[Any]) -> Any:
        answer = await future
        if answer is None:
            raise LeaseGone
        return answer

    async def transact(self, effect: Transact) -> Recorded:
        pool = await self._pools.asynchronous()
        try:
            async with pool.connection() as connection:
                async with connection.pipeline():  # in one round trip with BEGIN
                    await AsyncSession(connection, self._schema).run(workflows.origin(self.root_id))
                with within_step(effect.key):
                    value = effect.step.function(connection, *effect.args, **effect.kwargs)
                    if inspect.isawaitable(value):
                        value = await value
                fact = effect.fact(value)
                recorded = self._kept(await AsyncSession(connection, self._schema).run(self._record(fact)))
                self._settler.before_commit([fact])
            self._settler.after_commit([fact])
            return recorded
        except _AlreadyRecorded as before:
            return before.recorded

    def transact_here(self, effect: Transact) -> Recorded:
        try:
            with self._pools.synchronous().connection() as connection:
                with connection.pipeline():
                    Session(connection, self._schema).run(workflows.origin(self.root_id))
                with within_step(effect.key):
                    value = effect.step.function(connection, *effect.args, **effect.kwargs)
                fact = effect.fact(value)
                recorded = self._kept(Session(connection, self._schema).run(self._record(fact)))
                self._settler.before_commit([fact])
            self._settler.after_commit([fact])
            return recorded
        except _AlreadyRecorded as before:
            return before.recorded

    def _record(self, fact: Fact) -> Call[dict[facts.Place, Recorded]]:
        return facts.record([fact], self._worker_id)

    def _kept(self, recorded: dict[facts.Place, Recorded]) -> Recorded:
        """What was recorded. Raises, so that the transaction is rolled back, when it must not be kept."""
        if not recorded:
            raise LeaseGone
        (answer,) = recorded.values()
        self.facts += 1
        if not answer.fresh:
            raise _AlreadyRecorded(answer)
        return answer

    async def block(self, wait: Wait) -> None:
        if self.hold is None:
            raise Suspended(wait)
        await self.hold(wait)
