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

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import numbers
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


def expect(
    task_id: int, epoch: int, step: str, name: str, *, key: str | None = None, match: str | None = None,
    bound: bytes | None = None, since: datetime | None = None,
) -> Call[datetime | None]:  # fmt: skip
    """Have a workflow told of such an event. Returns since when events are meant; None: its lease is lost."""
    params = {
        "task": task_id, "epoch": epoch, "step": step, "name": name, "key": key, "match": match,
        "bound": None if bound is None else bound.decode(), "since": since,
    }  # fmt: skip
    return Call("emission/expect", params, lambda rows: rows[0][0] if rows else None)


def look(
    name: str, key: str | None, after: tuple[datetime, int], *, until: datetime | None, taken: Sequence[int],
    limit: int,
) -> Call[list[Emission]]:  # fmt: skip
    """Events of this name and key, oldest first.

    Args:
        name: their name.
        key: their key; None: whatever it is.
        after: only those past this (at, id).
        until: only those emitted by then.
        taken: not these.
        limit: how many at most.
    """
    params = {
        "name": name, "key": key, "after_at": after[0], "after": after[1], "until": until, "taken": numbers(taken),
        "limit": limit,
    }  # fmt: skip
    return Call("emission/look", params, lambda rows: [Emission(*row) for row in rows])


def forget(task_id: int, step: str) -> Call[None]:
    """Tell this workflow of no event for this wait."""
    return Call("emission/forget", {"task": task_id, "step": step}, lambda _: None)


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
