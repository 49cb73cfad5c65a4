"""Contexts without a database: a workflow that is called with one runs whole, here and now.

    result = await signup(Inline(signals={"confirmed": [Confirmation(by="ann")]}), user)

Operations, keys, retries, the encoding of values and how a run ends are the worker's own code. What differs: nothing is
written, so nothing survives the process; the code runs once, not again after each suspension; and time is the
context's own. It passes only when nobody can go on, and then at once up to the next instant at which somebody can.

Children run here as well, child workflows with a context of their own (`ctx.children`). A child that is retried does
so without rests. An error that leaves the code of the workflow itself is raised as it is, after what was registered
with `ctx.compensate` has been done; it is not retried.
"""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pgflow import duration
from pgflow.codec import DEFAULT_PAYLOAD_LIMIT
from pgflow.errors import NotRecordable, WorkflowError
from pgflow.model import Priority
from pgflow.sdk.attempt import CELL, Cell
from pgflow.sdk.base_context import BaseContext
from pgflow.sdk.context import Context
from pgflow.sdk.environment import Environment
from pgflow.sdk.replay import Replay
from pgflow.sdk.sync_context import SyncContext
from pgflow.sdk.task import Duration, Task, make
from pgflow.sdk.workflow import Workflow
from pgflow.testing.inline_journal import Happening, InlineJournal
from pgflow.testing.inline_runs import Family, InlineContext, fulfil, in_this_loop, root
from pgflow.testing.world import Sent, World

if TYPE_CHECKING:
    from pgflow.sdk.app import App

Signals = Mapping[str, Any]


class _Told(BaseContext):
    """What a test can ask of either context."""

    journal: InlineJournal
    _family: Family
    _used: bool

    @property
    def history(self) -> list[Happening]:
        """What the workflow asked for, in order, with what came of it."""
        return self.journal.happened

    @property
    def keys(self) -> list[str]:
        """The keys of `history`."""
        return [happening.key for happening in self.journal.happened]

    @property
    def state(self) -> Any:
        """What `ctx.set_state` last showed."""
        return self.journal.state

    @property
    def notes(self) -> list[str]:
        """The notes of `ctx.heartbeat`."""
        return self.journal.notes

    @property
    def progress(self) -> float | None:
        """The last progress of `ctx.heartbeat`."""
        return self.journal.progress

    @property
    def slept(self) -> list[timedelta]:
        """How long each `ctx.sleep` was to be."""
        return self.journal.slept

    @property
    def sent(self) -> list[Sent]:
        """The signals that were sent, by the children, too."""
        return self._family.world.sent

    @property
    def elapsed(self) -> timedelta:
        """How much time has passed on the run's clock."""
        world = self._family.world
        return world.now - world.began

    @property
    def children(self) -> Mapping[str, Any]:
        """The contexts of child workflows, by key."""
        return self.journal.contexts

    def _task(self, work: Any) -> Task[..., Any]:
        tasks = self._family.world.tasks
        if isinstance(work, str) and work not in tasks:
            raise NotRecordable(f"no task or workflow is known here as {work!r}", hint="Inline(app=app)")
        found = super()._task(work)
        tasks[found.name] = found
        return found

    def _set_up(
        self, now: datetime | None, signals: Signals | None, events: Signals | None, db: Any, client: Any,
        app: App | None, cancel_after: Duration | None,
    ) -> None:  # fmt: skip
        world = World(now or datetime.now(UTC), {} if app is None else app.tasks)
        self._family = Family(world, {} if app is None else app.steps, client, db, _context)
        self.journal = self._family.journal("the workflow")
        self._used = False
        if cancel_after is not None:
            due = world.now + timedelta(seconds=duration.parse(cancel_after))
            world.at(due, self._cancel, world.anybody_waits)
        world.given(signals or {}, events or {})
        replay = Replay(self.journal, self.journal.history)
        self.begin(replay, self._family.environment(_nameless(isinstance(self, Context)), replay))

    def begin(self, replay: Replay, environment: Environment) -> None:
        """Take this replay up."""
        self._replay, self._environment, self.log = replay, environment, environment.log

    def _cancel(self) -> bool:
        self._replay.interrupted = True
        self._family.world.wake(self.task_id)
        return False

    def _use(self) -> None:
        if self._used:
            raise WorkflowError("this context has had its run", hint="make another for another run")
        self._used = True


class Inline(_Told, Context):
    """A context for an async workflow, without a database. One is good for one run.

    Args:
        signals: what the run is sent, by name: a list of payloads, in order. They are there from the beginning, but for
            `After("3d", payload)`. Time-outs fire for those that do not come.
        events: which application events happen, by name, likewise; one with a key is `Emitted(payload, key=...)`.
        db: what `ctx.tx` hands to its function; a psycopg connection gets a transaction around it.
        client: what `ctx.client` is.
        app: whose tasks and steps are known by name.
        now: the instant at which the run begins; the present one unless given.
        cancel_after: have the run cancelled when it is so old.

    Raises:
        WaitsForEver: the workflow waits for a signal without a time-out that is not among the given ones.
        NotGiven: it asks for a connection or a client that was not given.

    Example:
        >>> ctx = Inline(signals={"confirmed": [Confirmation(by="ann")]})    # doctest: +SKIP
        >>> assert await signup(ctx, user) == "done"                         # doctest: +SKIP
        >>> assert ctx.keys == ["charge", "send_email", "$sleep", "$signal:confirmed"]   # doctest: +SKIP
    """

    def __init__(
        self, *, signals: Signals | None = None, events: Signals | None = None, db: Any = None, client: Any = None,
        app: App | None = None, now: datetime | None = None, cancel_after: Duration | None = None,
    ) -> None:  # fmt: skip
        self._set_up(now, signals, events, db, client, app, cancel_after)

    async def conduct(self, workflow: Workflow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a workflow with this context, as `workflow(ctx, *args)` does."""
        self._use()
        return await root(self._family, self, workflow, args, kwargs, in_this_loop)


class SyncInline(_Told, SyncContext):
    """A context for a plain workflow, without a database: as `Inline`, not awaited. Steps run in the test's thread.

    Example:
        >>> assert signup(SyncInline(), user) == "expired"                   # doctest: +SKIP
    """

    def __init__(
        self, *, signals: Signals | None = None, events: Signals | None = None, db: Any = None, client: Any = None,
        app: App | None = None, now: datetime | None = None, cancel_after: Duration | None = None,
    ) -> None:  # fmt: skip
        self._loop = _background_loop()
        self.op = _Beside.__new__(_Beside)
        self._set_up(now, signals, events, db, client, app, cancel_after)

    def begin(self, replay: Replay, environment: Environment) -> None:
        super().begin(replay, environment)
        assert isinstance(self.op, _Beside)
        self.op._family = self._family
        self.op.begin(replay, environment)

    def conduct(self, workflow: Workflow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a workflow with this context, as `workflow(ctx, *args)` does."""
        self._use()
        desk = _Desk()
        work = root(self._family, self, workflow, args, kwargs, desk.call)
        return desk.serve(asyncio.run_coroutine_threadsafe(work, self._loop))


class _Beside(_Told, Context):
    """`ctx.op` of a plain workflow."""


class _Desk:
    """Where the loop has functions called in the thread that waits for the run."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()

    async def call(
        self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], timeout: float | None
    ) -> Any:
        future: Future[Any] = Future()
        self._waiting.put((future, partial(_within, CELL.get(), function, *args, **kwargs)))
        async with asyncio.timeout(timeout):
            return await asyncio.wrap_future(future)

    def serve(self, done: Future[Any]) -> Any:
        done.add_done_callback(lambda _: self._waiting.put(None))
        while (work := self._waiting.get()) is not None:
            fulfil(*work)
        return done.result()


def _context(family: Family, journal: InlineJournal, is_async: bool) -> InlineContext:
    """The context of a child workflow."""
    context: Inline | SyncInline
    if is_async:
        context = Inline.__new__(Inline)
    else:
        context = SyncInline.__new__(SyncInline)
        context._loop = asyncio.get_running_loop()
        context.op = _Beside.__new__(_Beside)
    context._family, context.journal, context._used = family, journal, True
    return context


def _within(cell: Cell | None, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call the function here, with what `pgflow.current()` tells on the loop."""
    token = CELL.set(cell)
    try:
        return function(*args, **kwargs)
    finally:
        CELL.reset(token)


@cache
def _nameless(is_async: bool) -> Task[..., Any]:
    """The workflow of a context that was handed to a function which is none, such as a part of one."""

    async def part() -> None: ...

    def plain_part() -> None: ...

    return make(
        part if is_async else plain_part, name="part", queue="default", priority=Priority.NORMAL, retry=None,
        timeout=None, unique=None, slot=None, payload_limit=DEFAULT_PAYLOAD_LIMIT,
    )  # fmt: skip


@cache
def _background_loop() -> asyncio.AbstractEventLoop:
    """A loop in a thread, for all plain workflows of this process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="pgflow-inline-loop", daemon=True)
    thread.start()

    def stop() -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(1.0)
        if not loop.is_running():
            loop.close()

    atexit.register(stop)
    return loop
