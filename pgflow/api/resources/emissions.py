"""Application events: emitted, and looked at. `/api/v1/events` is read from another resource, which this one is mixed
into."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import NO_NUL, Id, Instant, Key, Limit, Model, Page, Query, StateWord, row
from pgflow.api.operation import Reply, operation
from pgflow.engine import emissions as engine

EventName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,199}$")]
AnyText = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=NO_NUL)]


class EmitEvent(Model):
    """An application event."""

    name: EventName = Field(description="As in `order/paid`.")
    payload: Any = None
    key: Key | None = Field(default=None, description="Whom or what it is about.")
    id: Key | None = Field(default=None, description="One of your own: the same id emits once.")


class Emitted(Model):
    """What became of it."""

    id: Id = Field(description="The run that tells of it.")
    event: str
    existed: bool = Field(description="It was emitted before, with this id.")


class Emission(Model):
    """An application event that was emitted."""

    id: Id
    name: str
    key: str | None
    given_id: str | None = Field(description="The sender's own id.")
    at: Instant
    payload: Any
    actor: str | None
    task_id: Id = Field(description="The run that tells of it.")
    state: StateWord | None = Field(description="That run's state; null: it is gone.")


class EmissionQuery(Query):
    """Which events."""

    name: AnyText | None = None
    key: AnyText | None = None
    after: Id | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 50


class Emitting:
    """`POST /api/v1/events`: mixed into what answers there else."""

    @operation(
        "Emit an application event", status=201, statuses={200: "It was emitted before, with this id."},
        changes="event.emit", problems=("key_reused",),
    )  # fmt: skip
    async def on_post(self, change: Change, body: EmitEvent) -> Reply[Emitted]:
        """It starts what has a trigger for it, and wakes who waits for it."""
        handle = await change.client.emit(body.name, body.payload, key=body.key, id=body.id)
        change.tell(f"event:{body.name}", after={"run": str(handle.id), "key": body.key, "id": body.id})
        if handle.existed:
            change.nothing_changed()
        answer = Emitted(id=handle.id, event=body.name, existed=handle.existed)
        return Reply(answer, 200 if handle.existed else 201, {"Location": f"/api/v1/runs/{handle.id}"})


class Emissions:
    """`/api/v1/emissions`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List application events")
    async def on_get(self, asked: Asked, query: EmissionQuery) -> Page[Emission]:
        """Newest first."""
        found = await self._backend.run(
            engine.emissions(name=query.name, key=query.key, before=query.after, limit=query.limit)
        )
        following = str(found[-1]["id"]) if len(found) == query.limit else None
        return Page(items=[row(Emission, one) for one in found], next=following)
