"""What the code of a workflow can reach beside its history: the app's tasks and steps, its client, a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from pgflow.backoff import NO_RETRY
from pgflow.db.call import AsyncSession, Call, Session
from pgflow.engine import workflows
from pgflow.engine.runs import by_key
from pgflow.errors import NotFound
from pgflow.sdk.event_search import seeker
from pgflow.sdk.step import Step, step
from pgflow.sdk.task import Key, Task


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
        seeker: the step that looks for an event; through the client unless given.
    """

    workflow: Task[..., Any]
    tasks: Mapping[str, Task[..., Any]]
    steps: Mapping[str, Step[..., Any]]
    client: Callable[[], Any]
    log: Any
    sender: Step[..., Any]
    seeker: Step[..., Any] | None = None

    def event_seeker(self) -> Step[..., Any]:
        """The step that looks for an event."""
        return self.seeker or seeker(self.client, self.workflow.is_async)


def sender(workflow: Task[..., Any], schema: str) -> Step[..., Any]:
    """The step that sends a signal within a transaction, in the workflow's colour."""

    async def send_signal(db: psycopg.AsyncConnection[Any], target: int | Key, name: str, payload: bytes) -> None:
        session = AsyncSession(db, schema)
        run = target if isinstance(target, int) else the_run(await session.run(by_key(target.name, target.key)), target)
        check_sent(await session.run(_call(workflow, run, name, payload)))

    def send_signal_here(db: psycopg.Connection[Any], target: int | Key, name: str, payload: bytes) -> None:
        session = Session(db, schema)
        run = target if isinstance(target, int) else the_run(session.run(by_key(target.name, target.key)), target)
        check_sent(session.run(_call(workflow, run, name, payload)))

    return step(send_signal if workflow.is_async else send_signal_here, name="send_signal", retry=NO_RETRY)


def _call(workflow: Task[..., Any], target: int, name: str, payload: bytes) -> Call[list[tuple[int, str]]]:
    return workflows.signal([workflows.Signal(target, name, payload)], actor=f"workflow {workflow.name}")


def the_run(found: int | None, key: Key) -> int:
    """The run that was found by its key, or NotFound."""
    if found is None:
        raise NotFound(f"no unfinished run of {key.name} was started with the key {key.key!r}")
    return found


def check_sent(answers: list[tuple[int, str]]) -> None:
    """Raise NotFound for the first signal that did not get there."""
    for task_id, answer in answers:
        if answer == "unknown":
            raise NotFound(f"there is no run {task_id} to signal")
        if answer == "finished":
            raise NotFound(f"run {task_id} is finished; nobody would hear the signal")
