"""What a context's methods give: something asked for, to be awaited or handed to `ctx.gather`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, Literal, TypeVar

from pgflow.errors import NotRecordable, WorkflowError
from pgflow.sdk.driving import Group, drive
from pgflow.sdk.operations import Operation
from pgflow.sdk.replay import Place, Replay

R = TypeVar("R")
OnError = Literal["raise", "return"]


class Op(Generic[R]):
    """Something asked of a context, to be awaited or handed to `ctx.gather`."""

    __slots__ = ("_name", "_operation", "_place", "_replay")

    def __init__(self, replay: Replay, name: str, operation: Operation) -> None:
        self._replay, self._name, self._operation = replay, name, operation
        self._place = Place()
        replay.unstarted[id(self)] = (name, self._place)

    def begin(self, replay: Replay) -> Operation:
        """The operation, to be driven now; each only once."""
        if replay is not self._replay or self._replay.unstarted.pop(id(self), None) is None:
            raise NotRecordable(f"{self._place}: ctx.{self._name} was awaited twice, or belongs to another run")
        replay.standing = self._place
        return self._operation

    def __await__(self) -> Generator[Any, Any, R]:
        return self._drive().__await__()

    async def _drive(self) -> R:
        replay = self._replay
        operation = self.begin(replay)
        if replay.busy is not None:
            raise NotRecordable(
                f"{self._place}: ctx.{self._name} is awaited while ctx.{replay.busy} is",
                hint="for things beside each other use ctx.gather or ctx.map, not asyncio's",
            )
        replay.busy = self._name
        try:
            return await drive(replay, operation)  # type: ignore[no-any-return]
        finally:
            replay.busy = None


def _nothing() -> Operation:
    yield from ()


class GroupOp(Op[R]):
    """Several operations beside each other."""

    __slots__ = ("_concurrency", "_members", "_on_error")

    def __init__(
        self, replay: Replay, name: str, members: list[Operation], concurrency: int | None, on_error: OnError
    ) -> None:
        super().__init__(replay, name, _nothing())
        self._members, self._concurrency, self._on_error = members, concurrency, on_error

    async def _drive(self) -> R:
        replay = self._replay
        self.begin(replay)
        replay.busy = self._name
        group = Group(replay, self._members, self._concurrency)
        try:
            await group.run()
        finally:
            replay.busy = None
        for number in sorted(group.errors):
            error = group.errors[number]
            if self._on_error == "raise" or isinstance(error, WorkflowError):
                raise error
            group.results[number] = error
        return group.results  # type: ignore[return-value]
