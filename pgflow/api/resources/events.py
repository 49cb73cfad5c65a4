"""Events: a page of them, a stream (SSE), or over a WebSocket."""

from __future__ import annotations

import falcon.asgi
from pydantic import Field, ValidationError

from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.live.conversation import Conversation
from pgflow.api.live.hub import Hub
from pgflow.api.live.rendering import EventItem, item
from pgflow.api.live.stream import Stream
from pgflow.api.live.wanted import Wanted, cursor_of, filter_for
from pgflow.api.models import Limit, Model
from pgflow.api.operation import Reply, operation
from pgflow.api.problems import ProblemError, invalid
from pgflow.api.resources.emissions import Emitting
from pgflow.engine import events
from pgflow.engine.events import EVERYTHING, Cursor, Event, Filter

LOOKED_AT = 1000
"""Events of which those that fit are chosen, at once."""
LOOKS = 5


class EventQuery(Wanted):
    """Which events, and from where on."""

    after: str | None = Field(
        default=None, max_length=50, description="From this cursor on, such as `7421-90`; `0-0`: from the first kept.",
    )  # fmt: skip
    limit: Limit = 100


class EventPage(Model):
    """Some events, in order."""

    items: list[EventItem]
    next: str = Field(description="The cursor to go on from, now or later.")
    more: bool = Field(description="There may be more already.")


class EventFeed(Emitting):
    """`/api/v1/events`, `/api/v1/events/ws`."""

    def __init__(self, backend: Backend, hub: Hub) -> None:
        self._backend = backend
        self._hub = hub

    @operation(
        "Read events",
        problems=("not_found", "too_many_streams"),
        headers={
            "Accept": "`text/event-stream`: a stream that goes on with what happens from now on, or after the cursor.",
            "Last-Event-ID": "Of a stream: the cursor to go on from; goes before `after`.",
        },
    )
    async def page(self, asked: Asked, query: EventQuery) -> Reply[EventPage]:
        """A page from a cursor on, from the first event that is kept unless one is given. With `Accept:
        text/event-stream` the same as server-sent events, from now on unless a cursor is given: each has its cursor as
        its id, so that a client which connects again misses none and gets none twice."""
        chosen = await filter_for(self._backend, asked, query)
        cursor = cursor_of(query.after) if query.after is not None else Cursor()
        found, cursor, more = await self._read(chosen, cursor, query.limit)
        page = EventPage.model_construct(items=[item(event) for event in found], next=str(cursor), more=more)
        return Reply(page, headers={"Vary": "Accept"})

    async def _read(self, chosen: Filter, cursor: Cursor, limit: int) -> tuple[list[Event], Cursor, bool]:
        most = limit if chosen == EVERYTHING else LOOKED_AT
        for _ in range(LOOKS):
            page = await self._backend.run(events.after(cursor, most, chosen))
            found = [event for event in page.events if chosen.fits(event)]
            cursor = page.cursor
            if len(found) > limit:
                return found[:limit], found[limit - 1].cursor, True
            if found or not page.full:
                return found, cursor, page.full
        return [], cursor, True

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """A page, or a stream."""
        if "text/event-stream" in (req.accept or "").lower():
            await self._stream(req, resp)
        else:
            await self.page(req, resp)

    on_get.operation = page.operation  # type: ignore[attr-defined]

    async def _stream(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        asked: Asked = req.context.asked
        query = _query(req)
        chosen = await filter_for(self._backend, asked, query)
        last = req.get_header("Last-Event-ID")
        after = None
        if last:
            after = cursor_of(last, "header.Last-Event-ID")
        elif query.after is not None:
            after = cursor_of(query.after)
        if after is not None:
            await self._backend.run(events.after(after, 1))  # whether it is of this database: said while it can be
        line = self._hub.line(asked, "sse")
        place = self._hub.turns.place()
        try:
            subscription = await self._hub.subscribe(line, place, chosen, after)
        except BaseException:
            line.leave()
            raise
        resp.content_type = "text/event-stream"
        resp.set_header("Cache-Control", "no-cache")
        resp.set_header("X-Accel-Buffering", "no")
        resp.set_header("Vary", "Accept")
        resp.stream = Stream(self._hub, line, place, chosen, subscription)  # type: ignore[assignment]

    async def on_get_socket(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Not without an upgrade."""
        raise ProblemError("bad_request", "this is a WebSocket", hint="connect with ws:// or wss://")

    async def on_websocket_socket(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        """The same events for the dashboard."""
        await Conversation(self._hub, req.context.asked, ws).hold()


def _query(req: falcon.asgi.Request) -> EventQuery:
    try:
        return EventQuery.model_validate(req.params)
    except ValidationError as error:
        raise invalid(error, "query") from None
