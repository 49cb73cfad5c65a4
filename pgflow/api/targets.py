"""What is started from outside, as bodies ask for it and answers show it: a task or a workflow, and how its runs wait.

Who may see a schedule or a trigger is who may see its runs: by the name of what it starts, and by the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn

from pydantic import Field, StringConstraints

from pgflow.api.asked import Asked
from pgflow.api.models import NO_NUL, Model, Name, QueueName, Text
from pgflow.api.problems import ProblemError
from pgflow.model import Priority
from pgflow.sdk.run_verbs import OWN
from pgflow.sdk.task import Task

PriorityWord = Literal["critical", "high", "normal", "low"]
PRIORITIES: tuple[PriorityWord, ...] = ("critical", "high", "normal", "low")

Tag = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
Names = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]


class Target(Model):
    """What is started, and how its runs wait."""

    task: Name = Field(description="The task or workflow that is started.")
    queue: QueueName | None = Field(default=None, description="A workflow's own unless given; a task's is `default`.")
    priority: PriorityWord | None = Field(default=None, description="`normal` unless given.")
    tags: dict[Tag, Text] | None = Field(default=None, max_length=50, description="Words to find its runs by.")


def refuse_own(task: str) -> None:
    """Raise `forbidden` for a task of the engine's own: it believes its input, which a route has checked."""
    if task.startswith(OWN):
        raise ProblemError("forbidden", f"{task} is the engine's own, which nobody else starts")


def require(asked: Asked, task: str, queue: str | None) -> None:
    """Raise `forbidden` unless they may start this: to who is limited, the name or the queue has to belong."""
    refuse_own(task)
    if not (asked.reaches(workflow=task) or (queue is not None and asked.reaches(queue=queue))):
        raise ProblemError("forbidden", f"workflow {task} is not in your scopes")


def unlimited(asked: Asked, what: str) -> None:
    """Raise `forbidden` for who is limited by scopes: application events have no scope, so that who listens to one is
    given what concerns all."""
    if asked.scoped:
        raise ProblemError(
            "forbidden", f"{what} starts runs of an application event, which is in nobody's scopes",
            hint="somebody whom no scopes limit can make it",
        )  # fmt: skip


def chosen(tasks: Mapping[str, Task[..., Any]], body: Target) -> tuple[Task[..., Any] | str, dict[str, Any]]:
    """What is started: with the options of its code if that is at hand, else its name, and what else has to be said."""
    given: dict[str, Any] = {
        word: value for word in ("queue", "priority", "tags") if (value := getattr(body, word)) is not None
    }
    task = tasks.get(body.task)
    if task is None:
        return body.task, given
    if "priority" in given:
        given["priority"] = Priority[given["priority"].upper()]
    return task.options(**given), {}


def sees(asked: Asked, start: Mapping[str, Any]) -> bool:
    """Whether what starts this is theirs to see."""
    return asked.reaches(workflow=start["name"], queue=start.get("queue") or "default")


def missing(what: str, name: str) -> NoReturn:
    """Raise `not_found`; also for what is there, but not theirs."""
    raise ProblemError("not_found", f"there is no {what} {name}")


def shown(start: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an answer that say what is started."""
    return {
        "task": start["name"],
        "queue": start.get("queue"),
        "priority": PRIORITIES[start.get("priority", 2)],
        "tags": start.get("tags"),
        "input": start.get("input"),
    }
