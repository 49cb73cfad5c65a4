"""What a workflow's context needs of whoever runs it: a journal to write to, and a way to wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pgflow.engine.children import Child
from pgflow.engine.facts import Fact, Progress, Try
from pgflow.sdk.step import Step

Entry = Fact | Try | Child | Progress


@dataclass(frozen=True, slots=True)
class Wait:
    """What a workflow is stopped by.

    Args:
        arrivals: how many it lacks at least, of children and signals.
        due: when to look again at the latest.
    """

    arrivals: int = 0
    due: datetime | None = None


@dataclass(slots=True)
class Invoke:
    """To be done: call the function of a step."""

    step: Step[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    key: str


@dataclass(slots=True)
class Transact:
    """To be done: call the function of a step with a connection, and record its result in the same transaction."""

    step: Step[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    key: str
    fact: Callable[[Any], Fact]


@dataclass(slots=True)
class Commit:
    """To be done: write the entry and wait until it is committed; the answer is what the statement says of it."""

    entry: Entry


class Flush:
    """To be done: wait until all that was put before is committed."""


class Rehearse:
    """To be done: find out whether the code, going on from here, would still ask for all that is recorded."""


Effect = Invoke | Transact | Commit | Flush | Rehearse | Wait
FLUSH, REHEARSAL = Flush(), Rehearse()


class Journal(Protocol):
    """Writes what one running workflow decides, in the order given."""

    task_id: int
    root_id: int
    epoch: int

    def clock(self) -> datetime:
        """The database's clock, as far as is known without asking it."""
        ...

    def put(self, entry: Entry) -> None:
        """Have this written in the next commit."""
        ...

    def commit(self, entry: Entry) -> Awaitable[Any]:
        """Have this written; the answer is the statement's."""
        ...

    def settled(self) -> bool:
        """Whether all that was put is committed."""
        ...

    async def flush(self) -> None:
        """Wait until all that was put is committed."""
        ...

    async def transact(self, effect: Transact) -> Any:
        """Call a function with a connection and record its result in one transaction; the answer is what
        is recorded."""
        ...

    def transact_here(self, effect: Transact) -> Any:
        """Likewise, in the thread of a plain workflow."""
        ...

    async def block(self, wait: Wait) -> None:
        """Wait. Raises Suspension, unless it can return once there is something new in the history."""
        ...
