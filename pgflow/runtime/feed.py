"""The feed: reads what happens once, and publishes it through Redis to all who watch.

It runs beside the leader, so mostly there is one; two at once do no harm (`pgflow.sdk.live.events`). Nothing depends on
it: who hears nothing from it for a while follows the table. While nobody listens it reads nothing, and only asks Redis
now and then whether somebody does.
"""

from __future__ import annotations

import asyncio

from pgflow.config import Settings
from pgflow.engine import events
from pgflow.engine.events import Event
from pgflow.redis.pubsub import Publisher
from pgflow.runtime.service import Service
from pgflow.sdk.live.batch import Batch, channel
from pgflow.sdk.live.tail import Tail

EVERY = 1.0
"""Seconds after which it says how far it is, or asks whether anybody listens."""


class Feed(Service):
    """Publishes while somebody listens."""

    name = "feed"

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._schema = settings.schema_name
        self._publisher = Publisher(settings.redis_url)
        self._tail = Tail(settings)
        self._channel: str | None = None
        self._listened = False
        self._published_at = 0.0

    async def tick(self) -> float:
        """Publish what is new, if anybody listens."""
        if self._channel is None:
            self._channel = channel(self._schema, await self._tail.run(events.identity()))
        if not self._listened:
            self._listened = await self._publisher.listeners(self._channel) > 0
            if not self._listened:
                return EVERY
            self._tail.cursor = await self._tail.run(
                events.latest()
            )  # listeners know how far they have come themselves
            await self._publish(self._channel, [], self._tail.cursor)
        before = self._tail.cursor
        found, rest = await self._tail.look()
        now = asyncio.get_running_loop().time()
        if found or now - self._published_at >= EVERY:
            await self._publish(self._channel, found, before)
        return min(rest, EVERY)

    async def _publish(self, where: str, found: list[Event], before: events.Cursor | None) -> None:
        assert self._tail.cursor is not None
        batch = Batch(before or self._tail.cursor, self._tail.cursor, found)
        self._published_at = asyncio.get_running_loop().time()
        self._listened = await self._publisher.publish(where, batch.encode()) > 0

    def wake(self) -> None:
        """End the present rest, or skip the next."""
        super().wake()
        self._tail.wake()

    def finish(self) -> None:
        """Let `run` return after the present tick."""
        super().finish()
        self._tail.wake()

    async def rest(self, seconds: float) -> None:
        """Wait for the time or for `wake`; while somebody listens, for a notification too.

        While nobody does nothing reads the connection, and what came last would keep it readable for ever.
        """
        if not self._listened:
            await super().rest(seconds)
            return
        await self._tail.rest(seconds)
        self._woken.clear()

    async def stop(self) -> None:
        """Close the connections."""
        await self._tail.close()
        await self._publisher.close()
