"""Application events: emitting them, and looking for those that a workflow waits for."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from pgflow import redaction
from pgflow.codec import encode
from pgflow.codec.disclosure import refuse_text
from pgflow.engine import emissions
from pgflow.engine.emissions import Emission, Emitted, Expected, Forgotten, Sought
from pgflow.errors import ArgumentError, IdempotencyConflict
from pgflow.expression import Expression, ExpressionError
from pgflow.sdk.history import Delivered
from pgflow.sdk.verbs import Handle, Steps

EventKey = str | int | UUID

FIRST, PAGE = 10, 100
"""Events that are looked at in the first statement, and in each of the next, when an expression has to hold."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,199}")


def check_event(name: str) -> str:
    """The event's name, or an ArgumentError."""
    if not _NAME.fullmatch(name):
        raise ArgumentError(f"{name!r} is no name for an event", hint="letters, digits and _ . : / -, as in order/paid")
    return name


def check_pattern(pattern: str) -> str:
    """A name, or the beginning of names and `*`; or an ArgumentError."""
    if pattern != "*":
        check_event(pattern.removesuffix("/*"))
    return pattern


def patterns_of(name: str) -> list[str]:
    """The patterns that an event of this name fits: its name, and all beginnings of it that end in a `/`."""
    ends = [place + 1 for place, letter in enumerate(name) if letter == "/"]
    return [name, *(f"{name[:end]}*" for end in reversed(ends)), "*"]


class Emit(NamedTuple):
    """What `client.emit` was asked for.

    Args:
        name, payload, key, id: of the event.
        actor: who emits it.
        limit: bytes of JSON the payload may have.
    """

    name: str
    payload: Any
    key: EventKey | None
    id: str | None
    actor: str | None
    limit: int


def emit(asked: Emit, *, own_transaction: bool) -> Steps[Handle[Any]]:
    """Emit an event."""
    payload, key, id = encode(asked.payload, limit=asked.limit), _text(asked.key, "key"), _text(asked.id, "id")
    if redaction.known:
        refuse_text(key, f"the key of {asked.name}")
        refuse_text(id, f"the id of {asked.name}")
    emitted: Emitted = yield emissions.emit(
        check_event(asked.name), payload, key=key, given_id=id, actor=asked.actor, own_transaction=own_transaction
    )
    if not emitted.same:
        raise IdempotencyConflict(id or "", emitted.task_id)
    return Handle(emitted.task_id, not emitted.fresh)


def _text(value: EventKey | None, what: str) -> str | None:
    text = None if value is None else str(value)
    if text is not None and (not 0 < len(text) <= 500 or "\0" in text):
        raise ArgumentError(f"{text!r} is no {what} for an event", hint="1 to 500 characters")
    return text


def named(event: Emission) -> dict[str, Any]:
    """What expressions know as `event`."""
    id = event.given_id or str(event.id)
    return {"name": event.name, "payload": event.payload, "key": event.key, "id": id, "at": event.at.isoformat()}


@lru_cache(maxsize=1000)
def expression(text: str) -> Expression:
    """The expression, parsed once."""
    return Expression(text)


def fits(event: Emission, match: str | None, bound: Mapping[str, Any] | None) -> bool:
    """Whether the expression holds. One that cannot be told of this event (it has no such field, say) does not."""
    if match is None:
        return True
    try:
        return expression(match).evaluate({**(bound or {}), "event": named(event)}) is True
    except ExpressionError:
        return False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a workflow waits for.

    Attributes:
        name: the event's.
        key: its key; None: whatever it is.
        match: an expression that has to hold.
        bound: what it may name beside `event`.
        since: not from before then; None: since the run was asked for.
        task_id, epoch, step: who waits, under which lease, and what the wait is recorded under.
        taken: events that the workflow has had.
        until: not from after then.
        delivered: what it was told of already: only what is older is looked for.
        last: it will wait no more.
    """

    name: str
    key: str | None = None
    match: str | None = None
    bound: Mapping[str, Any] | None = None
    since: datetime | None = None
    task_id: int = 0
    epoch: int = 0
    step: str = ""
    taken: Sequence[int] = ()
    until: datetime | None = None
    delivered: Delivered | None = None
    last: bool = False

    def now(self, **known: Any) -> Wanted:
        """The same, with what is known only when it is looked for."""
        return replace(self, **known)


def wanted(
    name: str, *, key: EventKey | None = None, match: str | None = None, values: Mapping[str, Any] | None = None,
    since: datetime | None = None,
) -> Wanted:  # fmt: skip
    """What `ctx.event` was asked for, checked."""
    if values is not None and match is None:
        raise ArgumentError(f"event {name}: values= are for match=, which is missing")
    if since is not None and since.tzinfo is None:
        raise ArgumentError(f"event {name}: since={since.isoformat()} has no time zone", hint="use ctx.now() - ...")
    if match is not None:
        known = {"event", *(values or {})}
        unknown = sorted(expression(match).names - known)
        if unknown:
            raise ArgumentError(
                f"event {name}: match= names {unknown[0]}, which is not known",
                hint=f"it may name event; give it others with values={{{unknown[0]!r}: ...}}",
            )
    bound = None if values is None else orjson.loads(encode(dict(values)))  # as whoever emits will know them
    return Wanted(check_event(name), _text(key, "key"), match, bound, since)


@dataclass(frozen=True, slots=True)
class Weigh:
    """To be done in a thread: find the first of these events for which the expression holds."""

    wanted: Wanted
    events: Sequence[Emission]

    def __call__(self) -> Emission | None:
        match, bound = self.wanted.match, self.wanted.bound
        return next((event for event in self.events if fits(event, match, bound)), None)


Asked = Expected | Sought | Forgotten | Weigh
Search = Generator[Asked, Any, Emission | None]


def seek(wanted: Wanted) -> Search:
    """The oldest event that is wanted. Without one, the workflow is told when there is, unless it waits no more."""
    delivered, until = wanted.delivered, wanted.until
    if delivered is not None:
        found = yield from _oldest(wanted, delivered.since, delivered.at)
        return found if found is not None and (found.at, found.id) < (delivered.at, delivered.emission) else None
    since: datetime | None = yield Expected(
        wanted.task_id, wanted.epoch, wanted.step, wanted.name, wanted.key, wanted.match, encode(wanted.bound),
        wanted.since,
    )  # fmt: skip
    if since is None:
        return None
    found = yield from _oldest(wanted, since, until)
    if found is not None or wanted.last:
        yield Forgotten(wanted.task_id, wanted.step)
    return found


def _oldest(wanted: Wanted, since: datetime, until: datetime | None) -> Search:
    after = (since, 0)
    limit = 1 if wanted.match is None else FIRST
    while True:
        page: list[Emission] = yield Sought(wanted.name, wanted.key, after, until, wanted.taken, limit)
        if wanted.match is None:
            return page[0] if page else None
        found: Emission | None = (yield Weigh(wanted, page)) if page else None
        if found is not None or len(page) < limit:
            return found
        after, limit = (page[-1].at, page[-1].id), PAGE
