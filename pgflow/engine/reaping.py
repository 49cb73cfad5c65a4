"""The verb reap: leases that nobody can answer for are taken back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pgflow.db.call import Call
from pgflow.engine.arrays import numbers

DEADLINE_GRACE = 10.0
"""Seconds past a lease's deadline before the reaper acts: the supervisor's time to do it first."""


class Reaped(NamedTuple):
    """A lease that was taken back."""

    task_id: int
    epoch: int
    worker_id: int
    poisoned: bool
    """Whether the task was dead-lettered because it took down too many workers."""


def reap(
    workers: Sequence[int], *, max_crashes: int, blamed: Sequence[int] | None = None, limit: int = 500
) -> Call[list[Reaped]]:
    """Take back leases of these closed workers, and any past their deadline; at most `limit` of each.

    Args:
        workers: closed workers.
        max_crashes: worker deaths after which a task is dead-lettered.
        blamed: the tasks that were running, where that is known; None blames all.
        limit: how many at most.
    """
    params = {
        "workers": numbers(workers),
        "max_crashes": max_crashes,
        "limit": limit,
        "grace": DEADLINE_GRACE,
        "blamed": None if blamed is None else numbers(blamed),
    }
    return Call("task/reap", params, lambda rows: [Reaped(*row[:4]) for row in rows])
