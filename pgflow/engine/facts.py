"""The verb record: what a running workflow decides, written as facts under its lease, each once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pgflow.db.call import Call
from pgflow.engine.arrays import documents, numbers, optional_numbers, words
from pgflow.model import EventType
from pgflow.redaction import redact


class Fact(NamedTuple):
    """Something that is recorded once a task, key and type.

    Args:
        task_id: the task.
        epoch: its lease's epoch.
        type: `step.completed`, `timer.created`, `workflow.started`, `workflow.continued` or `workflow.finished`.
        key: what was asked for.
        data: as JSON text.
        attempt: the try of a step that succeeded.
    """

    task_id: int
    epoch: int
    type: EventType
    key: str
    data: bytes
    attempt: int = 1


class Try(NamedTuple):
    """A try of a step that failed.

    Args:
        task_id: the task.
        epoch: its lease's epoch.
        type: `step.retried`, when another follows, or `step.failed`.
        key: the step.
        attempt: the try's number.
        error: as JSON text.
        delay: seconds until the next try.
    """

    task_id: int
    epoch: int
    type: EventType
    key: str
    attempt: int
    error: bytes
    delay: float | None = None


class Progress(NamedTuple):
    """What a running task tells of itself; None leaves what was told before.

    Args:
        task_id: the task.
        epoch: its lease's epoch.
        state: any JSON.
        fraction: how much is done, from 0 to 1.
        note: a text for people; secrets are taken out.
    """

    task_id: int
    epoch: int
    state: bytes = b"null"
    fraction: float | None = None
    note: str | None = None


class Recorded(NamedTuple):
    """What the history holds now.

    Args:
        fresh: recorded just now; else somebody, perhaps this worker before an ambiguous commit, had done so before.
        data: to be used instead of one's own when not fresh.
    """

    fresh: bool
    data: Any


Place = tuple[int, str, str]
"""(task_id, type, key)"""


def record(facts: Sequence[Fact], worker_id: int) -> Call[dict[Place, Recorded]]:
    """Record these facts. One that is missing in the answer belongs to a lost lease."""
    ids, epochs, types, keys, data, attempts = zip(*facts, strict=True)
    params = {
        "tasks": numbers(ids),
        "epochs": numbers(epochs),
        "types": words(types),
        "keys": list(keys),
        "attempts": numbers(attempts),
        "data": documents(data),
        "worker": worker_id,
    }
    return Call(
        "task/record", params, lambda rows: {(row[0], row[1], row[2]): Recorded(row[3], row[4]) for row in rows}
    )


def note_tries(tries: Sequence[Try], worker_id: int) -> Call[set[Place]]:
    """Record these failed tries. One that is missing in the answer belongs to a lost lease."""
    ids, epochs, types, keys, attempts, errors, delays = zip(*tries, strict=True)
    params = {
        "tasks": numbers(ids),
        "epochs": numbers(epochs),
        "types": words(types),
        "keys": list(keys),
        "attempts": numbers(attempts),
        "delays": optional_numbers(delays),
        "errors": documents(errors),
        "worker": worker_id,
    }
    return Call("task/try", params, lambda rows: {(row[0], row[1], row[2]) for row in rows})


def tell_progress(told: Sequence[Progress], worker_id: int) -> Call[None]:
    """Write what these tasks tell of themselves; at most one word a task."""
    ids, epochs, states, fractions, notes = zip(*told, strict=True)
    params = {
        "tasks": numbers(ids),
        "epochs": numbers(epochs),
        "states": documents(states),
        "fractions": optional_numbers(fractions),
        "notes": [note if note is None else redact(note) for note in notes],
        "worker": worker_id,
    }
    return Call("task/progress", params, lambda _: None)
