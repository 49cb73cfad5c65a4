"""How far a backfill has come."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.models import Id, Instant, Model, StateWord
from pgflow.api.operation import operation
from pgflow.api.targets import missing, sees
from pgflow.errors import NotFound
from pgflow.sdk import run_verbs, verbs
from pgflow.sdk.registry.schedules import BACKFILL


class Backfilling(Model):
    """A backfill."""

    id: Id = Field(description="The run that does it. Cancelling that run ends it.")
    schedule: str
    start: Instant
    end: Instant
    state: StateWord
    progress: float | None = Field(description="From 0 to 1.")
    note: str | None = Field(description="How far it has come, for people.")
    instants: int | None = Field(description="How many instants there were, once it is done.")
    started: int | None = Field(description="How many runs it has started, once it is done.")
    error: Any


class Backfills:
    """`/api/v1/backfills/{id}`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("Look at a backfill")
    async def on_get_one(self, asked: Asked, id: Id) -> Backfilling:
        """What a schedule's past has been filled in with so far."""
        try:
            run = await self._backend.drive(verbs.show(id))
        except NotFound:
            missing("backfill", str(id))
        if run["name"] != BACKFILL:
            missing("backfill", str(id))
        given = run["input"]
        if asked.scoped:
            try:
                schedule = await self._backend.client.schedules.get(given["schedule"])
            except NotFound:
                missing("backfill", str(id))
            if not sees(asked, schedule.start):
                missing("backfill", str(id))
        told = await self._backend.drive(run_verbs.told(id)) or {}
        done = run["output"] or {}
        return Backfilling.model_validate(
            {
                "id": id, "schedule": given["schedule"], "start": given["start"], "end": given["end"],
                "state": run["state"], "progress": 1.0 if done else told.get("progress"), "note": told.get("note"),
                "instants": done.get("instants"), "started": done.get("started"), "error": run["error"],
            }
        )  # fmt: skip
