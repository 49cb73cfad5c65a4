"""Locks that hold up the engine, and what then happens to those who stand behind them; and what is logged of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import psycopg
import pytest
import structlog
from structlog.testing import LogCapture

from pgflow.config import Settings
from pgflow.db.call import Call

_WAITING = """
    select pid, query_start from pg_stat_activity
     where datname = current_database() and state = 'active' and wait_event_type = 'Lock'
       and application_name like 'pgflow ' || %s || ' %%'"""
_STILL = "select 1 from pg_stat_activity where pid = %s and query_start = %s and state = 'active'"


class Block:
    """A lock that is held, and a connection that can do something to those who wait for it."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], holder: psycopg.AsyncConnection[Any]) -> None:
        self._connection, self._holder = connection, holder

    async def release(self) -> None:
        """Give up the lock."""
        await self._holder.rollback()

    async def cancel(self, purpose: str) -> None:
        """Wait until a connection of that purpose stands behind the lock, and cancel its statement."""
        await self._signal("pg_cancel_backend", purpose)

    async def cut(self, purpose: str) -> None:
        """The same, but end the connection, as a restart of the server does."""
        await self._signal("pg_terminate_backend", purpose)

    async def _signal(self, how: str, purpose: str) -> None:
        async with asyncio.timeout(60):
            while (found := await (await self._connection.execute(_WAITING, [purpose])).fetchone()) is None:
                await asyncio.sleep(0.005)
            await self._connection.execute(f"select {how}(%s)", [found[0]])
            while await (await self._connection.execute(_STILL, found)).fetchone() is not None:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def blocked(settings: Settings, table: str, mode: str = "access exclusive") -> AsyncIterator[Block]:
    """Hold a lock on a table of the engine for the length of the block."""
    url = settings.require_url()
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as other,
        await psycopg.AsyncConnection.connect(url) as holder,
    ):
        await holder.execute(f"lock table pgflow.{table} in {mode} mode")  # type: ignore[arg-type]
        block = Block(other, holder)
        yield block
        await block.release()


def cut_during(settings: Settings, asker: Any, method: str, name: str, table: str, turn: int = 1) -> asyncio.Event:
    """Let the connection be lost in the midst of a call.

    Args:
        settings: where.
        asker: who makes the call: a link, a client.
        method: the method of the asker that takes it.
        name: the name of the call.
        table: what it reads.
        turn: which call of that name, counted from 1.

    Returns:
        Set when it has happened.
    """
    real, done, seen = getattr(asker, method), asyncio.Event(), 0

    async def run(call: Call[Any]) -> Any:
        nonlocal seen
        seen += call.name == name
        if call.name != name or seen != turn:
            return await real(call)
        async with blocked(settings, table) as block:
            asking = asyncio.create_task(real(call))
            await block.cut("settle" if method == "run" else "client")
        done.set()
        return await asking

    setattr(asker, method, run)
    return done


def logged(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[Any]:
    """What this module logs from here on."""
    capture = LogCapture()
    monkeypatch.setattr(module, "log", structlog.wrap_logger(None, processors=[capture]))
    return capture.entries
