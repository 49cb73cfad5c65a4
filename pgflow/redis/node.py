"""One Redis node, in both colours: a command goes in, a vote comes out, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from pgflow.errors import ConfigError
from pgflow.redis.breaker import CROWD, breaker_of
from pgflow.redis.redlock import Vote

TIMEOUT = 0.5
"""Seconds for which an answer is waited for."""

# No retries: a breaker decides when to try again. Each greeting beyond the password would be one more round trip.
_OPTIONS: dict[str, Any] = {
    "max_connections": CROWD,
    "timeout": TIMEOUT,
    "socket_timeout": TIMEOUT,
    "socket_connect_timeout": TIMEOUT,
    "protocol": 2,
    "driver_info": None,
}


def pool(url: str) -> redis.BlockingConnectionPool:
    """Connections to a node, for sync code; none is opened yet.

    Raises:
        ConfigError: that is no URL of a Redis node.
    """
    try:
        return redis.BlockingConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), **_OPTIONS)
    except ValueError as error:
        raise _bad_url(error) from None


def async_pool(url: str, **options: Any) -> redis.asyncio.BlockingConnectionPool:
    """Connections to a node, for async code. The time-out is the caller's: redis-py's own goes through
    `asyncio.wait_for`, which before Python 3.12 loses a cancellation that comes together with the answer."""
    retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
    try:
        return redis.asyncio.BlockingConnectionPool.from_url(
            url, retry=retry, **(_OPTIONS | {"socket_timeout": None} | options)
        )
    except ValueError as error:
        raise _bad_url(error) from None


def _bad_url(error: ValueError) -> ConfigError:
    return ConfigError(
        f"PGFLOW_REDIS_URL: {error}", hint="one or more of redis://[:password@]host:port/0, with commas between"
    )


class Node:
    """A node, for sync code. Thread-safe."""

    def __init__(self, url: str) -> None:
        self._breaker = breaker_of(url)
        self._redis = redis.Redis(connection_pool=pool(url))

    def ask(self, command: Sequence[str | int]) -> Vote:
        """Whether the answer was something. Never raises because of Redis."""
        if not self._breaker.passes():
            return Vote.LOST
        try:
            answer = self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        except (redis.RedisError, OSError) as error:
            self._breaker.failed(error)
            return Vote.LOST
        except BaseException:
            self._breaker.gave_up()
            raise
        self._breaker.answered()
        return Vote.YES if answer else Vote.NO

    def close(self) -> None:
        """Close its connections."""
        self._redis.close()
        self._redis.connection_pool.disconnect()


class AsyncNode:
    """A node, for async code."""

    def __init__(self, url: str) -> None:
        self._breaker = breaker_of(url)
        self._redis = redis.asyncio.Redis(connection_pool=async_pool(url))

    async def ask(self, command: Sequence[str | int | bytes]) -> Vote:
        """Whether the answer was something. Never raises because of Redis."""
        answer = await self.tell(command)
        if answer is Vote.LOST:
            return Vote.LOST
        return Vote.YES if answer else Vote.NO

    async def tell(self, command: Sequence[str | int | bytes]) -> Any:
        """The answer itself, or `Vote.LOST`."""
        if not self._breaker.passes():
            return Vote.LOST
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        except (redis.RedisError, OSError, TimeoutError) as error:
            self._breaker.failed(error)
            return Vote.LOST
        except BaseException:
            self._breaker.gave_up()
            raise
        self._breaker.answered()
        return answer

    async def close(self) -> None:
        """Close its connections."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()
