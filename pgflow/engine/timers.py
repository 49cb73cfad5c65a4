"""Timers: what becomes ready at some time, and the verb fire: what is due becomes ready."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pgflow.db.call import Call
from pgflow.engine.inspection import Row, rows_of

_COLUMNS = ("due_at", "state", "task_id", "run_id", "name", "queue", "attempt")


def timers(
    *, within: float | None = None, name: str | None = None, queue: str | None = None,
    after: tuple[datetime, int] | None = None, names: Sequence[str] | None = None,
    queues: Sequence[str] | None = None, limit: int = 50,
) -> Call[list[Row]]:  # fmt: skip
    """What becomes ready at some time, the soonest first.

    Args:
        within: only what is due within so many seconds.
        name: only tasks of this name.
        queue: only tasks of this queue.
        after: (due_at, task_id) of the last one of the page before.
        names: only of runs whose name is like one of these patterns, or
        queues: whose queue is like one of these; None: all.
        limit: how many at most.
    """
    at, task = after or (None, None)
    params = {
        "within": within, "name": name, "queue": queue, "at": at, "task": task,
        "names": None if names is None else list(names), "queues": list(queues or ()), "limit": limit,
    }  # fmt: skip
    return Call("timer/list", params, lambda rows: rows_of(_COLUMNS, rows), literal=True)


def fire(limit: int) -> Call[int]:
    """Make up to `limit` delayed tasks ready whose instant has come. Returns how many."""
    return Call("task/fire", {"limit": limit}, lambda rows: int(rows[0][0]))


def time_out(limit: int) -> Call[int]:
    """Wake up to `limit` waiting tasks whose time to wait is over. Returns how many."""
    return Call("task/time_out", {"limit": limit}, lambda rows: int(rows[0][0]))
