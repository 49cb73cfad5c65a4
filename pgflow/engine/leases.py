"""The verbs of a worker: claim, settle, park. Each names the worker, and those that end a lease its epoch as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import documents, numbers, optional_numbers, words
from pgflow.model import Claimed, Lane, Parking, Settlement

DEADLINE_GRACE = 5.0
"""Seconds past a task's time-out before others than its own worker act on it: the worker's time to do it in order."""


def claim(lanes: Sequence[Lane], floors: Sequence[int], limit: int, worker_id: int) -> Call[list[Claimed]]:
    """Lease up to `limit` ready tasks, in the order of the lanes.

    Args:
        lanes: what to scan, in this order.
        floors: for each lane the seq to start at.
        limit: never exceeded.
        worker_id: who claims.
    """
    params = {
        "queues": [lane.queue for lane in lanes],
        "priorities": numbers(lane.priority for lane in lanes),
        "floors": numbers(floors),
        "limit": limit,
        "worker": worker_id,
        "grace": DEADLINE_GRACE,
    }
    return Call("task/claim", params, _claimed)


def _claimed(rows: Rows) -> list[Claimed]:
    return [Claimed._make(row) for row in rows]


def inputs(tasks: Sequence[tuple[int, int]]) -> Call[dict[int, dict[str, Any]]]:
    """The inputs of these (root_id, task_id), for those too big to travel with a claim."""
    params = {"roots": numbers(root for root, _ in tasks), "tasks": numbers(task for _, task in tasks)}
    return Call("task/inputs", params, lambda rows: {row[0]: row[1] for row in rows})


def settle(settlements: Sequence[Settlement], worker_id: int) -> Call[set[int] | None]:
    """End these leases. Returns the tasks really settled; None when that is all of them."""
    ids, epochs, states, outputs, errors, delays, needs, dues, _ = zip(*settlements, strict=True)
    params = {
        "tasks": numbers(ids),
        "epochs": numbers(epochs),
        "states": words(states),
        "outputs": documents(outputs),
        "errors": documents(errors),
        "delays": optional_numbers(delays),
        "needs": optional_numbers(needs),
        "dues": list(dues) if any(dues) else None,
        "worker": worker_id,
    }

    def parse(rows: Rows) -> set[int] | None:
        settled = rows[0][0]
        return None if settled is None and rows[0][1] == len(ids) else set(settled or ())

    return Call("task/settle", params, parse)


def park(parkings: Sequence[Parking], worker_id: int) -> Call[set[int]]:
    """End these leases with their tasks parked. Returns the tasks really parked."""
    params = {
        "tasks": numbers(parking.task_id for parking in parkings),
        "epochs": numbers(parking.epoch for parking in parkings),
        "reasons": words(parking.reason for parking in parkings),
        "details": documents(parking.detail for parking in parkings),
        "worker": worker_id,
    }
    return Call("task/park", params, lambda rows: {row[0] for row in rows})
