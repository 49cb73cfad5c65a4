"""What a handler can ask about the attempt it is running in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from pgflow.errors import PgflowError
from pgflow.model import Claimed


@dataclass(frozen=True, slots=True)
class Attempt:
    """The running attempt of a task.

    Attributes:
        task_id: the task.
        run_id: the run it belongs to.
        name: the task's name.
        attempt: 1 for the first.
        worker_id: who runs it.
        trace: the W3C traceparent of whoever enqueued it.
        step: the step of a workflow that this code runs in.
    """

    task_id: int
    run_id: int
    name: str
    attempt: int
    worker_id: int
    trace: str | None
    step: str | None = None

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt: hand it to what you call, so that a repeated call has no second effect."""
        return f"pgflow-{self.task_id}" if self.step is None else f"pgflow-{self.task_id}-{self.step}"


@dataclass(slots=True)
class Cell:
    """Where a slot keeps the task it is running; one context variable points at it for the slot's whole life."""

    claimed: Claimed | None = None
    worker_id: int = 0


CELL: ContextVar[Cell | None] = ContextVar("pgflow_attempt", default=None)
STEP: ContextVar[str | None] = ContextVar("pgflow_step", default=None)


@contextmanager
def within_step(key: str) -> Iterator[None]:
    """While a step's function runs."""
    token = STEP.set(key)
    try:
        yield
    finally:
        STEP.reset(token)


def current() -> Attempt:
    """The attempt that this code runs in.

    Raises:
        PgflowError: called outside a handler.

    Example:
        >>> requests.post(url, headers={"Idempotency-Key": pgflow.current().idempotency_key})  # doctest: +SKIP
    """
    cell = CELL.get()
    if cell is None or cell.claimed is None:
        raise PgflowError("pgflow.current() works only inside a running task")
    claimed = cell.claimed
    return Attempt(
        claimed.task_id, claimed.root_id, claimed.name, claimed.attempt, cell.worker_id, claimed.trace, STEP.get()
    )
