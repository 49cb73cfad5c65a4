"""Workers, and who leads them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.models import Id, Instant, Model, Query, row
from pgflow.api.operation import operation
from pgflow.engine import diagnosis, standing


class Worker(Model):
    """A process that runs tasks."""

    id: Id
    host: str
    pid: int
    version: str
    state: Literal["alive", "silent", "ended"] = Field(description="`silent`: its heartbeat is overdue.")
    queues: list[str]
    concurrency: int = Field(description="Tasks that it runs at once at most.")
    running: int = Field(description="Tasks that it ran when it was last seen.")
    load: float = Field(description="Running by concurrency.")
    tasks: int = Field(description="Names of tasks and workflows that it has code for.")
    started_at: Instant
    seen_at: Instant = Field(description="Its last heartbeat.")
    lease_until: Instant
    closed_at: Instant | None
    closed_why: str | None


class Leader(Model):
    """The process that leads: it fires timers and schedules, and cleans up."""

    host: str
    pid: int
    term: int
    since: Instant
    seen_at: Instant | None
    silence: float = Field(description="Seconds since it was last seen.")
    leads: bool = Field(description="It holds the leader's lock right now.")


class Crew(Model):
    """All workers, newest first, and the leader."""

    items: list[Worker]
    leader: Leader | None = Field(description="Null: nobody has ever led.")


class WorkerQuery(Query):
    """Which workers."""

    ended: bool = Field(default=False, description="Also those that ended within the last day.")


class Workers:
    """`/api/v1/workers`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List the workers, and who leads")
    async def on_get(self, asked: Asked, query: WorkerQuery) -> Crew:
        """With their queues, load and last heartbeat."""
        stands = await self._backend.run(standing.standing())
        led = await self._backend.run(diagnosis.leader())
        found = await self._backend.client.workers()
        items = [_answer(one) for one in found if query.ended or one["closed_at"] is None]
        leader = None
        if led is not None:
            leader = Leader.model_construct(
                host=led.host, pid=led.pid, term=led.term, since=led.since, seen_at=stands.leader_seen_at,
                silence=led.silence, leads=led.locked,
            )  # fmt: skip
        return Crew(items=items, leader=leader)


def _answer(found: dict[str, Any]) -> Worker:
    alive = "alive" if found["lease_until"] > datetime.now(UTC) else "silent"
    state = alive if found["closed_at"] is None else "ended"
    load = found["running"] / found["concurrency"] if found["concurrency"] else 0.0
    return row(Worker, {**found, "state": state, "load": round(load, 3)})
