"""Following the history: events in the order in which they became final, from a cursor on.

Ids are given out before they are visible: a reader that stands at 102 never sees 101 commit. Nor is a gap in the ids
one that will be filled. So the order is by the id of the transaction that wrote the event, then by the event's own; and
only what was written by transactions below `pg_snapshot_xmin` is shown. All of those have ended, so nothing can surface
any more before what was shown: whoever keeps the cursor goes on without gap or double.

The price: a transaction that has written anything, anywhere on the server, holds back the events of all that began to
write after it, for as long as it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

from pgflow.db.call import Call, Rows
from pgflow.errors import ArgumentError
from pgflow.model import EventType

QUEUE = "@events"
"""The name under which whoever rests on events asks to be woken; no task's queue may begin with @."""
_TEXT = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
_GREATEST = 2**63 - 1


class Cursor(NamedTuple):
    """A place in the order of events: right behind the event with this xid and id.

    Its text form is `xid-id`. `0-0` is before the first event that is kept.

    Example:
        >>> Cursor.parse("7421-90")
        Cursor(xid=7421, id=90)
        >>> str(Cursor(7421, 90))
        '7421-90'
    """

    xid: int = 0
    id: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor that is written so, or an ArgumentError."""
        match = _TEXT.fullmatch(text)
        if match is None or max(map(int, match.groups())) > _GREATEST:
            raise ArgumentError(
                f"{text[:50]!r} is no cursor", hint="give one that came with an event, such as 7421-90, or 0-0"
            )
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return f"{self.xid}-{self.id}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task.

    Args:
        id: its id; ids do not tell the order.
        xid: the transaction that wrote it.
        root_id: the run.
        task_id: the task; the run itself when the two are equal.
        type: what happened.
        at: when, by the database's clock.
        attempt: the attempt's number; of a step, its try's.
        worker_id: the worker it happened in.
        key: the step, the timer, the signal.
        actor: who did it.
        data: more about it, by type.
        name: the task's name.
        step: the task's name within its parent.
        workflow: the run's name.
    """

    id: int
    xid: int
    root_id: int
    task_id: int
    type: str
    at: datetime
    attempt: int | None
    worker_id: int | None
    key: str | None
    actor: str | None
    data: Any
    name: str
    step: str | None
    workflow: str

    @property
    def cursor(self) -> Cursor:
        """The place right behind it."""
        return Cursor(self.xid, self.id)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are asked for; None: whichever.

    Args:
        run: only those of this run.
        types: only those of these types.
        workflows: only those of runs with these names.
    """

    run: int | None = None
    types: frozenset[str] | None = None
    workflows: frozenset[str] | None = None

    def fits(self, event: Event) -> bool:
        """Whether it is asked for."""
        return (
            (self.run is None or event.root_id == self.run)
            and (self.types is None or event.type in self.types)
            and (self.workflows is None or event.workflow in self.workflows)
        )


EVERYTHING = Filter()


def filter_of(
    *, run: int | None = None, types: Iterable[str] | None = None, workflows: Iterable[str] | None = None
) -> Filter:
    """A filter; a type may be a pattern, such as `workflow.*`.

    Raises:
        ArgumentError: no type of event is called so.
    """
    return Filter(
        run,
        None if types is None else frozenset(name for pattern in types for name in _types(pattern)),
        None if workflows is None else frozenset(workflows),
    )


def _types(pattern: str) -> Sequence[str]:
    known = [str(name) for name in EventType]
    found = known if pattern == "*" else [name for name in known if name == pattern or _begins(name, pattern)]
    if not found:
        raise ArgumentError(f"no type of event is called {pattern!r}", hint=f"one of: {', '.join(known)}")
    return found


def _begins(name: str, pattern: str) -> bool:
    return pattern.endswith(".*") and name.startswith(pattern[:-1])


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the history.

    Args:
        events: those that fit, in order.
        cursor: where the next page begins; past what did not fit.
        full: there may be more already.
        final: every transaction below it has ended.
        next: no transaction from there on had begun to write.
    """

    events: list[Event]
    cursor: Cursor
    full: bool
    final: int
    next: int


def after(cursor: Cursor, limit: int = 1000, asked: Filter = EVERYTHING) -> Call[Page]:
    """Look at up to `limit` events after the cursor, and take those that fit.

    Raises:
        ArgumentError: the cursor is ahead of the database, which therefore is not the one it came from.
    """
    params: dict[str, Any] = {
        "xid": cursor.xid,
        "id": cursor.id,
        "limit": limit,
        "types": None if asked.types is None else sorted(asked.types),
        "workflows": None if asked.workflows is None else sorted(asked.workflows),
    }

    def parse(rows: Rows) -> Page:
        final, following, count, last_xid, last_id = rows[0][:5]
        if cursor.xid > following:
            raise ArgumentError(
                f"cursor {cursor} is ahead of this database, whose next transaction is {following}",
                hint="was it restored from a dump? read again from 0-0, or from where it is now",
            )
        found = [Event(*row[5:]) for row in rows if row[5] is not None]
        full = count >= limit
        reached = Cursor(last_xid, last_id) if full else max(cursor, Cursor(final, 0))
        return Page(found, reached, full, final, following)

    if asked.run is None:
        return Call("event/after", params, parse)
    return Call("event/after_in_run", params | {"run": asked.run}, parse)


def latest() -> Call[Cursor]:
    """Behind all events whose place is final by now."""
    return Call("event/latest", {}, lambda rows: Cursor(rows[0][0], 0))


def heed() -> Call[None]:
    """Let those who write events look whether anybody waits for them. In one transaction with `workers.idle`."""
    return Call("event/heed", {}, lambda _: None)


def summarize() -> Call[int]:
    """Keep it cheap to follow the history, which it is while few pages of events are not summarized."""
    return Call("event/summarize", {}, lambda rows: int(rows[0][0]))


def identity() -> Call[str]:
    """What tells this engine from all others, of this server and of any other."""
    return Call("event/identity", {}, lambda rows: str(rows[0][0]))
