"""Bulk changes over HTTP: see `pgflow.sdk.registry.bulks`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pgflow.engine.bulk import Found
from pgflow.sdk.colours import document_like
from pgflow.sdk.registry.bulk import RATE, Preview, which_of
from pgflow.sdk.remote.exchange import Answer, Ask, Exchange
from pgflow.sdk.remote.exchanges import Documents, changed, one
from pgflow.sdk.remote.rows import Row, rows
from pgflow.sdk.remote.run_verbs import paged, send
from pgflow.sdk.run_verbs import id_of
from pgflow.sdk.verbs import Handle

MOST = 50
"""Bulks of a page."""


def _preview(action: str, which: Mapping[str, Any]) -> Exchange[Preview]:
    found = yield from send("POST", "/bulk/preview", {"action": action, "filter": dict(which)})
    sample = [
        Found(run["id"], run["run_id"], run["name"], run["queue"], run["state"], run["created_at"])
        for run in rows(found["sample"])
    ]
    return Preview(action, which, found["count"], sample, found["confirmation"])


def _start(seen: Preview, rate: int) -> Exchange[Handle[Any]]:
    body = {"action": seen.action, "filter": dict(seen.which), "confirmation": seen.confirmation, "rate": rate}
    return (yield from _once("/bulk", body))


def _undo(id: int) -> Exchange[Handle[Any]]:
    return (yield from _once(f"/bulk/{id}/undo", None))


def _once(path: str, body: Any) -> Exchange[Handle[Any]]:
    """Asked for twice, it is done once."""
    answer: Answer = yield Ask("POST", path, body=body, repeatable=True)
    found = answer.json()
    return Handle(int(found["id"]), found["existed"])


class RemoteBulks:
    """`client.bulk`: many runs changed at once, after a look at what would be changed."""

    def __init__(self, drive: Callable[[Exchange[Any]], Any]) -> None:
        self._drive = drive

    def preview(
        self,
        action: str,
        *,
        workflow: str | None = None,
        queue: str | None = None,
        states: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        ids: Sequence[int] | None = None,
    ) -> Preview:
        """Look at what would be changed: how many exactly, the first of them, and what an undo would do."""
        return self._drive(_preview(action, which_of(workflow, queue, states, tags, since, until, ids)))  # type: ignore[no-any-return]

    def start(self, preview: Preview, *, rate: int = RATE) -> Handle[Any]:
        """Do what was looked at, in the background, page by page. Started twice, it is done once."""
        return self._drive(_start(preview, rate))  # type: ignore[no-any-return]

    def list(self, *, before: int | None = None, limit: int = 20) -> Documents:
        """Bulks, newest first, without the undoings; `before` takes the last id of the previous page."""
        return self._drive(paged("/bulk", before, limit, most=MOST))  # type: ignore[no-any-return]

    def get(self, id: Handle[Any] | int) -> Row:
        """How far a bulk, or an undoing, has come; or NotFound."""
        return self._drive(one(f"/bulk/{id_of(id)}"))  # type: ignore[no-any-return]

    def cancel(self, id: Handle[Any] | int) -> Row:
        """End it after the page that it is at."""
        return self._drive(changed("POST", f"/bulk/{id_of(id)}/cancel"))  # type: ignore[no-any-return]

    def undo(self, id: Handle[Any] | int) -> Handle[Any]:
        """Take back what it has done, as far as it still is so. See `Client.bulk.undo`."""
        return self._drive(_undo(id_of(id)))  # type: ignore[no-any-return]


class AsyncRemoteBulks:
    """`RemoteBulks`, awaited."""

    def __init__(self, drive: Callable[[Exchange[Any]], Awaitable[Any]]) -> None:
        self._drive = drive

    async def preview(
        self,
        action: str,
        *,
        workflow: str | None = None,
        queue: str | None = None,
        states: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        ids: Sequence[int] | None = None,
    ) -> Preview:
        return await self._drive(_preview(action, which_of(workflow, queue, states, tags, since, until, ids)))  # type: ignore[no-any-return]

    async def start(self, preview: Preview, *, rate: int = RATE) -> Handle[Any]:
        return await self._drive(_start(preview, rate))  # type: ignore[no-any-return]

    async def list(self, *, before: int | None = None, limit: int = 20) -> Documents:
        return await self._drive(paged("/bulk", before, limit, most=MOST))  # type: ignore[no-any-return]

    async def get(self, id: Handle[Any] | int) -> Row:
        return await self._drive(one(f"/bulk/{id_of(id)}"))  # type: ignore[no-any-return]

    async def cancel(self, id: Handle[Any] | int) -> Row:
        return await self._drive(changed("POST", f"/bulk/{id_of(id)}/cancel"))  # type: ignore[no-any-return]

    async def undo(self, id: Handle[Any] | int) -> Handle[Any]:
        return await self._drive(_undo(id_of(id)))  # type: ignore[no-any-return]


document_like(AsyncRemoteBulks, RemoteBulks)
