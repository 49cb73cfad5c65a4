"""Pub/sub over one or more nodes: whoever publishes tells all of them, whoever listens hears the first that works.

Messages get lost: while a node is away, when a listener is too slow for Redis, whenever. So each has to say what came
before it, and who listens looks elsewhere for what is missing (`pgflow.sdk.live`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import redis
import redis.asyncio

from pgflow.redis.breaker import breaker_of
from pgflow.redis.node import TIMEOUT, AsyncNode, async_pool
from pgflow.redis.redlock import Vote

_TROUBLE = (redis.RedisError, OSError, TimeoutError)
REST = 1.0
"""Seconds between two rounds through nodes none of which can be heard."""
QUIET = 5.0
"""Seconds of silence after which a listener asks its node whether it is there."""


class Publisher:
    """Tells every node.

    Args:
        urls: the nodes.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._nodes = [AsyncNode(url) for url in urls]

    async def publish(self, channel: str, message: bytes) -> int:
        """Returns how many heard it."""
        return sum(await self._each(("PUBLISH", channel, message)))

    async def listeners(self, channel: str) -> int:
        """How many would."""
        return sum(await self._each(("PUBSUB", "NUMSUB", channel)))

    async def _each(self, command: Sequence[str | bytes]) -> list[int]:
        answers = await asyncio.gather(*(node.tell(command) for node in self._nodes))
        return [_number(answer) for answer in answers if answer is not Vote.LOST]

    async def close(self) -> None:
        """Close the connections."""
        for node in self._nodes:
            await node.close()


def _number(answer: Any) -> int:
    return int(answer[-1] if isinstance(answer, list | tuple) else answer)


class Listener:
    """Hears a channel, from the first node that works; from the next one when that is lost.

    Args:
        urls: the nodes.
        channel: where.
        heard: is given each message.
    """

    def __init__(self, urls: Sequence[str], channel: str, heard: Callable[[bytes], None]) -> None:
        self._urls = urls
        self._channel = channel
        self._heard = heard

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            for url in self._urls:
                await self._try(url)
            await asyncio.sleep(REST)

    async def _try(self, url: str) -> None:
        """Listen to this node until it is lost."""
        breaker = breaker_of(url)
        if not breaker.passes():
            return
        pool = async_pool(url, max_connections=1)
        pubsub = redis.asyncio.Redis(connection_pool=pool).pubsub()
        try:
            try:
                async with asyncio.timeout(TIMEOUT):
                    await pubsub.subscribe(self._channel)
                    await pubsub.get_message(timeout=TIMEOUT)
            except _TROUBLE as error:
                breaker.failed(error)
                return
            except BaseException:
                breaker.gave_up()
                raise
            breaker.answered()
            with suppress(*_TROUBLE):
                while True:
                    await self._next(pubsub)
        finally:
            with suppress(*_TROUBLE):
                await pubsub.aclose()  # type: ignore[no-untyped-call]
            await pool.disconnect()

    async def _next(self, pubsub: redis.asyncio.client.PubSub) -> None:
        message = await pubsub.get_message(timeout=QUIET)
        if message is None:
            async with asyncio.timeout(TIMEOUT):
                await pubsub.ping()
                while message is None:
                    message = await pubsub.get_message(timeout=TIMEOUT)
        if message["type"] == "message":
            self._heard(message["data"])
