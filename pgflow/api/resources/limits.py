"""Limits of queues: what may be ready and running at once, and start in a time."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import Instant, Model, QueueName, Seconds, row
from pgflow.api.operation import Reply, operation
from pgflow.api.targets import missing
from pgflow.engine import limits as engine
from pgflow.errors import ArgumentError

Count = Annotated[int, Field(ge=1, lt=2**31)]
Rate = Annotated[float, Field(ge=1e-6, lt=1e9)]
Burst = Annotated[float, Field(ge=1, lt=1e9)]


class PutLimit(Model):
    """What a queue is limited to. What is left out is not limited."""

    concurrency: Count | None = Field(default=None, description="Tasks ready or running at once, in all.")
    rate: Rate | None = Field(default=None, description="Starts a second, in all.")
    burst: Burst = Field(default=1.0, description="Starts at once after a quiet time.")
    slot_concurrency: Count | None = Field(default=None, description="The same of each slot.")
    slot_rate: Rate | None = None
    slot_burst: Burst = 1.0


class QueueLimit(Model):
    """A limit, and what it holds back."""

    queue: str
    concurrency: int | None
    rate: float | None
    burst: float
    slot_concurrency: int | None
    slot_rate: float | None
    slot_burst: float
    throttled: int = Field(description="Tasks that wait for their turn.")
    ready: int
    running: int
    set_at: Instant | None
    set_by: str | None


class LimitList(Model):
    """Limits by queue."""

    items: list[QueueLimit]


class PutAgeing(Model):
    """How waiting tasks grow more urgent."""

    every: Seconds = Field(gt=0, le=3600, description="One priority each time this has passed.")


class Ageing(Model):
    """How waiting tasks grow more urgent."""

    queue: str
    every: float | None = Field(description="Seconds; null: they do not.")


class Limits:
    """`/api/v1/limits`, `/api/v1/queues/{name}/limit` and `/ageing`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List the limits of queues")
    async def on_get(self, asked: Asked) -> LimitList:
        """With what they hold back."""
        found = await self._backend.client.limits()
        return LimitList(items=[row(QueueLimit, one) for one in found if asked.reaches(queue=one["queue"])])

    @operation("Look at a queue's limit")
    async def on_get_one(self, asked: Asked, name: QueueName) -> QueueLimit:
        """`not_found` when it has none."""
        asked.require(queue=name)
        return row(QueueLimit, _of(await self._backend.client.limits(), name) or missing("limit of queue", name))

    @operation("Limit a queue", statuses={201: "It had no limit."}, changes="queue.limit")
    async def on_put_one(self, change: Change, name: QueueName, body: PutLimit) -> Reply[QueueLimit]:
        """In the place of an earlier limit. Works at once, on what waits as well."""
        change.require(queue=name)
        wanted = body.model_dump()
        if all(wanted[word] is None for word in ("concurrency", "rate", "slot_concurrency", "slot_rate")):
            raise ArgumentError(f"there is nothing to limit {name} to", hint="give a concurrency or a rate")
        before = _of(await change.client.limits(), name)
        await change.client.limit_queue(name, engine.Limit(**wanted))
        after = _of(await change.client.limits(), name)
        assert after is not None
        change.tell(f"queue:{name}", before=_told(before), after=_told(after))
        return Reply(row(QueueLimit, after), 201 if before is None else 200)

    @operation("Lift a queue's limit", changes="queue.lift_limit")
    async def on_delete_one(self, change: Change, name: QueueName) -> None:
        """What it held back is let go."""
        change.require(queue=name)
        before = _of(await change.client.limits(), name) or missing("limit of queue", name)
        await change.client.lift_limit(name)
        change.tell(f"queue:{name}", before=_told(before))

    @operation("Make waiting tasks more urgent with time", changes="queue.age")
    async def on_put_ageing(self, change: Change, name: QueueName, body: PutAgeing) -> Ageing:
        """So that those of low priority do not starve."""
        change.require(queue=name)
        await change.client.age_queue(name, body.every)
        change.tell(f"queue:{name}", after={"every": body.every})
        return Ageing(queue=name, every=body.every)

    @operation("Make waiting tasks no more urgent", changes="queue.age")
    async def on_delete_ageing(self, change: Change, name: QueueName) -> None:
        """They keep the priority that they have by then."""
        change.require(queue=name)
        await change.client.age_queue(name, None)
        change.tell(f"queue:{name}", after={"every": None})


def _of(found: list[dict[str, Any]], queue: str) -> dict[str, Any] | None:
    return next((one for one in found if one["queue"] == queue), None)


def _told(found: dict[str, Any] | None) -> dict[str, Any] | None:
    return found and {word: found[word] for word in PutLimit.model_fields}
