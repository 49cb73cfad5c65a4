"""The body of an SSE answer.

Each event comes with its cursor as `id:`, which a browser gives back as `Last-Event-ID` when it connects again. An
`id:` without data moves that on without showing anything to the page; so it is sent when what happened did not fit the
filter, and nobody has to look at it again after a reconnect.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import orjson

from pgflow.api.live.hub import BEAT, Hub
from pgflow.api.live.line import Line
from pgflow.api.live.turns import Place
from pgflow.engine.events import Cursor, Event, Filter
from pgflow.errors import PgflowError
from pgflow.sdk.live.subscription import Resync, Subscription

RETRY = 2000
"""Milliseconds after which a client comes back."""


class Stream:
    """An answer's body, as falcon takes it: iterated, then closed.

    Args:
        hub: gives the events.
        line: the connection, which is over when this is closed.
        place: is rung when there is something.
        wanted: which events.
        subscription: where they come from.
    """

    def __init__(self, hub: Hub, line: Line, place: Place, wanted: Filter, subscription: Subscription) -> None:
        self._hub, self._line, self._place = hub, line, place
        self._wanted, self._subscription = wanted, subscription
        self._end = self._now() + hub.lifetime()

    async def close(self) -> None:
        """The answer is over, one way or another."""
        self._line.leave()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        line, place, subscription = self._line, self._place, self._subscription
        checked_at = self._now()
        line.ring = place.ring
        yield self._sent(b"retry: %d\n%s" % (RETRY, _where(subscription.cursor)))
        while True:
            await place.turn()
            batch = await self._taken()
            for number, chunk in enumerate(self._chunks(batch)):
                if number:  # a turn is for one of them
                    place.ring()
                    await place.turn()
                yield self._sent(chunk)
            now = self._now()
            if line.ended is None and now >= self._end:
                line.end("lifetime")
            elif line.ended is None and subscription.closed:
                line.end("closed")
            if line.ended is not None:
                yield b": %s\n\n" % line.ended.encode()
                return
            if now >= line.due:
                # Right after an empty batch nothing is buffered: all up to `position` was handed out.
                yield self._sent(b": beat\n" + _where(subscription.cursor if batch else subscription.position))
            if now >= checked_at + BEAT:
                checked_at = now
                await self._hub.check(line)
            if subscription.ready:  # the turns of further chunks were taken for this, too
                place.ring()

    async def _taken(self) -> Sequence[Event | Resync]:
        try:
            return await self._subscription.take(BEAT)
        except PgflowError:
            self._line.end("unavailable")
            return ()

    def _sent(self, data: bytes) -> bytes:
        """What is sent next, and puts off the next beat."""
        self._line.due = min(self._now() + BEAT, self._end)
        return data

    def _chunks(self, batch: Sequence[Event | Resync]) -> Iterator[bytes]:
        last = batch[-1] if batch else None
        events = [event for event in batch if isinstance(event, Event)]
        for pack in self._hub.packer.pack(self._wanted, events):
            if self._line.ended is not None:
                return
            yield pack.frames
        if isinstance(last, Resync):
            self._line.end("slow")
            yield b"event: resync\ndata: %s\n\n" % orjson.dumps({"cursor": str(last.cursor)})

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _where(cursor: Cursor) -> bytes:
    return b"id: %s\n\n" % str(cursor).encode()
