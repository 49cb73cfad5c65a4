"""The WebSocket twin: several subscriptions over one connection, each from its own cursor.

What is said, as JSON text, one document a message:

    -> {"op": "subscribe", "id": "a", "run": "17", "workflow": ["orders"], "type": ["task.*"], "after": "7421-90"}
    <- {"op": "subscribed", "id": "a", "cursor": "7421-90"}
    <- {"op": "events", "id": "a", "cursor": "7421-95", "events": [...]}
    -> {"op": "unsubscribe", "id": "a"}         <- {"op": "unsubscribed", "id": "a", "cursor": "7421-95"}
    -> {"op": "ping"}                           <- {"op": "pong"}
    <- {"op": "beat", "cursors": {"a": "7421-99"}}
    <- {"op": "error", "id": "a", "code": "invalid", "detail": "...", "hint": null}

It is closed with 1013 for who was too slow, 1012 when the process ends, 1001 when it has lasted long enough, 1008 when
whose it is may no longer watch; and always it may be opened again, each subscription from its last cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import falcon
import falcon.asgi
import orjson
import structlog
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from pgflow.api.asked import Asked
from pgflow.api.live.hub import BEAT, Hub
from pgflow.api.live.line import Line
from pgflow.api.live.turns import Place
from pgflow.api.live.wanted import Wanted, cursor_of, filter_for
from pgflow.api.models import Model
from pgflow.api.problems import ProblemError, invalid, problem_of
from pgflow.engine import events
from pgflow.engine.events import Cursor, Event, Filter
from pgflow.errors import PgflowError
from pgflow.sdk.live.subscription import Resync, Subscription

log = structlog.get_logger("pgflow.api")

LONGEST = 16 * 1024
"""Characters of a message."""
MOST = 20
"""Subscriptions of one connection."""
CODES = {"slow": 1013, "unavailable": 1013, "draining": 1012, "lifetime": 1001, "closed": 1011, "refused": 1009}
_Label = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9_.:-]+$")]


class Subscribe(Wanted):
    """Watch these, too."""

    op: Literal["subscribe"]
    id: _Label
    after: Annotated[str, Field(max_length=50)] | None = None


class Unsubscribe(Model):
    """Watch those no more."""

    op: Literal["unsubscribe"]
    id: _Label


class Ping(Model):
    """Are you there?"""

    op: Literal["ping"]


_said: TypeAdapter[Subscribe | Unsubscribe | Ping] = TypeAdapter(
    Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="op")]
)


@dataclass(slots=True)
class _Watch:
    """A subscription of the connection.

    Args:
        label: what the other side calls it.
        wanted: which events.
        place: is rung when there is something.
        subscription: where they come from.
        reached: how far the other side has been told.
        pump: hands on what happens.
    """

    label: str
    wanted: Filter
    place: Place
    subscription: Subscription
    reached: Cursor
    pump: asyncio.Task[None] | None = None

    def known(self) -> str:
        """How far the other side may say that it knows everything."""
        if self.place.quiet and not self.subscription.ready:
            self.reached = self.subscription.position  # all that fitted was handed on
        return str(self.reached)


class Conversation:
    """One WebSocket.

    Args:
        hub: gives the events.
        asked: whose it is.
        ws: the connection, not accepted yet.
    """

    def __init__(self, hub: Hub, asked: Asked, ws: falcon.asgi.WebSocket) -> None:
        self._hub, self._asked, self._ws = hub, asked, ws
        self._turn = asyncio.Lock()
        self._watched: dict[str, _Watch] = {}

    async def hold(self) -> None:
        """Keep it open for as long as it may be."""
        await self._ws.accept()
        try:
            line = self._hub.line(self._asked, "websocket")
        except ProblemError as problem:
            await self._ws.close(1013, problem.detail[:120])
            return
        try:
            await self._hold(line)
        finally:
            line.leave()

    async def _hold(self, line: Line) -> None:
        loops = [asyncio.create_task(self._listen(line)), asyncio.create_task(self._beat(line))]
        try:
            await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
            failed = next((one.exception() for one in loops if one.done() and one.exception()), None)
        finally:
            tasks = [*loops, *(watch.pump for watch in self._watched.values() if watch.pump is not None)]
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if failed is not None and not isinstance(failed, falcon.WebSocketDisconnected):
            raise failed
        if line.ended not in {None, "gone"}:
            await self._ws.close(CODES.get(line.ended or "", 1008), line.ended)

    async def _listen(self, line: Line) -> None:
        while True:
            try:
                text = await self._ws.receive_text()
            except falcon.PayloadTypeError:
                text = ""  # bytes, which are no JSON text either
            if len(text) > LONGEST:
                line.end("refused")
                return
            label = None
            try:
                said = _said.validate_json(text)
                label = getattr(said, "id", None)
                await self._hub.admit(line)
                await self._heed(line, said)
            except ValidationError as error:
                await self._complain(invalid(error, "body"), label)
            except (ProblemError, PgflowError) as error:
                await self._complain(problem_of(error), label)

    async def _heed(self, line: Line, said: Subscribe | Unsubscribe | Ping) -> None:
        match said:
            case Subscribe():
                await self._subscribe(line, said)
            case Unsubscribe():
                await self._unsubscribe(line, said.id)
            case Ping():
                await self._say({"op": "pong"})

    async def _subscribe(self, line: Line, said: Subscribe) -> None:
        if said.id in self._watched or len(self._watched) >= MOST:
            taken = f"{said.id!r} is taken" if said.id in self._watched else f"{MOST} subscriptions are the most"
            raise ProblemError("conflict", taken, hint="unsubscribe first")
        wanted = await filter_for(self._hub.backend, self._asked, said)
        after = cursor_of(said.after, "$.after") if said.after is not None else None
        if after is not None:
            await self._hub.backend.run(events.after(after, 1))
        place = self._hub.turns.place()
        subscription = await self._hub.subscribe(line, place, wanted, after)
        await self._say({"op": "subscribed", "id": said.id, "cursor": str(subscription.cursor)})
        watch = self._watched[said.id] = _Watch(said.id, wanted, place, subscription, subscription.cursor)
        watch.pump = asyncio.create_task(self._pump(line, watch))

    async def _unsubscribe(self, line: Line, label: str) -> None:
        if label not in self._watched:
            raise ProblemError("not_found", f"there is no subscription {label!r}")
        watch = self._watched.pop(label)
        if watch.pump is not None:
            watch.pump.cancel()
            await asyncio.gather(watch.pump, return_exceptions=True)
        self._hub.unsubscribe(line, watch.subscription)
        await self._say({"op": "unsubscribed", "id": label, "cursor": str(watch.reached)})

    async def _pump(self, line: Line, watch: _Watch) -> None:
        """Hand on what happens, as fast as it is taken."""
        subscription = watch.subscription
        try:
            while line.ended is None:
                await watch.place.turn()
                batch = await subscription.take(BEAT)
                reached = subscription.cursor if batch else subscription.position
                await self._hand_all(line, watch, batch)
                watch.reached = reached
                if subscription.closed:
                    line.end("closed")
                elif subscription.ready:  # the turns of further packs were taken for this, too
                    watch.place.ring()
        except PgflowError:
            line.end("unavailable")
        except falcon.WebSocketDisconnected:
            line.end("gone")
        except Exception:
            log.exception("events_not_sent", request_id=self._asked.request_id)
            line.end("closed")

    async def _hand_all(self, line: Line, watch: _Watch, batch: Sequence[Event | Resync]) -> None:
        events = [event for event in batch if isinstance(event, Event)]
        for number, pack in enumerate(self._hub.packer.pack(watch.wanted, events)):
            if number:  # a turn is for one of them
                watch.place.ring()
                await watch.place.turn()
            head = orjson.dumps({"op": "events", "id": watch.label, "cursor": str(pack.cursor)})
            await self._send(b'%s,"events":[%s]}' % (head[:-1], pack.array))
            watch.reached = pack.cursor
        if len(events) < len(batch):
            line.end("slow")

    async def _beat(self, line: Line) -> None:
        """Say something now and then, until it is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._hub.lifetime()
        await self._say({"op": "hello", "beat": BEAT})
        while line.ended is None:
            try:
                async with asyncio.timeout(max(0.0, min(BEAT, end - loop.time()))):
                    await line.over.wait()
            except TimeoutError:
                if loop.time() >= end:
                    line.end("lifetime")
                    return
                await self._say(
                    {"op": "beat", "cursors": {watch.label: watch.known() for watch in self._watched.values()}}
                )
                await self._hub.check(line)

    async def _complain(self, problem: ProblemError, label: str | None) -> None:
        await self._say(
            {"op": "error", "id": label, "code": problem.code, "detail": problem.detail, "hint": problem.hint}
        )

    async def _say(self, document: dict[str, object]) -> None:
        await self._send(orjson.dumps(document))

    async def _send(self, text: bytes) -> None:
        async with self._turn:
            await self._ws.send_text(text.decode())
