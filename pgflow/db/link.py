"""A connection that comes back: opened when first needed and again after an outage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import psycopg

from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import AsyncSession, Call
from pgflow.db.failures import is_outage

T = TypeVar("T")


class Link:
    """One engine connection for one purpose.

    Args:
        settings: where to.
        purpose: what pg_stat_activity shows.
        direct: go around a pooler.
        on_open: called with each new connection before its first use, as for LISTEN.
    """

    def __init__(
        self, settings: Settings, purpose: str, *, direct: bool = False,
        on_open: Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]] | None = None,
        **server_settings: str,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._purpose = purpose
        self._direct = direct
        self._on_open = on_open
        self._server_settings = server_settings
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self.opened = 0
        """How many times it was opened: a change tells that the session, with its locks and LISTENs, is a new one."""

    async def connection(self) -> psycopg.AsyncConnection[Any]:
        """The open connection, opened now if need be."""
        if self._connection is None or self._connection.closed:
            self._connection = None
            connection = await connect.open_async(
                self._settings, self._purpose, direct=self._direct, **self._server_settings
            )
            try:
                if self._on_open is not None:
                    await self._on_open(connection)
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
            self.opened += 1
        return self._connection

    async def run(self, call: Call[T]) -> T:
        """Send the call; after an outage the connection is dropped, and the next call opens another."""
        return await self._send(lambda session: session.run(call))

    async def run_together(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Send these calls as one transaction, in one round trip; after an outage likewise."""
        return await self._send(lambda session: session.run_together(calls))

    async def _send(self, send: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """One after the other: a call in the midst of another's pipeline would be part of its transaction."""
        async with self._turn:
            connection = await self.connection()
            try:
                return await send(AsyncSession(connection, self._settings.schema_name, True))
            except BaseException as error:
                # A cancelled call leaves the protocol in the middle of an answer.
                if is_outage(error) or isinstance(error, asyncio.CancelledError):
                    await self.close()
                raise

    def descriptor(self) -> int | None:
        """The socket of the open connection, to be watched while nothing is sent; None when there is none."""
        return None if self._connection is None or self._connection.closed else self._connection.fileno()

    async def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
