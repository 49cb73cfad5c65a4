"""The engine as this process asks it: one pool of connections, and a client on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import psycopg

from pgflow.api.plain import PlainNames
from pgflow.api.starts import Starts
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import Call
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from pgflow.sdk.verbs import Steps

R = TypeVar("R")


class Backend:
    """What resources ask.

    Args:
        settings: where the engine is.
        tasks: those whose code is at hand: their arguments are checked, and they go where their options say.
    """

    def __init__(self, settings: Settings, tasks: Mapping[str, Task[..., Any]]) -> None:
        self.settings = settings
        self.tasks = tasks
        self.plain = PlainNames()
        self.client = AsyncClient(settings, tasks, actor="api")
        self._pool = connect.pool_async(settings, settings.api_connections)
        self.client._pool = self._pool
        self.starts = Starts(self.run)
        self._closing: list[Callable[[], Awaitable[None]]] = []

    async def open(self) -> None:
        """Make ready. A database that cannot be reached is waited for by each request, not here."""
        await self._pool.open()

    def at_close(self, close: Callable[[], Awaitable[None]]) -> None:
        """What else is to be closed, before the connections are."""
        self._closing.append(close)

    async def close(self) -> None:
        """Close all connections."""
        for close in self._closing:
            await close()
        await self.client.close()

    def connection(self) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
        """An engine connection of the pool."""
        return self._pool.connection()

    def held(self, name: str, key: str | None) -> AbstractAsyncContextManager[None]:
        """Let duplicates wait for each other at Redis, if there is one, before they take a connection."""
        return self.client._guard.held(name, key)

    async def run(self, call: Call[R]) -> R:
        """Run a call by itself."""
        return await self.client._run(call)

    async def drive(self, steps: Steps[R]) -> R:
        """Run a verb of several calls, each by itself."""
        return await self.client._drive(steps)
