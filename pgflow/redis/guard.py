"""A key is guarded while it is being asked for: duplicates wait at Redis, one after another, not at Postgres."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING, TypeVar

from pgflow.config import Settings
from pgflow.redis.breaker import CROWD
from pgflow.redis.redlock import Ask, Lock, Steps, Vote, acquire, release

if TYPE_CHECKING:  # who has no Redis does not pay for importing its client
    from pgflow.redis.node import AsyncNode, Node

T = TypeVar("T")

_NOTHING = nullcontext()


def lock_of(schema: str, scope: str, key: str) -> Lock:
    """The lock of a key. Its name tells the engine and the task, but not the key: that may be an address, say."""
    digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    return Lock(f"{schema}:key:{scope}:{digest}")


class KeyGuard:
    """Guards keys for sync code; without a Redis URL it does nothing. Thread-safe.

    Args:
        settings: which nodes, and the schema's name.
    """

    def __init__(self, settings: Settings) -> None:
        self._schema = settings.schema_name
        self._nodes: list[Node] = []
        self._threads: ThreadPoolExecutor | None = None
        if settings.redis_url:
            from pgflow.redis.node import Node

            self._nodes = [Node(url) for url in settings.redis_url]
        if len(self._nodes) > 1:
            self._threads = ThreadPoolExecutor(CROWD * len(self._nodes), thread_name_prefix="pgflow-redis")

    def held(self, scope: str, key: str | None) -> AbstractContextManager[None]:
        """Hold the key's lock meanwhile, or none if there is no key or the lock cannot be had in time."""
        return _NOTHING if key is None or not self._nodes else self._held(lock_of(self._schema, scope, key))

    @contextmanager
    def _held(self, lock: Lock) -> Iterator[None]:
        ours = self._drive(acquire(lock))
        try:
            yield
        finally:
            if ours:
                self._drive(release(lock))

    def close(self) -> None:
        """Close the connections."""
        if self._threads is not None:
            self._threads.shutdown()
        for node in self._nodes:
            node.close()

    def _drive(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Ask):
                    step = steps.send(self._ask(step.command))
                else:
                    time.sleep(step.seconds)
                    step = next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _ask(self, command: Sequence[str | int]) -> list[Vote]:
        if self._threads is None:
            return [node.ask(command) for node in self._nodes]
        return list(self._threads.map(lambda node: node.ask(command), self._nodes))


class AsyncKeyGuard:
    """`KeyGuard` for async code."""

    def __init__(self, settings: Settings) -> None:
        self._schema = settings.schema_name
        self._nodes: list[AsyncNode] = []
        if settings.redis_url:
            from pgflow.redis.node import AsyncNode

            self._nodes = [AsyncNode(url) for url in settings.redis_url]

    def held(self, scope: str, key: str | None) -> AbstractAsyncContextManager[None]:
        """Hold the key's lock meanwhile, or none if there is no key or the lock cannot be had in time."""
        return _NOTHING if key is None or not self._nodes else self._held(lock_of(self._schema, scope, key))

    @asynccontextmanager
    async def _held(self, lock: Lock) -> AsyncIterator[None]:
        ours = True  # perhaps, when cancelled midway
        try:
            ours = await self._drive(acquire(lock))
            yield
        finally:
            if ours:
                await asyncio.shield(self._drive(release(lock)))

    async def close(self) -> None:
        """Close the connections."""
        for node in self._nodes:
            await node.close()

    async def _drive(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Ask):
                    step = steps.send(await self._ask(step.command))
                else:
                    await asyncio.sleep(step.seconds)
                    step = next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def _ask(self, command: Sequence[str | int]) -> list[Vote]:
        if len(self._nodes) == 1:
            return [await self._nodes[0].ask(command)]
        return await asyncio.gather(*(node.ask(command) for node in self._nodes))
