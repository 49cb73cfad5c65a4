"""What workflows need beside the verbs of all tasks: their history, signals, interruption, definitions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import documents, numbers


class HistoryRow(NamedTuple):
    """One thing that a replay must know.

    Args:
        type: an event type, `child` (a task spawned) or `arrived` (how many arrivals the inbox counts).
        id: of the event or the child.
        key: the step, timer or signal.
        number: a step's try, or the arrivals.
        name: the child's task name.
        state: of the child, once it has an outcome.
        data: of the event; the child's output.
        error: the child's.
        at: when; for `arrived` the database's clock.
    """

    type: str
    id: int
    key: str | None
    number: int | None
    name: str | None
    state: str | None
    data: Any
    error: dict[str, Any] | None
    at: datetime


def origin(run: int) -> Call[None]:
    """Mark what is changed in this transaction as this run's: a run does not start itself through a table trigger."""
    return Call("workflow/origin", {"run": str(run)}, lambda _: None, literal=True)


def history(tasks: Sequence[tuple[int, int]]) -> Call[dict[int, list[HistoryRow]]]:
    """What a replay of each of these (root_id, task_id) must know, as of one instant."""
    params = {"roots": numbers(root for root, _ in tasks), "tasks": numbers(task for _, task in tasks)}
    return Call("workflow/history", params, _by_task)


class Known(NamedTuple):
    """A workflow that was kept in memory, about to go on.

    Args:
        root_id: its run.
        task_id: itself.
        children: the ids of those it waits for.
    """

    root_id: int
    task_id: int
    children: tuple[int, ...]


def news(known: Sequence[Known]) -> Call[dict[int, list[HistoryRow]]]:
    """What has come to each of these, as of one instant; with a row of type `facts`: how many are recorded."""
    params = {
        "roots": numbers(one.root_id for one in known),
        "tasks": numbers(one.task_id for one in known),
        "child_roots": numbers(one.root_id for one in known for _ in one.children),
        "parents": numbers(one.task_id for one in known for _ in one.children),
        "children": numbers(child for one in known for child in one.children),
    }
    return Call("workflow/news", params, _by_task)


def _by_task(rows: Rows) -> dict[int, list[HistoryRow]]:
    found: dict[int, list[HistoryRow]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(HistoryRow._make(row[1:]))
    return found


class Signal(NamedTuple):
    """A signal on its way.

    Args:
        task_id: the run, or a child workflow of one.
        name: what the workflow waits for.
        payload: as JSON text.
    """

    task_id: int
    name: str
    payload: bytes = b"null"


def signal(signals: Sequence[Signal], *, actor: str | None = None) -> Call[list[tuple[int, str]]]:
    """Send these signals. Returns (task_id, `sent`, `unknown` or `finished`) in the order asked."""
    params = {
        "tasks": numbers(signal.task_id for signal in signals),
        "names": [signal.name for signal in signals],
        "data": documents(b'{"payload":' + signal.payload + b"}" for signal in signals),
        "actor": actor,
    }
    return Call("workflow/signal", params, lambda rows: [(row[0], row[1]) for row in rows])


def interrupt(tasks: Sequence[tuple[int, int]], *, actor: str | None = None) -> Call[list[int]]:
    """Tell these (root_id, task_id), which have cleaning up to do, to cancel themselves. Returns those told."""
    params = {
        "roots": numbers(root for root, _ in tasks),
        "tasks": numbers(task for _, task in tasks),
        "actor": actor,
    }
    return Call("workflow/interrupt", params, lambda rows: [row[0] for row in rows])


class Definition(NamedTuple):
    """What a workflow is, as it is stored.

    Args:
        name: the workflow.
        kind: `code` or `graph`.
        checksum: of the document.
        document: as JSON text.
    """

    name: str
    kind: str
    checksum: bytes
    document: bytes


def define(definitions: Sequence[Definition], *, actor: str | None = None) -> Call[None]:
    """Store these definitions, each as a new version if it differs from the newest."""
    params = {
        "names": [definition.name for definition in definitions],
        "kinds": [definition.kind for definition in definitions],
        "checksums": [definition.checksum for definition in definitions],
        "documents": documents(definition.document for definition in definitions),
        "actor": actor,
    }
    return Call("definition/register", params, lambda _: None)


def told(root_id: int, task_id: int) -> Call[dict[str, Any] | None]:
    """What a task last told of itself."""

    def parse(rows: Rows) -> dict[str, Any] | None:
        return dict(zip(("state", "progress", "note", "at"), rows[0], strict=True)) if rows else None

    return Call("task/told", {"root": root_id, "task": task_id}, parse)
