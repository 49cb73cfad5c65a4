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
        wanted: which events.
        subscription: where they come from.
    """

    def __init__(self, hub: Hub, line: Line, wanted: Filter, subscription: Subscription) -> None:
        self._hub, self._line, self._wanted, self._subscription = hub, line, wanted, subscription

    async def close(self) -> None:
        """The answer is over, one way or another."""
        self._line.leave()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        line, subscription = self._line, self._subscription
        end = self._now() + self._hub.lifetime()
        checked_at = sent_at = self._now()
        yield b"retry: %d\n%s" % (RETRY, _place(subscription.cursor))
        while True:
            try:
                batch = await subscription.batch(max(0.0, min(BEAT, end - self._now())))
            except PgflowError:
                line.end("unavailable")
                batch = []
            if batch:
                await self._hub.spread()
            for chunk in self._chunks(batch):
                yield chunk
                sent_at = self._now()
            if line.ended is None and self._now() >= end:
                line.end("lifetime")
            elif line.ended is None and subscription.closed:
                line.end("closed")
            if line.ended is not None:
                yield b": %s\n\n" % line.ended.encode()
                return
            if not batch or self._now() >= sent_at + BEAT:
                # Right after an empty batch nothing is buffered: all up to `position` was handed out.
                yield b": beat\n" + _place(subscription.cursor if batch else subscription.position)
                sent_at = self._now()
            if self._now() >= checked_at + BEAT:
                checked_at = self._now()
                await self._hub.check(line)

    def _chunks(self, batch: Sequence[Event | Resync]) -> Iterator[bytes]:
        events = [event for event in batch if isinstance(event, Event)]
        for pack in self._hub.packer.pack(self._wanted, events):
            if self._line.ended is not None:
                return
            yield pack.frames
        for event in batch[len(events) :]:
            if isinstance(event, Resync):
                self._line.end("slow")
                yield b"event: resync\ndata: %s\n\n" % orjson.dumps({"cursor": str(event.cursor)})

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _place(cursor: Cursor) -> bytes:
    return b"id: %s\n\n" % str(cursor).encode()
