"""The engine itself in a test's process: on a database of the test's own, driven by hand, with time that is skipped.

Nothing here runs by itself. `drive` lets an executor claim, run and commit until nothing is ready, running or due;
then, if the test wants more, the clock of the test's database is moved to the next instant at which something falls
due. So a sleep of a month takes as long as a commit, and nothing is waited for in fact but the handlers' own work.

The clock is `pgflow.now()` of that database: all its sessions, in whichever process, follow at once. The duties of the
leader that a test needs (timers, time-outs, admission) are done here; leases do not run out by themselves, `kill` is
how a worker dies.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from pgflow import duration
from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.db.link import Link
from pgflow.engine import control, inspection, leadership, leases, limits, reaping, workers
from pgflow.errors import PgflowError
from pgflow.model import Lane, Outcome, Priority, State
from pgflow.runtime.schedules import Schedules
from pgflow.runtime.timers import Timers
from pgflow.sdk import verbs
from pgflow.sdk.app import App
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.task import Duration, Task
from pgflow.sdk.verbs import Handle
from pgflow.testing.database import advance
from pgflow.testing.mortal import Items, Mortal, Watch, drop

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

LOOK = 0.05
"""Seconds after which a handler that is still at work is looked at for cancellations and for what it enqueued."""
PATIENCE = 200
"""Looks at what a dead worker's transaction still holds."""
MOST_SKIPS = 10_000


class Stalled(PgflowError):
    """What a test waits for will never come: nothing is ready, and no timer is left."""


class LocalEngine:
    """A whole engine in a test. Made by the fixture `pgflow_engine`.

    Args:
        app: whose tasks and workflows it runs.
        settings: a database with a test clock, as the fixture `pgflow_database` gives.
        concurrency: how many handlers at once.
        schedules: have the schedules that the app declares fire as time passes; those that a test makes always do.

    Attributes:
        client: an async client of it.

    Example:
        >>> async def test_signup(pgflow_engine):                            # doctest: +SKIP
        ...     engine = pgflow_engine(app)
        ...     run = await engine.start(signup, user)
        ...     await engine.advance("2d")
        ...     await engine.client.signal(run, "confirmed", Confirmation(by="ann"))
        ...     assert await engine.result(run) == "done"
    """

    def __init__(self, app: App, settings: Settings, *, concurrency: int = 16, schedules: bool = False) -> None:
        self.app, self.settings = app, settings
        self.client = AsyncClient(settings, app.tasks)
        self.watch: Watch = _unwatched
        self.reconnect = False
        """Give the successor of a killed worker new connections, in place of the dead one's."""
        self.haunt: Callable[[Mortal], Awaitable[None]] = _in_peace
        """Called with a dead worker when another has claimed what it held, before that one begins."""
        self._concurrency, self._schedules = concurrency, schedules
        self._link = Link(settings, "test")
        self._executor: Mortal | None = None
        self._ghost: Mortal | None = None
        self._beaten = 0.0
        self._patience = 0
        self._changed = asyncio.Event()
        self._sync_client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def sync_client(self) -> Client:
        """A client of it for plain code."""
        if self._sync_client is None:
            self._sync_client = Client(self.settings, self.app.tasks)
        return self._sync_client

    async def call(self, call: Call[T]) -> T:
        """Run a verb of the engine on the test's own connection."""
        self._loop = asyncio.get_running_loop()
        return await self._link.run(call)

    async def call_together(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Run verbs in one transaction."""
        return await self._link.run_together(calls)

    async def own_client(self) -> AsyncClient:
        """A client on the test's own connection, for when nothing else may use one."""
        self._loop = asyncio.get_running_loop()
        return self.client.on(await self._link.connection())

    async def start(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Start a workflow or a task; it runs as soon as the engine is driven."""
        return await (await self.own_client()).start(task, *args, **kwargs)

    async def run(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Start a workflow or a task and drive the engine until it has its outcome, skipping time. Returns its result.

        Raises:
            TaskFailed: it failed for good.
            TaskCancelled: it was cancelled.
            Stalled: it waits for what nobody sends, or needs attention.
        """
        handle = await self.start(task, *args, **kwargs)
        found = await self.outcome(handle)
        return verbs.value(handle.id, found, task)  # type: ignore[no-any-return]

    async def result(self, run: Handle[R] | int) -> R:
        """Drive the engine until a run has its outcome, skipping time. Returns its result.

        Raises:
            TaskFailed, TaskCancelled, Stalled: as for `run`.
        """
        id = run if isinstance(run, int) else run.id
        found = await self.outcome(run)
        (row,) = await self.call(inspection.tasks_of(id, roots_only=True))
        return verbs.value(id, found, self.app.tasks.get(row["name"]))  # type: ignore[no-any-return]

    async def outcome(self, run: Handle[Any] | int) -> Outcome:
        """Drive the engine until a run has its outcome, skipping time. Returns it, whatever it is."""
        id = run if isinstance(run, int) else run.id
        found: dict[int, Outcome] = {}

        async def ended() -> bool:
            outcomes = await self.call(control.outcomes([control.Located(id, id, True)]))
            found.update(outcomes)
            return bool(found)

        try:
            await self.drive(ended)
        except Stalled as error:
            raise Stalled(await self._standing(id), hint=error.hint) from None
        return found[id]

    async def drive(self, until: Callable[[], bool | Awaitable[bool]] | None = None) -> None:
        """Let the engine work, skipping time, until this holds; without it, until nothing is left to be done, but for
        what schedules will start.

        Raises:
            Stalled: it will never hold.
        """
        for _ in range(MOST_SKIPS):
            pulse = await self._work()
            if until is not None and await _holds(until):
                return
            if until is None and pulse.due == pulse.scheduled:
                return
            if pulse.due is None:
                raise Stalled(
                    "nothing is ready, and no timer is left; what the test waits for will never come",
                    hint="send the signal that is waited for, or cancel the run",
                )
            await self._skip(pulse.due - pulse.now)
        raise Stalled(f"there is no end to it: time was skipped {MOST_SKIPS:,} times")

    async def settle(self) -> None:
        """Let the engine work until nothing is ready, running or due by now. Skips no time."""
        await self._work()

    async def advance(self, by: Duration) -> None:
        """Let time pass, with all that falls due in it, in its order.

        Args:
            by: seconds, `timedelta` or text such as "30d".
        """
        pulse = await self._work()
        end = pulse.now + duration.parse(by)
        while pulse.due is not None and pulse.due <= end:
            await self._skip(pulse.due - pulse.now)
            pulse = await self._work()
        if pulse.now < end:
            await self._skip(end - pulse.now)
            await self._work()

    async def now(self) -> datetime:
        """The engine's clock."""
        return datetime.fromtimestamp((await self.call(leadership.pulse())).now, UTC)

    async def kill(self) -> None:
        """Let the worker die now: nothing that it has not committed ever is. Its leases are taken back at once, and
        another worker goes on when the engine is next driven."""
        executor = self._executor
        if executor is not None:
            executor.die(sent=False)
            await self._succeed(executor)

    def forget_watch(self) -> None:
        """Watch no more."""
        self.watch, self.haunt = _unwatched, _in_peace

    async def _work(self) -> leadership.Pulse:
        executor = self._executor or await self._begin()
        if time.monotonic() - self._beaten > self.settings.lease / 4:
            await self._beat(executor)  # the test may have done other things for long
        executor.go_on()
        try:
            while True:
                assert self._executor is not None
                executor = self._executor
                if executor.failure is not None:
                    raise executor.failure
                if executor.dead:
                    executor = await self._succeed(executor)
                    executor.go_on()
                self._changed.clear()
                await self._claim(executor)
                if executor.busy:
                    await self._change(executor)
                    continue
                if executor.dead or self._changed.is_set():  # what was committed during the claim may be ready
                    continue
                pulse = await self.call(leadership.pulse())
                if await self._reap(pulse):
                    continue
                due = pulse.pending or (pulse.due is not None and pulse.due <= pulse.now)
                if not due or not await self._fire(pulse):
                    return pulse
        finally:
            await executor.pause()

    async def _begin(self) -> Mortal:
        executor = Mortal(self.settings, self.app.tasks, self._concurrency, self._changed.set, self._watched)
        await executor.register()
        if self._schedules:
            await executor.declare()
        self._beaten = time.monotonic()
        self._executor = executor
        return executor

    def _watched(self, executor: Mortal, moment: str, items: Items) -> None:
        self.watch(executor, moment, items)

    async def _succeed(self, dead: Mortal) -> Mortal:
        """Bury a dead executor, as a supervisor does, and put another in its place."""
        heir = Mortal(self.settings, self.app.tasks, self._concurrency, self._changed.set, self._watched)
        await dead.vanish(None if self.reconnect else heir)
        await self.call(workers.close([dead.worker_id], "died in a test"))
        while await self.call(
            reaping.reap([dead.worker_id], max_crashes=self.settings.max_crashes, blamed=dead.blamed)
        ):
            pass
        await heir.succeed()
        self._executor, self._ghost = heir, dead
        return heir

    async def _claim(self, executor: Mortal) -> None:
        runner = executor.runner
        if not runner.in_hand and executor.settler.backlog:
            return  # what is being committed comes first
        room = runner.concurrency - runner.stuck_threads - runner.in_hand
        lanes = [Lane(queue, priority) for queue in executor.lanes.queues for priority in Priority]
        claimed = await self.call(leases.claim(lanes, [0] * len(lanes), room, executor.worker_id)) if room > 0 else []
        executor.full = len(claimed) >= room
        if claimed:
            ghost, self._ghost = self._ghost, None
            if ghost is not None:
                await self.haunt(ghost)
            runner.add(claimed)

    async def _change(self, executor: Mortal) -> None:
        try:
            async with asyncio.timeout(LOOK):
                await self._changed.wait()
        except TimeoutError:
            await self._beat(executor)

    async def _beat(self, executor: Mortal) -> None:
        self._beaten = time.monotonic()
        pulse = workers.Pulse(executor.worker_id, executor.runner.in_hand, {})
        answer = await self.call(workers.beat([pulse], self.settings.lease))
        for _, task_id, epoch in answer.cancelled:
            executor.runner.cancel(task_id, epoch)

    async def _reap(self, pulse: leadership.Pulse) -> bool:
        """Take back what a dead worker's transaction still held when it was buried. Returns whether there was any."""
        if pulse.expiry is None or pulse.expiry > pulse.now or self._patience >= PATIENCE:
            self._patience = 0
            return False
        closed = await self.call(workers.expire())
        if not await self.call(reaping.reap(closed, max_crashes=self.settings.max_crashes)):
            self._patience += 1
            await asyncio.sleep(0.005)  # that transaction is being rolled back
        return bool(closed)

    async def _fire(self, pulse: leadership.Pulse) -> int:
        fired = await Timers().fire(self.call) + await Schedules().look(self.call, pulse)
        queues = await self.call(limits.pending())
        return fired + (await self.call(limits.admit(queues)) if queues else 0)

    async def _skip(self, seconds: float) -> None:
        await self.call(advance(max(0.0, seconds) + 0.001))
        if self._executor is not None:
            await self._beat(self._executor)

    async def _standing(self, run_id: int) -> str:
        """Where the tasks of a run are, for a person."""
        lines = []
        rows = await self.call(inspection.tasks_of(run_id, limit=100))
        for row in reversed(rows):
            state = State(row["state"])
            if not state.final:
                why = await self._why(run_id, row["id"]) if state is State.NEEDS_ATTENTION else ""
                lines.append(f"{row['name']} (task {row['id']}) is {state}{why}")
        return f"run {run_id} will never end: {'; '.join(lines[:10])}"

    async def _why(self, run_id: int, task_id: int) -> str:
        events = await self.call(inspection.events(run_id, task_id))
        parked = [event["data"] for event in events if event["type"] == "workflow.parked"]
        return f": {parked[-1].get('type')}: {parked[-1].get('message')}" if parked else ""

    async def close(self) -> None:
        """Close everything; what is ready or waits stays in the database."""
        executor, self._executor = self._executor, None
        if executor is not None:
            await executor.close()
        await self.client.close()
        await self._link.close()
        self._loop = None
        if self._sync_client is not None:
            self._sync_client.close()

    def finish(self) -> None:
        """Close everything from outside of the test's loop, whether that still is or not."""
        loop = self._loop
        if loop is not None and not loop.is_closed() and not loop.is_running():
            loop.run_until_complete(self.close())
            return
        executor = self._executor
        if executor is not None:
            executor._own.connections().close()
        for link in (self._link, *(executor.links if executor is not None else ())):
            drop(link)

    async def __aenter__(self) -> LocalEngine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _holds(until: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = until()
    return bool(await answer if inspect.isawaitable(answer) else answer)


def _unwatched(_: Mortal, __: str, ___: Items) -> None:
    return None


async def _in_peace(_: Mortal) -> None:
    return None
