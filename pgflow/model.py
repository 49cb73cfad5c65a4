"""The words of the engine as types: states, events, priorities, and the rows that statements return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple


class State(StrEnum):
    """Where a task is. The same names as the SQL type `pgflow.state`."""

    QUEUED = "queued"
    RUNNING = "running"
    SCHEDULED = "scheduled"
    RETRYING = "retrying"
    SLEEPING = "sleeping"
    WAITING = "waiting"
    THROTTLED = "throttled"
    PAUSED = "paused"
    NEEDS_ATTENTION = "needs_attention"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def final(self) -> bool:
        """Whether a task in this state has its outcome."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.SKIPPED})


class EventType(StrEnum):
    """What happened to a task. The same names as the SQL type `pgflow.event_type`."""

    TASK_STARTED = "task.started"
    TASK_COMPLETED = "task.completed"
    TASK_FAILED = "task.failed"
    TASK_RETRIED = "task.retried"
    TASK_CANCELLED = "task.cancelled"
    TASK_SKIPPED = "task.skipped"
    TASK_RELEASED = "task.released"
    TASK_REDRIVEN = "task.redriven"
    TASK_PAUSED = "task.paused"
    TASK_RESUMED = "task.resumed"
    LEASE_EXPIRED = "lease.expired"
    TIMER_CREATED = "timer.created"
    TIMER_FIRED = "timer.fired"
    STEP_COMPLETED = "step.completed"
    STEP_RETRIED = "step.retried"
    STEP_FAILED = "step.failed"
    SIGNAL_RECEIVED = "signal.received"
    WORKFLOW_STARTED = "workflow.started"
    WORKFLOW_CONTINUED = "workflow.continued"
    WORKFLOW_PARKED = "workflow.parked"
    WORKFLOW_CANCELLING = "workflow.cancelling"
    WORKFLOW_FORKED = "workflow.forked"
    WORKFLOW_FINISHED = "workflow.finished"
    NODE_STARTED = "node.started"
    NODE_COMPLETED = "node.completed"
    NODE_FAILED = "node.failed"
    NODE_SKIPPED = "node.skipped"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_ESCALATED = "approval.escalated"


NODE_EVENTS = frozenset({t for t in EventType if t.value.startswith("node.")})
"""What is told of the nodes of a graph; no replay depends on it."""


class Priority(IntEnum):
    """How urgent a task is within its queue; the lower the number, the earlier it is claimed."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


class Lane(NamedTuple):
    """A queue and a priority: what a claim scans."""

    queue: str
    priority: int


class Claimed(NamedTuple):
    """A leased task as the claim returns it. `(task_id, epoch)` and the worker's id are its fence."""

    task_id: int
    epoch: int
    root_id: int
    attempt: int
    crashes: int
    name: str
    queue: str
    priority: int
    input: dict[str, Any] | None
    """The arguments; None when too bulky to travel with a batch, to be fetched when the task's turn comes."""
    timeout: float | None
    retry: dict[str, Any] | None
    trace: str | None
    key: str | None


class Settlement(NamedTuple):
    """How a lease ends: what the settler hands to the database.

    Args:
        task_id: the task.
        epoch: the lease's epoch.
        state: a final state, or the place it moves to: `retrying`, `sleeping` and `scheduled` (after `delay`),
            `waiting` (until `needed` have arrived, at most for `delay`), `queued` (released at once).
        output: the result as JSON text.
        error: the error as JSON text, of a failed or retried attempt.
        delay: seconds.
        needed: arrivals in all at which a waiting task wakes.
        due: an instant, in place of `delay`.
        generation: of a workflow that ends: which one, so that `workflow.finished` is recorded in the same commit.
    """

    task_id: int
    epoch: int
    state: State
    output: bytes = b"null"
    error: bytes = b"null"
    delay: float | None = None
    needed: int | None = None
    due: datetime | None = None
    generation: int | None = None


class Parking(NamedTuple):
    """How the lease of a workflow ends that cannot go on by itself.

    Args:
        task_id: the task.
        epoch: the lease's epoch.
        reason: `paused` or `needs_attention`.
        detail: what a person must know, as a JSON object.
    """

    task_id: int
    epoch: int
    reason: State
    detail: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended."""

    state: State
    output: Any
    error: dict[str, Any] | None
    attempt: int
    finished_at: datetime
