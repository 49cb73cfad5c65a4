"""What a workflow is handed: `Context` for async ones; `SyncContext`, with the same names, for plain ones.

Each method that may take time gives an `Op`: to be awaited, or handed to `ctx.gather`. Its key is drawn when it is
called, not when it is awaited, so that it is the same at every replay.

The code of a workflow runs again from the top whenever it goes on after a suspension. So all that it does outside of
steps happens again, `finally` and `with` blocks included, and must come to the same decisions: the time, random numbers
and ids are had from the context. `pgflow lint` looks for the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from pgflow.sdk.base_context import BaseContext, in_transaction
from pgflow.sdk.event_verbs import EventKey
from pgflow.sdk.op import OnError, Op
from pgflow.sdk.step import Step
from pgflow.sdk.task import Duration, Key, Task
from pgflow.sdk.verbs import Handle

if TYPE_CHECKING:
    from psycopg import AsyncConnection

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Child(Generic[R]):
    """A child that was started.

    Attributes:
        id: its task's id.
    """

    _context: Context
    _task: Task[..., R]
    _key: str
    id: int

    def result(self) -> Op[R]:
        """Wait for its result.

        Raises:
            TaskFailed: it failed for good.
            TaskCancelled: it was cancelled.
        """
        return self._context._result(self._task, self._key)


class Context(BaseContext):
    """What an async workflow is handed.

    Example:
        >>> @app.workflow                                                    # doctest: +SKIP
        ... async def signup(ctx: Context, user: User) -> str:
        ...     receipt = await ctx.step(charge, user.card)
        ...     await ctx.sleep("1h")
        ...     answer = await ctx.signal("confirmed", Confirmation, timeout="3d")
        ...     return "done" if answer else "expired"
    """

    @overload
    def step(self, work: Step[P, R] | Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Op[R]: ...
    @overload
    def step(self, work: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Op[R]: ...
    @overload
    def step(self, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Op[R]: ...
    @overload
    def step(self, work: str, /, *args: Any, **kwargs: Any) -> Op[Any]: ...
    def step(self, work: Any, /, *args: Any, **kwargs: Any) -> Op[Any]:
        """Call a function and record its result: once, unless the worker dies in between, then again.

        Args:
            work: a function, plain or async; a step with options (`pgflow.step(...)`, `app.step`); or the name of a
                registered step.
            *args: what to call it with.
            **kwargs: likewise.

        Raises:
            StepFailed: its tries are spent.
            NotRecordable: it has no name, or its result cannot be stored.
        """
        return self._step(work, args, kwargs)

    @overload
    def run(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Op[R]: ...
    @overload
    def run(self, task: str, /, *args: Any, **kwargs: Any) -> Op[Any]: ...
    def run(self, task: Any, /, *args: Any, **kwargs: Any) -> Op[Any]:
        """Run a child, a task or a workflow, in any worker, and wait for its result.

        Raises:
            TaskFailed: it failed for good.
            TaskCancelled: it was cancelled.
        """
        return self._run(task, args, kwargs)

    def start(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Op[Child[R]]:
        """Start a child and go on; `await child.result()` waits for it."""
        return self._start(Child, task, args, kwargs)

    @overload
    def map(
        self, work: Task[Concatenate[T, ...], R] | Step[Concatenate[T, ...], R], items: Iterable[T], *,
        concurrency: int | None = None, on_error: OnError = "raise",
    ) -> Op[list[R]]: ...  # fmt: skip
    @overload
    def map(
        self, work: Callable[[T], Awaitable[R]], items: Iterable[T], *, concurrency: int | None = None,
        on_error: OnError = "raise",
    ) -> Op[list[R]]: ...  # fmt: skip
    @overload
    def map(
        self, work: Callable[[T], R], items: Iterable[T], *, concurrency: int | None = None,
        on_error: OnError = "raise",
    ) -> Op[list[R]]: ...  # fmt: skip
    def map(
        self, work: Any, items: Iterable[Any], *, concurrency: int | None = None, on_error: OnError = "raise"
    ) -> Op[list[Any]]:
        """Call one thing for many items: a task or workflow as children, a function as steps. Results in order.

        Args:
            work: what to call with each item.
            items: one argument each.
            concurrency: how many at once; all unless given.
            on_error: `raise` the first error, when all have ended, or `return` errors in the place of results.
        """
        return self._map(work, items, concurrency, on_error)

    def gather(self, *ops: Op[Any], concurrency: int | None = None, on_error: OnError = "raise") -> Op[list[Any]]:
        """Do several things beside each other: `ctx.gather(ctx.step(a), ctx.run(b), ctx.sleep(5))`. Results in order.

        Args:
            *ops: what other methods of this context gave, not yet awaited.
            concurrency: how many at once; all unless given.
            on_error: `raise` the first error, when all have ended, or `return` errors in the place of results.
        """
        return self._gather(ops, concurrency, on_error)

    def sleep(self, time: Duration) -> Op[None]:
        """Wait for so long (seconds, `timedelta` or text such as "1h30m"). Holds no worker."""
        return self._sleep_for(time)

    wait = sleep

    def sleep_until(self, instant: datetime) -> Op[None]:
        """Wait until an instant, with a time zone. Holds no worker."""
        return self._sleep_until(instant)

    @overload
    def signal(self, name: str, kind: type[T], *, timeout: Duration) -> Op[T | None]: ...
    @overload
    def signal(self, name: str, kind: type[T]) -> Op[T]: ...
    @overload
    def signal(self, name: str, *, timeout: Duration | None = None) -> Op[Any]: ...
    def signal(self, name: str, kind: Any = None, *, timeout: Duration | None = None) -> Op[Any]:
        """Wait for a signal from outside (`client.signal(run, name, payload)`). Holds no worker.

        One that came before is taken at once; each signal is taken once, in the order in which they came.

        Args:
            name: what it is called.
            kind: what its payload is to be: a model, a dataclass, any annotation.
            timeout: how long to wait; None is the answer then.
        """
        return self._signal(name, kind, timeout)

    @overload
    def event(
        self, name: str, kind: type[T], *, key: EventKey | None = None, match: str | None = None,
        values: Mapping[str, Any] | None = None, timeout: Duration, since: datetime | None = None,
    ) -> Op[T | None]: ...  # fmt: skip
    @overload
    def event(
        self, name: str, kind: type[T], *, key: EventKey | None = None, match: str | None = None,
        values: Mapping[str, Any] | None = None, since: datetime | None = None,
    ) -> Op[T]: ...  # fmt: skip
    @overload
    def event(
        self, name: str, *, key: EventKey | None = None, match: str | None = None,
        values: Mapping[str, Any] | None = None, timeout: Duration | None = None, since: datetime | None = None,
    ) -> Op[Any]: ...  # fmt: skip
    def event(
        self, name: str, kind: Any = None, *, key: EventKey | None = None, match: str | None = None,
        values: Mapping[str, Any] | None = None, timeout: Duration | None = None, since: datetime | None = None,
    ) -> Op[Any]:  # fmt: skip
        """Wait for an application event (`client.emit(name, payload, key=...)`). Holds no worker.

        One that was emitted since the run began is taken at once; a run takes each event once, the oldest first.

        Args:
            name: what it is called.
            kind: what its payload is to be: a model, a dataclass, any annotation.
            key: only events with this key.
            match: only events for which this expression holds, such as `event.payload.amount > 10`.
            values: what the expression may name beside `event`: any JSON, by name.
            timeout: how long to wait; None is the answer then.
            since: take those that were emitted since then, with a time zone.

        Raises:
            ArgumentError: something makes no sense, or the payload is no such kind.
            ExpressionError: the expression does not parse.

        Example:
            >>> paid = await ctx.event("order/paid", Paid, key=order.id, timeout="2d")   # doctest: +SKIP
        """
        return self._event(name, kind, key, match, values, timeout, since)

    def send_signal(self, run: int | Handle[Any] | Key, name: str, payload: Any = None) -> Op[None]:
        """Send a signal to another run, once: to its id or handle, or to `workflow.by_key(key)`."""
        return self._send_signal(run, name, payload)

    @overload
    def tx(self, work: Step[[AsyncConnection[Any]], R], /) -> Op[R]: ...
    @overload
    def tx(self, work: Callable[[AsyncConnection[Any]], Awaitable[R]], /) -> Op[R]: ...
    def tx(self, work: Any, /) -> Op[Any]:
        """Call a function with a database connection and record its result in the same transaction: exactly once.

        What it enqueues with `ctx.client.on(db)` is part of it, too. It must neither commit nor roll back.

        Example:
            >>> await ctx.tx(lambda db: save(db, user))                      # doctest: +SKIP
        """
        return self._step(in_transaction(work), (), {}, True)
