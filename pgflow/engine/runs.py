"""The verbs of people for runs: pause, resume, fork; what keeps one; and which workflows are in flight."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import documents, numbers

PAGE = 1000
MAX_ID = 2**63 - 1


def unfinished(run_id: int, *, before: int = MAX_ID, upto: int | None = None, limit: int = PAGE) -> Call[list[int]]:
    """Up to `limit` tasks of this run that have no outcome yet, newest first.

    Args:
        run_id: the run.
        before: only smaller ids: the last one of the page before.
        upto: none that was spawned after this id, but by a cancelled task that had nothing to clean up.
        limit: how many at most.
    """
    params = {"run": run_id, "before": before, "upto": upto, "limit": limit}
    return Call("run/unfinished", params, lambda rows: [row[0] for row in rows])


def below(
    run_id: int, task_id: int, *, before: int = MAX_ID, upto: int | None = None, limit: int = PAGE
) -> Call[list[int]]:
    """Up to `limit` tasks below this one of this run that have no outcome yet, newest first; else like `unfinished`."""
    params = {"run": run_id, "task": task_id, "before": before, "upto": upto, "limit": limit}
    return Call("run/below", params, lambda rows: [row[0] for row in rows])


def newest() -> Call[int]:
    """An id that no task spawned before has surpassed."""
    return Call("run/newest", {}, lambda rows: int(rows[0][0]))


def by_key(name: str, key: str) -> Call[int | None]:
    """The newest unfinished run of this name that was started with this key."""
    return Call("run/by_key", {"name": name, "key": key}, lambda rows: rows[0][0] if rows else None)


def pause(run_ids: Sequence[int], *, actor: str | None = None) -> Call[list[int]]:
    """Let nothing more become ready in these runs. Returns those that were not paused before."""
    return Call("run/pause", {"runs": numbers(run_ids), "actor": actor}, lambda rows: [row[0] for row in rows])


def park(run_id: int, after: int = 0, *, actor: str | None = None) -> Call[tuple[int | None, int]]:
    """Park what is ready among the next tasks of a paused run. Returns the last id looked at, None at the end, and how
    many were parked."""
    params = {"run": run_id, "after": after, "limit": PAGE, "actor": actor}
    return Call("run/park", params, lambda rows: (rows[0][0], rows[0][1]))


def resume(run_ids: Sequence[int], *, actor: str | None = None) -> Call[list[int]]:
    """Pause these runs no longer. Returns those that were paused."""
    return Call("run/resume", {"runs": numbers(run_ids), "actor": actor}, lambda rows: [row[0] for row in rows])


def unpark(
    run_ids: Sequence[int], task_ids: Sequence[int] = (), *, actor: str | None = None
) -> Call[list[tuple[int, int]]]:
    """Make a page of what is parked in these runs ready again, and those of these tasks that need attention. Returns
    (task_id, root_id) of those moved."""
    params = {"runs": numbers(run_ids), "tasks": numbers(task_ids), "limit": PAGE, "actor": actor}
    return Call("run/unpark", params, lambda rows: [(row[1], row[0]) for row in rows])


class Copy(NamedTuple):
    """What a new run begins with.

    Args:
        root_id: the run that is copied from.
        task_id: the task in it.
        input: the arguments as JSON text.
        size: their bytes, when they are bulky.
        data: where it comes from, as JSON text.
        prefix: what keys begin with in the generation that is copied.
        events: which of its events are copied, in their order.
        children: which of its children, all of which have an outcome.
        facts: what is recorded in the new run beside that: key, and data as JSON text.
    """

    root_id: int
    task_id: int
    input: bytes
    size: int | None
    data: bytes
    prefix: str = ""
    events: Sequence[int] = ()
    children: Sequence[int] = ()
    facts: Sequence[tuple[str, bytes]] = ()


def fork(copy: Copy, *, actor: str | None = None) -> Call[int | None]:
    """Start a run from what another has recorded. Returns its id; None when the other is not there."""
    params = {
        "root": copy.root_id,
        "task": copy.task_id,
        "input": copy.input.decode(),
        "size": copy.size,
        "data": copy.data.decode(),
        "prefix": copy.prefix,
        "events": numbers(copy.events),
        "children": numbers(copy.children),
        "keys": [key for key, _ in copy.facts],
        "facts": documents(data for _, data in copy.facts),
        "actor": actor,
    }
    return Call("run/fork", params, lambda rows: rows[0][0] if rows else None)


class Outlined(NamedTuple):
    """Something that a run of a graph has recorded.

    Args:
        type: an event type, or `child`.
        id: of the event or the child.
        key: what it is recorded under; a child's step; a signal's name.
        state: of a child that has ended.
        data: of what is told of nodes, without errors; whole under keys that begin with `$`; of a signal that was
            taken, which: `signal`.
    """

    type: str
    id: int
    key: str
    state: str | None
    data: Any


def outline(root_id: int, task_id: int) -> Call[list[Outlined]]:
    """What a run of a graph has recorded, in order, without what its nodes have given."""
    params = {"root": root_id, "task": task_id}
    return Call("run/outline", params, lambda rows: [Outlined._make(row) for row in rows])


class Told(NamedTuple):
    """Something that is told of a node; or its children of one state.

    Args:
        type: an event type, or `child`; `step.completed` for the version that the run follows.
        node: which.
        state: of the children; None: they are just moving.
        number: of them.
        task_id: the one that is the node's own, not one of many.
        attempt: the highest of theirs.
        at: when it was told; when the first child was asked for.
        ended_at: when the last child ended.
        data: of the event.
    """

    type: str
    node: str
    state: str | None
    number: int | None
    task_id: int | None
    attempt: int | None
    at: datetime
    ended_at: datetime | None
    data: Any


def graph(root_id: int, task_id: int) -> Call[list[Told]]:
    """What became of the nodes of a run of a graph."""
    params = {"root": root_id, "task": task_id}
    return Call("run/graph", params, lambda rows: [Told._make(row) for row in rows])


class Standing(NamedTuple):
    """One thing that keeps a task.

    Args:
        what: `paused`, `parked`, `arrivals`, `timer`, `event` or `child`.
        task_id: of what is parked, or of the child.
        name: its task's name; that of the event that is waited for.
        step: its name within the parent; the key of a timer or of a wait for an event.
        state: its state; None for a child that is just moving; the key of the event that is waited for.
        at: since when; of a timer and of `arrivals`: until when at most.
        actor: who paused it.
        detail: why it is parked; what else an event has to be (`match`).
        number: of arrivals that it lacks; of children in all.
    """

    what: str
    task_id: int | None
    name: str | None
    step: str | None
    state: str | None
    at: datetime | None
    actor: str | None
    detail: dict[str, Any] | None
    number: int | None


def standing(root_id: int, task_id: int, limit: int = 20) -> Call[list[Standing]]:
    """What keeps a task, at most `limit` of each kind."""
    params = {"root": root_id, "task": task_id, "limit": limit}
    return Call("run/standing", params, lambda rows: [Standing._make(row) for row in rows])


class InFlight(NamedTuple):
    """A workflow without an outcome."""

    task_id: int
    root_id: int
    name: str
    state: str
    input: dict[str, Any]


class Page(NamedTuple):
    """Some workflows in flight, and where to go on; None at the end."""

    found: list[InFlight]
    last: int | None


def in_flight(names: Sequence[str], after: int = 0, limit: int = 2000) -> Call[Page]:
    """Of the next tasks in any place, those that are workflows: of these names, or known to be ones."""

    def parse(rows: Rows) -> Page:
        return Page([InFlight._make(row) for row in rows[:-1]], rows[-1][1])

    return Call("run/in_flight", {"names": list(names), "after": after, "limit": limit}, parse)


class Differing(NamedTuple):
    """Something that two runs have recorded, and not the same.

    Args:
        key: what it is recorded under.
        old_state, new_state: completed, failed, cancelled, skipped or unfinished; None: it is not there.
        old_attempt, new_attempt: how often it was tried.
        old_seconds, new_seconds: how long it took.
        changed: whether the results differ.
        fits: whether they are small enough to be given.
        old, new: the results, within an object, if they differ.
        old_error, new_error: without traceback.
    """

    key: str
    old_state: str | None
    new_state: str | None
    old_attempt: int | None
    new_attempt: int | None
    old_seconds: float | None
    new_seconds: float | None
    changed: bool
    fits: bool
    old: Any
    new: Any
    old_error: dict[str, Any] | None
    new_error: dict[str, Any] | None


def compare(old: tuple[int, int], new: tuple[int, int], *, limit: int, size: int) -> Call[tuple[list[Differing], int]]:
    """What differs between what these (root_id, task_id) have recorded, at most `limit`, and how much does in all.

    Args:
        old: the one.
        new: the other.
        limit: how many keys.
        size: bytes above which results are not given.
    """
    params = {"roots": numbers((old[0], new[0])), "tasks": numbers((old[1], new[1])), "limit": limit, "size": size}

    def parse(rows: Rows) -> tuple[list[Differing], int]:
        return [Differing._make(row[:-1]) for row in rows], rows[0][-1] if rows else 0

    return Call("run/compare", params, parse)


def of_graphs(tasks: Sequence[tuple[int, int]]) -> Call[dict[int, int]]:
    """Of these (root_id, task_id) those that are the run of a graph which has begun, or do a node of one: the graph's
    run by the task."""
    params = {"roots": numbers(root for root, _ in tasks), "tasks": numbers(task for _, task in tasks)}
    return Call("run/of_graphs", params, dict)
