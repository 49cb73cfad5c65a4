"""Timers: what is due, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.models import Id, Instant, Limit, Model, Name, Page, Query, QueueName, Seconds, Text, row
from pgflow.api.operation import operation
from pgflow.api.problems import ProblemError
from pgflow.engine import timers as engine


class Timer(Model):
    """What becomes ready at some time."""

    due_at: Instant
    state: Literal["scheduled", "retrying", "sleeping", "waiting"] = Field(
        description="`scheduled`: asked for later; `retrying`: tried again; `sleeping`, `waiting`: a workflow does."
    )
    task_id: Id
    run_id: Id
    name: str
    queue: str
    attempt: int | None


class TimerQuery(Query):
    """Which timers."""

    within: Seconds | None = Field(default=None, description="Only what is due within this time.")
    name: Name | None = Field(default=None, description="Only tasks or workflows of this name.")
    queue: QueueName | None = None
    after: Text | None = Field(default=None, max_length=100, description="`next` of the page before.")
    limit: Limit = 50


class Timers:
    """`/api/v1/timers`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List what is due, and when")
    async def on_get(self, asked: Asked, query: TimerQuery) -> Page[Timer]:
        """The soonest first: tasks that start later or are tried again, and workflows that sleep or wait. What is
        overdue is about to become ready."""
        who = asked.who
        names, queues = (None, None) if who is None else (who.likes("workflow"), who.likes("queue"))
        found = await self._backend.run(
            engine.timers(
                within=query.within, name=query.name, queue=query.queue, after=_position(query.after),
                names=names, queues=queues, limit=query.limit,
            )
        )  # fmt: skip
        following = None
        if len(found) == query.limit:
            last = found[-1]
            following = f"{last['due_at'].astimezone(UTC).isoformat()}~{last['task_id']}"
        return Page(items=[row(Timer, one) for one in found], next=following)


def _position(after: str | None) -> tuple[datetime, int] | None:
    if after is None:
        return None
    at, _, id = after.partition("~")
    try:
        due_at, task_id = datetime.fromisoformat(at).astimezone(UTC), int(id)
    except (ValueError, OverflowError):
        due_at, task_id = None, 0
    if due_at is None or not at.endswith("+00:00") or not 0 < task_id < 2**63:
        raise ProblemError("invalid", "query.after: it is no `next` of a page of timers")
    return due_at, task_id
