"""The verbs of people: cancel, redrive, pause and resume a queue; and what an outcome is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import numbers
from pgflow.model import Outcome, State


class Located(NamedTuple):
    """Where a task is to be found in history."""

    task_id: int
    root_id: int
    final: bool
    """Whether it has its outcome."""
    guarded: bool = False
    """Whether it has registered something to be undone, when that was asked."""


def locate(task_ids: Sequence[int], *, guards: bool = False) -> Call[list[Located]]:
    """Find these tasks; one that is missing in the answer does not exist. With `guards`, also say which are guarded."""
    params = {"tasks": numbers(task_ids), "guards": guards}
    return Call("task/locate", params, lambda rows: [Located(*row) for row in rows])


def cancel(task_ids: Sequence[int], *, actor: str | None = None) -> Call[list[int]]:
    """Cancel those of these tasks that can be reached now. Returns those moved: see `task/cancel`."""
    params = {"tasks": numbers(task_ids), "actor": actor}
    return Call("task/cancel", params, lambda rows: [row[0] for row in rows])


def redrive(tasks: Sequence[Located], *, actor: str | None = None) -> Call[list[int]]:
    """Make failed and cancelled tasks ready again. Returns those revived."""
    params = {
        "roots": numbers(task.root_id for task in tasks),
        "tasks": numbers(task.task_id for task in tasks),
        "actor": actor,
    }
    return Call("task/redrive", params, lambda rows: [row[0] for row in rows])


def outcomes(tasks: Sequence[Located]) -> Call[dict[int, Outcome]]:
    """The outcomes of those of these tasks that have one."""
    params = {
        "roots": numbers(task.root_id for task in tasks),
        "tasks": numbers(task.task_id for task in tasks),
    }

    def parse(rows: Rows) -> dict[int, Outcome]:
        return {row[0]: Outcome(State(row[1]), *row[2:]) for row in rows}

    return Call("task/outcomes", params, parse)


def pause_queue(name: str, *, actor: str | None = None) -> Call[None]:
    """No task of this queue is claimed any more, until it is resumed; running ones go on."""
    return Call("queue/pause", {"name": name, "actor": actor}, lambda _: None)


def resume_queue(name: str) -> Call[bool]:
    """Claim from this queue again. Returns whether it was paused."""
    return Call("queue/resume", {"name": name}, bool)


def age_queue(name: str, seconds: float | None) -> Call[None]:
    """Make waiting tasks of this queue one priority more urgent each so many seconds; None: never."""
    return Call("queue/age", {"name": name, "ageing": seconds}, lambda _: None)
