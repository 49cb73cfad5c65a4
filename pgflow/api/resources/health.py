"""Whether this process runs, and whether the engine can be used through it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.draining import draining
from pgflow.api.models import Instant, Model
from pgflow.api.operation import Reply, operation
from pgflow.db import migrations
from pgflow.engine import standing
from pgflow.errors import PgflowError


class Alive(Model):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(Model):
    """What can be used, and what cannot."""

    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="`degraded`: requests are taken, but no leader fires timers. `unavailable`: nothing can be done."
    )
    database: Literal["ok", "unreachable", "unknown"] = "unknown"
    schema_version: int | None = Field(default=None, description="What the database has.")
    schema_wanted: int = Field(description="What this version needs.")
    leader_seen_at: Instant | None = Field(default=None, description="When the leader last said that it is there.")
    leader_age: float | None = Field(default=None, description="Seconds since then, by the database's clock.")
    draining: bool = Field(description="This process ends as soon as what is under way has been answered.")


LEADER_SECONDS = 30.0


class Health:
    """`/healthz`, `/readyz`, `/api/v1/health`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("Whether the process answers")
    async def on_get_process(self, asked: Asked) -> Alive:
        """Looks at nothing else: an outage of the database is no reason to restart it."""
        return Alive()

    @operation("Whether the engine can be used", statuses={503: "It cannot; the body says why."})
    async def on_get(self, asked: Asked) -> Reply[Ready]:
        """Looks at the database, its schema, and when the leader was last seen."""
        wanted = migrations.latest_version()
        try:
            found = await self._backend.run(standing.standing())
        except PgflowError:
            down = Ready(status="unavailable", database="unreachable", schema_wanted=wanted, draining=draining.is_set())
            return Reply(down, 503)
        usable = found.version >= wanted and not draining.is_set()
        led = found.leader_age is not None and found.leader_age <= LEADER_SECONDS
        ready = Ready(
            status="unavailable" if not usable else "ok" if led else "degraded", database="ok",
            schema_version=found.version, schema_wanted=wanted, leader_seen_at=found.leader_seen_at,
            leader_age=found.leader_age, draining=draining.is_set(),
        )  # fmt: skip
        return Reply(ready, 200 if usable else 503)
