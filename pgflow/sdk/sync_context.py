"""What a plain workflow is handed: the methods of `Context`, done at once. It runs in a thread of its worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from pgflow.sdk.base_context import BaseContext, in_transaction
from pgflow.sdk.colours import document_like
from pgflow.sdk.context import Context
from pgflow.sdk.driving import drive_here, on_loop
from pgflow.sdk.environment import Environment
from pgflow.sdk.event_verbs import EventKey
from pgflow.sdk.op import GroupOp, OnError, Op
from pgflow.sdk.replay import Replay
from pgflow.sdk.step import Step
from pgflow.sdk.task import Duration, Key, Task
from pgflow.sdk.verbs import Handle

if TYPE_CHECKING:
    from psycopg import Connection

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SyncChild(Generic[R]):
    """A child that was started.

    Attributes:
        id: its task's id.
    """

    _context: SyncContext
    _task: Task[..., R]
    _key: str
    id: int

    def result(self) -> R:
        """Wait for its result.

        Raises:
            TaskFailed: it failed for good.
            TaskCancelled: it was cancelled.
        """
        return self._context._do(self._context._result(self._task, self._key))  # type: ignore[no-any-return]


class SyncContext(BaseContext):
    """What a plain workflow is handed.

    Attributes:
        op: the same methods, whose results are to be handed to `gather`:
            `ctx.gather(ctx.op.step(a), ctx.op.run(b))`.

    Example:
        >>> @app.workflow                                                    # doctest: +SKIP
        ... def signup(ctx: SyncContext, user: User) -> str:
        ...     receipt = ctx.step(charge, user.card)
        ...     ctx.sleep("1h")
        ...     answer = ctx.signal("confirmed", Confirmation, timeout="3d")
        ...     return "done" if answer else "expired"
    """

    def __init__(self, replay: Replay, environment: Environment, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(replay, environment)
        self._loop = loop
        self.op = Context(replay, environment)

    def _do(self, op: Op[R]) -> R:
        if isinstance(op, GroupOp):
            return on_loop(op._drive(), self._loop)  # type: ignore[no-any-return]
        return drive_here(self._replay, op.begin(self._replay), self._loop)  # type: ignore[no-any-return]

    @overload
    def step(self, work: Step[P, R] | Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def step(self, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def step(self, work: str, /, *args: Any, **kwargs: Any) -> Any: ...
    def step(self, work: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self._do(self._step(work, args, kwargs))

    @overload
    def run(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def run(self, task: str, /, *args: Any, **kwargs: Any) -> Any: ...
    def run(self, task: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self._do(self._run(task, args, kwargs))

    def start(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> SyncChild[R]:
        return self._do(self._start(SyncChild, task, args, kwargs))

    @overload
    def map(
        self, work: Task[Concatenate[T, ...], R] | Step[Concatenate[T, ...], R], items: Iterable[T], *,
        concurrency: int | None = None, on_error: OnError = "raise",
    ) -> list[R]: ...  # fmt: skip
    @overload
    def map(
        self, work: Callable[[T], R], items: Iterable[T], *, concurrency: int | None = None,
        on_error: OnError = "raise",
    ) -> list[R]: ...  # fmt: skip
    def map(
        self, work: Any, items: Iterable[Any], *, concurrency: int | None = None, on_error: OnError = "raise"
    ) -> list[Any]:
        return self._do(self._map(work, items, concurrency, on_error))

    def gather(self, *ops: Op[Any], concurrency: int | None = None, on_error: OnError = "raise") -> list[Any]:
        return self._do(self._gather(ops, concurrency, on_error))

    def sleep(self, time: Duration) -> None:
        return self._do(self._sleep_for(time))

    wait = sleep

    def sleep_until(self, instant: datetime) -> None:
        return self._do(self._sleep_until(instant))

    @overload
    def signal(self, name: str, kind: type[T], *, timeout: Duration) -> T | None: ...
    @overload
    def signal(self, name: str, kind: type[T]) -> T: ...
    @overload
    def signal(self, name: str, *, timeout: Duration | None = None) -> Any: ...
    def signal(self, name: str, kind: Any = None, *, timeout: Duration | None = None) -> Any:
        return self._do(self._signal(name, kind, timeout))

    @overload
    def event(
        self, name: str, kind: type[T], *, key: EventKey | None = None, match: str | None = None,
        values: Mapping[str, Any] | None = None, timeout: Duration, since: datetime | None = None,
    ) -> T | None: ...  # fmt: skip
    @overload
    def event(
        self, name: str, kind: type[T], *, key: EventKey | None = None, match: str | None = None,
        values: Mapping[str, Any] | None = None, since: datetime | None = None,
    ) -> T: ...  # fmt: skip
    @overload
    def event(
        self, name: str, *, key: EventKey | None = None, match: str | None = None,
        values: Mapping[str, Any] | None = None, timeout: Duration | None = None, since: datetime | None = None,
    ) -> Any: ...  # fmt: skip
    def event(
        self, name: str, kind: Any = None, *, key: EventKey | None = None, match: str | None = None,
        values: Mapping[str, Any] | None = None, timeout: Duration | None = None, since: datetime | None = None,
    ) -> Any:  # fmt: skip
        return self._do(self._event(name, kind, key, match, values, timeout, since))

    def send_signal(self, run: int | Handle[Any] | Key, name: str, payload: Any = None) -> None:
        return self._do(self._send_signal(run, name, payload))

    @overload
    def tx(self, work: Step[[Connection[Any]], R], /) -> R: ...
    @overload
    def tx(self, work: Callable[[Connection[Any]], R], /) -> R: ...
    def tx(self, work: Any, /) -> Any:
        return self._do(self._step(in_transaction(work), (), {}, True))


document_like(SyncContext, Context)
