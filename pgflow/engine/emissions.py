"""Application events: emitted, looked for by workflows, told to those that wait. The statements.

A workflow that waits for one, and an event that is emitted, may pass each other in any order. Both write first and look
after: the wait is committed before the workflow looks for events that are there already; the event is committed before
its task looks for waits. So at least one of the two sees the other. Should both, nothing comes of it: an event is told
by removing the wait, which only one can do, and a workflow takes each event once, by its id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import documents, numbers
from pgflow.engine.triggers import Trigger


class Emission(NamedTuple):
    """An application event.

    Attributes:
        id: its number.
        name: as in `order/paid`.
        key: whom or what it is about.
        payload: any JSON.
        given_id: the sender's own id of it.
        at: when it was emitted.
        task_id: the run that tells of it.
        actor: who emitted it.
    """

    id: int
    name: str
    key: str | None
    payload: Any
    given_id: str | None
    at: datetime
    task_id: int = 0
    actor: str | None = None


class Emitted(NamedTuple):
    """What became of an event that was to be emitted.

    Attributes:
        id: its number.
        task_id: the run that tells of it.
        fresh: written now; else there was one under the sender's id.
        same: what is written has this key and payload.
    """

    id: int
    task_id: int
    fresh: bool
    same: bool


class Awaited(NamedTuple):
    """A workflow that waits for an event.

    Attributes:
        task_id: the workflow.
        step: what the wait is recorded under.
        match: an expression that has to hold; None: all events of that name and key will do.
        bound: what it may name beside the event.
    """

    task_id: int
    step: str
    match: str | None
    bound: Mapping[str, Any] | None


class Expected(NamedTuple):
    """That a workflow waits for an event.

    Args:
        task_id, epoch, step: who, under which lease, and what the wait is recorded under.
        name: the event's.
        key: its key; None: whatever it is.
        match: an expression that has to hold.
        bound: what it may name beside the event, as JSON text.
        since: not from before then; None: since the run was asked for.
    """

    task_id: int
    epoch: int
    step: str
    name: str
    key: str | None = None
    match: str | None = None
    bound: bytes = b"null"
    since: datetime | None = None


class Sought(NamedTuple):
    """Which events are looked for.

    Args:
        name: their name.
        key: their key; None: whatever it is.
        after: only those past this (at, id).
        until: only those emitted by then.
        taken: not these.
        limit: how many at most.
    """

    name: str
    key: str | None
    after: tuple[datetime, int]
    until: datetime | None = None
    taken: Sequence[int] = ()
    limit: int = 1


class Forgotten(NamedTuple):
    """A wait of which nobody is to be told any more."""

    task_id: int
    step: str


def emit(
    name: str, payload: bytes, *, key: str | None = None, given_id: str | None = None, actor: str | None = None,
    own_transaction: bool = True,
) -> Call[Emitted]:  # fmt: skip
    """Write an event, and enqueue the task that tells of it."""
    params = {
        "name": name, "key": key, "payload": payload.decode(), "given": given_id, "actor": actor,
        "consume": own_transaction,
    }  # fmt: skip
    return Call("emission/emit", params, lambda rows: Emitted(*rows[0][:4]))


def emission(id: int) -> Call[Emission | None]:
    """One event; None once its retention is over."""
    return Call("emission/get", {"id": id}, lambda rows: Emission(*rows[0]) if rows else None)


def triggers(patterns: Sequence[str]) -> Call[list[Trigger]]:
    """The triggers of events whose name fits one of these patterns."""

    def parse(rows: Rows) -> list[Trigger]:
        return [
            Trigger(id=id, name=name, kind="event", event=event, start=start, filter=condition)
            for id, name, event, start, condition in rows
        ]

    return Call("emission/triggers", {"patterns": list(patterns)}, parse)


def waiting(name: str, key: str | None, after: tuple[int, str], limit: int) -> Call[list[Awaited]]:
    """Who waits for events of this name and key, past this (task_id, step)."""
    params = {"name": name, "key": key, "task": after[0], "step": after[1], "limit": limit}
    return Call("emission/waiting", params, lambda rows: [Awaited(*row) for row in rows])


def deliver(event: Emission, waits: Sequence[Awaited]) -> Call[int]:
    """Tell these of the event, if they still wait. Returns how many did."""
    params = {
        "tasks": numbers(wait.task_id for wait in waits),
        "steps": [wait.step for wait in waits],
        "name": event.name,
        "emission": event.id,
    }
    return Call("emission/deliver", params, lambda rows: int(rows[0][0]))


def expect(expected: Sequence[Expected]) -> Call[list[datetime | None]]:
    """Have workflows told of such events. Returns since when events are meant; None where the lease is lost."""
    params = {
        "tasks": numbers(one.task_id for one in expected),
        "epochs": numbers(one.epoch for one in expected),
        "steps": [one.step for one in expected],
        "names": [one.name for one in expected],
        "keys": [one.key for one in expected],
        "matches": [one.match for one in expected],
        "bounds": documents(one.bound for one in expected),
        "sinces": [one.since for one in expected],
    }

    def parse(rows: Rows) -> list[datetime | None]:
        meant = {(row[0], row[1]): row[2] for row in rows}
        return [meant.get((one.task_id, one.step)) for one in expected]

    return Call("emission/expect", params, parse)


def look(sought: Sequence[Sought]) -> Call[list[list[Emission]]]:
    """Events that are sought, oldest first, for each that asks."""
    params = {
        "names": [one.name for one in sought],
        "keys": [one.key for one in sought],
        "after_ats": [one.after[0] for one in sought],
        "afters": numbers(one.after[1] for one in sought),
        "untils": [one.until for one in sought],
        "taken": documents(orjson.dumps(dict.fromkeys(map(str, one.taken))) for one in sought),
        "limits": numbers(one.limit for one in sought),
    }

    def parse(rows: Rows) -> list[list[Emission]]:
        found: list[list[Emission]] = [[] for _ in sought]
        for row in rows:
            found[row[0] - 1].append(Emission(*row[1:]))
        return found

    return Call("emission/look", params, parse)


def forget(waits: Sequence[Forgotten]) -> Call[list[None]]:
    """Tell these workflows of no event for these waits."""
    params = {"tasks": numbers(wait.task_id for wait in waits), "steps": [wait.step for wait in waits]}
    return Call("emission/forget", params, lambda _: [None] * len(waits))


def since(run_id: int) -> Call[datetime | None]:
    """Since when workflows of this run look for events; None: there is no such run."""
    return Call("emission/since", {"run": run_id}, lambda rows: rows[0][0] if rows else None)


_LISTED = ("id", "name", "key", "given_id", "at", "payload", "actor", "task_id", "state")


def emissions(
    *, name: str | None = None, key: str | None = None, before: int | None = None, limit: int = 50
) -> Call[list[dict[str, Any]]]:
    """Events, newest first, with the state of the task that tells of each."""

    def parse(rows: Rows) -> list[dict[str, Any]]:
        return [dict(zip(_LISTED, row, strict=True)) for row in rows]

    return Call("emission/list", {"name": name, "key": key, "before": before, "limit": limit}, parse)
