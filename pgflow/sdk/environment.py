"""What the code of a workflow can reach beside its history: the app's tasks and steps, its client, a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from pgflow.backoff import NO_RETRY
from pgflow.db.call import AsyncSession, Call, Session
from pgflow.engine import workflows
from pgflow.errors import NotFound
from pgflow.sdk.step import Step, step
from pgflow.sdk.task import Task


@dataclass(frozen=True, slots=True)
class Environment:
    """Of one running workflow.

    Args:
        workflow: itself.
        tasks: what it may run as children by name.
        steps: registered steps by name.
        client: makes a client of its colour.
        log: silent while the code is replayed.
        sender: the step that sends a signal.
    """

    workflow: Task[..., Any]
    tasks: Mapping[str, Task[..., Any]]
    steps: Mapping[str, Step[..., Any]]
    client: Callable[[], Any]
    log: Any
    sender: Step[..., Any]


def sender(workflow: Task[..., Any], schema: str) -> Step[..., Any]:
    """The step that sends a signal within a transaction, in the workflow's colour."""

    async def send_signal(db: psycopg.AsyncConnection[Any], target: int, name: str, payload: bytes) -> None:
        check_sent(await AsyncSession(db, schema).run(_call(workflow, target, name, payload)))

    def send_signal_here(db: psycopg.Connection[Any], target: int, name: str, payload: bytes) -> None:
        check_sent(Session(db, schema).run(_call(workflow, target, name, payload)))

    return step(send_signal if workflow.is_async else send_signal_here, name="send_signal", retry=NO_RETRY)


def _call(workflow: Task[..., Any], target: int, name: str, payload: bytes) -> Call[list[tuple[int, str]]]:
    return workflows.signal([workflows.Signal(target, name, payload)], actor=f"workflow {workflow.name}")


def check_sent(answers: list[tuple[int, str]]) -> None:
    """Raise NotFound for the first signal that did not get there."""
    for task_id, answer in answers:
        if answer == "unknown":
            raise NotFound(f"there is no run {task_id} to signal")
        if answer == "finished":
            raise NotFound(f"run {task_id} is finished; nobody would hear the signal")
