"""The verb spawn: tasks that a running task asks for, written under its lease, each once a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pgflow.db.call import Call
from pgflow.engine.arrays import documents, numbers, optional_numbers
from pgflow.engine.enqueue import BULKY, Request, Spec


class Child(NamedTuple):
    """A child that is asked for.

    Args:
        parent_id: the task that asks.
        epoch: its lease's epoch.
        step: the child's name within its parent.
        request: what is asked for.
        trace: the asker's W3C traceparent.
    """

    parent_id: int
    epoch: int
    step: str
    request: Request
    trace: str | None = None


def spawn(children: Sequence[Child], worker_id: int) -> Call[dict[tuple[int, str], int]]:
    """Write these children. Returns the ids by (parent_id, step); one that is missing belongs to a lost lease."""
    requests = [child.request for child in children]
    specs: dict[Spec, int] = {}
    numbered = [specs.setdefault(request.spec, len(specs) + 1) for request in requests]
    tagged = any(request.tags is not None for request in requests)
    bulky = any(len(request.input) > BULKY for request in requests)
    params = {
        "parents": numbers(child.parent_id for child in children),
        "epochs": numbers(child.epoch for child in children),
        "steps": [child.step for child in children],
        "names": [spec.name for spec in specs],
        "queues": [spec.queue for spec in specs],
        "priorities": numbers(spec.priority for spec in specs),
        "timeouts": optional_numbers(spec.timeout for spec in specs),
        "retries": documents(spec.retry for spec in specs),
        "specs": numbers(numbered),
        "inputs": documents(request.input for request in requests),
        "delays": _unless_none([request.delay for request in requests]),
        "dues": _unless_none([request.due for request in requests]),
        "sizes": [len(r.input) if len(r.input) > BULKY else None for r in requests] if bulky else None,
        "slots": _unless_none([request.slot for request in requests]),
        "traces": _unless_none([child.trace for child in children]),
        "tags": documents(request.tags or b"null" for request in requests) if tagged else "[]",
        "worker": worker_id,
    }
    return Call("task/spawn", params, lambda rows: {(row[0], row[1]): row[2] for row in rows})


def _unless_none(values: list[object]) -> list[object] | None:
    return values if any(value is not None for value in values) else None
