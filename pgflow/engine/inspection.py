"""Looking at tasks, runs, queues and workers, as rows for people: dictionaries with the views' column names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import numbers
from pgflow.engine.runs import MAX_ID
from pgflow.errors import ArgumentError
from pgflow.model import State

Row = dict[str, Any]

_LISTED = (
    "id", "root_id", "parent_id", "name", "queue", "priority", "state", "attempt", "crashes", "key", "tags",
    "created_at", "due_at", "claimed_at", "worker_id", "lease_expires_at", "finished_at",
)  # fmt: skip


def rows_of(columns: Sequence[str], rows: Rows) -> list[Row]:
    """The rows as dictionaries."""
    return [dict(zip(columns, row, strict=True)) for row in rows]


def tasks_of(
    run_id: int, *, roots_only: bool = False, state: str | None = None, name: str | None = None,
    queue: str | None = None, before: int | None = None, limit: int = 50,
) -> Call[list[Row]]:  # fmt: skip
    """Tasks of a run, newest first.

    Args:
        run_id: the run.
        roots_only: only the run itself.
        state: only those in this state.
        name: only those of this name.
        queue: only those of this queue.
        before: only those with a smaller id: the last one of the previous page.
        limit: how many at most.

    Raises:
        ArgumentError: there is no such state.
    """
    _check(state)
    params = {
        "roots_only": roots_only, "state": state, "name": name, "queue": queue, "run": run_id, "before": before,
        "limit": limit,
    }  # fmt: skip
    return Call("task/list", params, lambda rows: rows_of(_LISTED, rows), literal=True)


def _check(state: str | None) -> None:
    if state is not None and state not in State.__members__.values():
        raise ArgumentError(f"no state {state!r}", hint=f"one of: {', '.join(State)}")


class Within(NamedTuple):
    """Whose tasks are meant: by their runs, as LIKE reads patterns.

    Args:
        names: runs of these names, or
        queues: in these queues.
    """

    names: Sequence[str]
    queues: Sequence[str]


class TaskPage(NamedTuple):
    """Some tasks, newest first.

    Args:
        tasks: those that fit.
        before: where the next page begins; None: there is nothing more.
    """

    tasks: list[Row]
    before: int | None


WINDOW = 500
"""Tasks that a page looks at, at most."""


def task_page(
    *, within: Within | None = None, roots_only: bool = False, state: str | None = None, name: str | None = None,
    queue: str | None = None, before: int | None = None, limit: int = 50, window: int = WINDOW,
) -> Call[TaskPage]:  # fmt: skip
    """A page of tasks, newest first, which costs the same however many there are and however rare what is asked for is.
    It may hold fewer than asked for, even none, and not be the last.

    Args:
        within: only those of these runs; None: of all.
        window: how many tasks are looked at.

    The others are as of `tasks_of`.
    """
    _check(state)
    params: dict[str, Any] = {
        "roots_only": roots_only, "state": state, "name": name, "queue": queue,
        "before": MAX_ID if before is None else before, "limit": limit,
        "names": None if within is None else list(within.names),
        "queues": [] if within is None else list(within.queues),
    }  # fmt: skip
    every = within is None and name is None and queue is None and not roots_only
    params["window"] = limit if every and state != State.COMPLETED else max(limit, window)

    def parse(rows: Rows) -> TaskPage:
        *theirs, (edge, *_) = rows
        found = rows_of(_LISTED, theirs)
        return TaskPage(found, found[-1]["id"] if len(found) == limit else edge)

    if state is not None and state != State.COMPLETED:
        return Call("task/list_state", params, parse, literal=True)
    return Call("task/list_newest", params, parse, literal=True)


def task(root_id: int, task_id: int) -> Call[Row | None]:
    """One task with its input, output and error."""
    columns = (*_LISTED, "step", "actor", "input", "output", "error", "retry", "timeout")
    params = {"root": root_id, "task": task_id}
    return Call("task/show", params, lambda rows: rows_of(columns, rows)[0] if rows else None)


def events(root_id: int, task_id: int | None = None, limit: int | None = None) -> Call[list[Row]]:
    """What happened in a run, or to one of its tasks, in order: all, or the last so many."""
    columns = (
        "id", "task_id", "at", "type", "attempt", "worker_id", "key", "actor", "data", "name", "step", "parent_id",
    )  # fmt: skip
    params = {"root": root_id, "task": task_id, "limit": limit}
    return Call("event/list", params, lambda rows: rows_of(columns, rows))


class Named(NamedTuple):
    """Whose a task is."""

    task_id: int
    root_id: int
    name: str
    """Of its run."""
    queue: str
    """Of its run."""


def named(task_ids: Sequence[int]) -> Call[list[Named]]:
    """Whose these tasks are; one that is missing in the answer does not exist."""
    return Call("task/named", {"tasks": numbers(task_ids)}, lambda rows: [Named._make(row) for row in rows])


def queues() -> Call[list[Row]]:
    """Every queue that has a task, a worker or a setting."""
    columns = ("name", "queued", "running", "delayed", "oldest", "workers", "paused_at", "paused_by")
    return Call("queue/list", {}, lambda rows: rows_of(columns, rows))


def workers() -> Call[list[Row]]:
    """Every worker that is open, or was closed within the last day."""
    columns = (
        "id", "host", "pid", "version", "queues", "concurrency", "running", "started_at", "seen_at", "lease_until",
        "closed_at", "closed_why", "tasks",
    )  # fmt: skip
    return Call("worker/list", {}, lambda rows: rows_of(columns, rows))
