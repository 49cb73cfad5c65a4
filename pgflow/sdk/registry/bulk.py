"""Changing many runs at once: what fits is looked at first, then changed in the background, and in part taken back.

A **preview** counts what fits and fixes the upper end of it. What it gives is to be confirmed: the confirmation names
the filter, its upper end and the count, so that what is done is what was looked at; it holds for some minutes. It gives
no rights: what whoever confirms may not see is left out anyhow.

A **bulk** is a run of `pgflow.bulk`, which goes through what fits page by page, not faster than it is told to. A page
is one transaction with the record of what it changed, so it is done once, whoever dies. Cancelling that run ends it.

An **undo** is a run of `pgflow.bulk_undo`, which reads those records, and takes back what still is as the bulk left it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from pgflow.codec import encode
from pgflow.engine import bulk as engine
from pgflow.engine import run_list, runs
from pgflow.engine.bulk import Filter, Found
from pgflow.engine.enqueue import Request, Spec
from pgflow.errors import ArgumentError, NotFound, PgflowError
from pgflow.model import Priority, State
from pgflow.sdk import run_verbs, verbs
from pgflow.sdk.verbs import Handle, Steps, enqueue_one, show

BULK, UNDO, QUEUE = "pgflow.bulk", "pgflow.bulk_undo", "pgflow"
SAMPLE = 10
CONFIRM_SECONDS = 15 * 60.0
"""How long a confirmation holds."""
UNDO_SECONDS = 15 * 60.0
"""How long after its end a bulk can be undone."""
RATE, FASTEST = 100, 2000
"""Runs a second: unless told, and at most."""

UNFINISHED = (
    State.QUEUED, State.RUNNING, State.SCHEDULED, State.RETRYING, State.SLEEPING, State.WAITING, State.THROTTLED,
    State.PAUSED, State.NEEDS_ATTENTION,
)  # fmt: skip
FINISHED = (State.COMPLETED, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Action:
    """What may be done to many.

    Attributes:
        states: in which states it can be done.
        usual: in which states it is done, if none is named.
        runs: to runs alone; else to tasks as well.
        paused: to those that are paused, or are not.
        undo: what an undo of it does, in words; None: there is none.
    """

    states: Sequence[State]
    usual: Sequence[State]
    runs: bool = True
    paused: bool | None = None
    undo: str | None = None


ACTIONS: Mapping[str, Action] = {
    "cancel": Action(
        UNFINISHED,
        UNFINISHED,
        undo="what was cancelled is redriven, but for runs of graphs that have begun, which stay cancelled: re-run "
        "them; and for workflows that have undone what they did",
    ),
    "pause": Action(UNFINISHED, UNFINISHED, paused=False, undo="what was paused is resumed"),
    "resume": Action(UNFINISHED, UNFINISHED, paused=True, undo="what was resumed is paused"),
    "redrive": Action((State.FAILED, State.CANCELLED), (State.FAILED,), runs=False),
    "rerun": Action(FINISHED, (State.FAILED,)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be done to which runs.

    Attributes:
        action: one of `ACTIONS`.
        which: by `states`, `workflow`, `queue`, `tags`, `since`, `until`, `ids`.
        actor: who asks.
        names: they may see runs whose name is like one of these patterns, or
        queues: whose queue is like one of these; None: all.
    """

    action: str
    which: Mapping[str, Any]
    actor: str | None
    names: Sequence[str] | None = None
    queues: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be changed.

    Attributes:
        action: what is to be done.
        which: to which.
        count: how many there are.
        sample: the first of them.
        confirmation: says that this was looked at.
    """

    action: str
    which: Mapping[str, Any]
    count: int
    sample: Sequence[Found]
    confirmation: str

    @property
    def undo(self) -> str | None:
        """What an undo would do, and what it would not; None: it cannot be undone."""
        return ACTIONS[self.action].undo


def filter_of(asked: Asked, upto: int) -> Filter:
    """The filter as the statements take it.

    Raises:
        ArgumentError: there is no such action, or it cannot be done in that state.
    """
    action = ACTIONS.get(asked.action)
    if action is None:
        raise ArgumentError(f"there is no action {asked.action!r}", hint=f"choose one of: {', '.join(ACTIONS)}")
    given = asked.which
    if asked.action == "rerun" and (given.get("workflow") or "").startswith(run_verbs.OWN):
        raise ArgumentError(
            f"{given['workflow']} is the engine's own, which is not run again", hint="what failed of it is redriven"
        )
    states = [State(state) for state in given.get("states") or action.usual]
    for state in states:
        if state not in action.states:
            raise ArgumentError(
                f"what is {state} cannot be changed by {asked.action}", hint=f"one of: {', '.join(action.states)}"
            )
    return Filter(
        runs=action.runs, states=states, upto=upto, name=given.get("workflow"), queue=given.get("queue"),
        tags=given.get("tags"), since=_instant(given.get("since")), until=_instant(given.get("until")),
        ids=given.get("ids"), paused=action.paused, names=asked.names, queues=asked.queues,
    )  # fmt: skip


def _instant(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def preview(asked: Asked, now: datetime) -> Steps[Preview]:
    """Look at what would be changed."""
    upto: int = yield runs.newest()
    which = filter_of(asked, upto)
    count: int = yield engine.count(which)
    sample: list[Found] = yield engine.match(which, 0, SAMPLE)
    made = f"{int(now.timestamp())}.{upto}.{count}"
    return Preview(asked.action, asked.which, count, sample, f"{made}.{_digest(asked, made)}")


def expires_at(now: datetime) -> datetime:
    """Until when a confirmation of now holds."""
    return now + timedelta(seconds=CONFIRM_SECONDS)


def _digest(asked: Asked, made: str) -> str:
    text = orjson.dumps([made, asked.action, dict(asked.which)], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:32]


def confirmed(asked: Asked, confirmation: str, now: datetime) -> tuple[int, int]:
    """What was looked at: up to which id, and how many there were.

    Raises:
        ArgumentError: it is none, is too old, or confirms something else.
    """
    made, _, digest = confirmation.rpartition(".")
    if digest != _digest(asked, made):
        raise ArgumentError("the confirmation is not of this", hint="look at a preview of the very same first")
    at, upto, count = map(int, made.split("."))
    if now.timestamp() - at > CONFIRM_SECONDS:
        raise ArgumentError("the confirmation is too old", hint="look at a preview again")
    return upto, count


def start(asked: Asked, confirmation: str, rate: int, now: datetime) -> Steps[Handle[Any]]:
    """Do what was confirmed, in the background. Asked twice, it is done once."""
    upto, seen = confirmed(asked, confirmation, now)
    if not 1 <= rate <= FASTEST:
        raise ArgumentError(f"rate={rate} is not between 1 and {FASTEST:,}")
    count: int = yield engine.count(filter_of(asked, upto))
    if count > seen * 1.1 + 10:
        raise PgflowError(f"it fits {count:,} by now, and {seen:,} when it was looked at", hint="look at it again")
    input = {
        "action": asked.action, "which": dict(asked.which), "actor": asked.actor, "names": asked.names,
        "queues": asked.queues, "upto": upto, "count": seen, "rate": rate,
    }  # fmt: skip
    return (
        yield from _enqueue(BULK, input, f"bulk:{_digest(asked, confirmation)}", {"bulk": asked.action}, asked.actor)
    )


def _enqueue(name: str, input: Any, key: str, tags: Mapping[str, str], actor: str | None) -> Steps[Handle[Any]]:
    spec = Spec(name, QUEUE, Priority.HIGH, hold=2 * max(CONFIRM_SECONDS, UNDO_SECONDS))
    request = Request(spec, encode(input), key=key, tags=encode(tags))
    return (yield from enqueue_one(request, actor=actor, own_transaction=True))


def get(id: int) -> Steps[Mapping[str, Any]]:
    """The run of a bulk, or of an undo; or NotFound."""
    try:
        run = yield from show(id)
    except NotFound:
        raise _not_found(id) from None
    if run["name"] not in {BULK, UNDO}:
        raise _not_found(id)
    return run


def listed(before: int | None, limit: int) -> Steps[list[Mapping[str, Any]]]:
    """The runs of bulks, newest first, without the undoings."""
    position = run_list.Position() if before is None else run_list.Position(before)
    found = yield run_list.newest(run_list.Wanted(BULK), position, run_list.Bounds(0, runs.MAX_ID), limit)
    bulks = []
    for one in found.runs:
        bulks += [(yield from get(one["id"]))]
    return bulks


def answer(run: Mapping[str, Any]) -> Steps[dict[str, Any]]:
    """A bulk, of its run, as it is shown: with how far it has come."""
    return shown(run, (yield from run_verbs.told(run["id"])))


def _not_found(id: int) -> NotFound:
    return NotFound(f"there is no bulk {id}")


def shown(run: Mapping[str, Any], told: Mapping[str, Any] | None) -> dict[str, Any]:
    """A bulk, or an undo, as it is shown.

    Args:
        run: its run.
        told: what that last told of itself.
    """
    given, undoing = run["input"], run["name"] == UNDO
    so_far = run["output"] or (told or {}).get("state") or {}
    done = run["state"] == State.COMPLETED
    return {
        "id": run["id"], "action": "undo" if undoing else given["action"], "of": given.get("bulk"),
        "filter": given.get("which"), "state": run["state"], "count": given["count"], "met": so_far.get("met", 0),
        "changed": so_far.get("changed", 0), "failed": so_far.get("failed", 0), "errors": so_far.get("errors", []),
        "progress": 1.0 if done else (told or {}).get("progress") or 0.0, "actor": given.get("actor"),
        "created_at": run["created_at"], "finished_at": run["finished_at"],
        "undo_until": None if undoing else undo_until(run),
    }  # fmt: skip


def undo_until(run: Mapping[str, Any]) -> datetime | None:
    """Until when it can be undone; None: it cannot, or not yet."""
    action = ACTIONS.get(run["input"].get("action", ""))
    if action is None or action.undo is None or run["finished_at"] is None:
        return None
    finished: datetime = run["finished_at"]
    return finished + timedelta(seconds=UNDO_SECONDS)


def undo(id: int, now: datetime, *, actor: str | None) -> Steps[Handle[Any]]:
    """Take back what a bulk has done, as far as it still is so. Asked twice, it is done once."""
    run = yield from get(id)
    end = undo_until(run)
    if run["name"] != BULK or ACTIONS[run["input"]["action"]].undo is None:
        raise PgflowError(f"bulk {id} cannot be undone", hint="a cancellation, a pause and a resumption can")
    if end is None:
        raise PgflowError(f"bulk {id} goes on; it can be undone when it has ended", hint="cancel it first")
    if now > end:
        raise PgflowError(f"bulk {id} ended more than {UNDO_SECONDS / 60:g} minutes ago, and cannot be undone any more")
    given = run["input"]
    input = {
        "bulk": id, "action": given["action"], "actor": actor, "since": run["created_at"],
        "count": given["count"], "rate": given["rate"], "names": given.get("names"), "queues": given.get("queues"),
    }  # fmt: skip
    return (yield from _enqueue(UNDO, input, f"undo:{id}", {"bulk": "undo"}, actor))


def which_of(
    workflow: str | None = None, queue: str | None = None, states: Sequence[str] | None = None,
    tags: Mapping[str, str] | None = None, since: datetime | None = None, until: datetime | None = None,
    ids: Sequence[int] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A filter as JSON, without what is not asked for."""
    given: dict[str, Any] = {
        "workflow": workflow, "queue": queue, "states": None if states is None else [str(state) for state in states],
        "tags": None if tags is None else dict(tags), "since": _text("since", since), "until": _text("until", until),
        "ids": None if ids is None else list(ids),
    }  # fmt: skip
    return {word: value for word, value in given.items() if value is not None}


def _text(word: str, instant: datetime | None) -> str | None:
    if instant is not None and instant.tzinfo is None:
        raise ArgumentError(f"{word}={instant.isoformat()} has no time zone", hint="use datetime.now(UTC)")
    return None if instant is None else instant.isoformat()


def shown_one(id: int) -> Steps[dict[str, Any]]:
    """A bulk, or NotFound."""
    return (yield from answer((yield from get(id))))


def shown_all(before: int | None, limit: int) -> Steps[list[dict[str, Any]]]:
    """Bulks, newest first."""
    found = []
    for run in (yield from listed(before, limit)):
        found += [(yield from answer(run))]
    return found


def cancelled(id: int, *, actor: str | None) -> Steps[dict[str, Any]]:
    """End a bulk, or an undo. As it is then."""
    yield from get(id)
    yield from verbs.cancel([id], actor=actor)
    return (yield from shown_one(id))
