"""The audit: who changed what. It is only read here; what changes something writes it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.models import Id, Instant, Limit, Model, Page, Query, Text, row
from pgflow.api.operation import operation
from pgflow.engine import audit_entries


class AuditEntry(Model):
    """What somebody did."""

    id: Id
    at: Instant
    actor: str = Field(description="As in token:deploy, user:ann or cli:ann@host.")
    address: str | None
    request_id: str | None
    action: str = Field(description="As in run.cancel.")
    target: str | None = Field(description="As in run:17.")
    before: Any
    after: Any


class AuditQuery(Query):
    """Which entries."""

    actor: Text | None = None
    action: Text | None = None
    target: Text | None = None
    after: Id | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 50


class Audit:
    """`/api/v1/audit`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List what was changed")
    async def on_get(self, asked: Asked, query: AuditQuery) -> Page[AuditEntry]:
        """Newest first."""
        found = await self._backend.run(
            audit_entries.entries(
                actor=query.actor, action=query.action, target=query.target, before=query.after, limit=query.limit
            )
        )
        following = str(found[-1].id) if len(found) == query.limit else None
        return Page(items=[row(AuditEntry, one) for one in found], next=following)
