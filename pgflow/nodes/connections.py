"""Databases that `sql` nodes may talk to: named by the operator, in the environment or in `.env`.

`PGFLOW_SQL_WAREHOUSE=postgresql://...` is the connection `warehouse`. It is read from, unless PGFLOW_SQL_WRITABLE names
it too. `engine` is the engine's own database; nobody can make that writable.

Reading only is held to in three ways: the transaction is read-only, the query is one that a cursor can be declared for,
so that it is a query and one alone, and the engine's database is looked at with the rights of its reader role (see
`pgflow.nodes.looking`) where there are roles. What none of them can prevent is a function that acts outside of
transactions, such as `dblink`: rights in that database are what keeps such things from whoever may write definitions.

A worker keeps a few connections to each database, because making one costs more than most statements. What is left of
a session is thrown away after each node (`discard all`), so that none sees what another has set, created or locked. One
that broke, or on which a node did not come to its end, is not used again; and one that the server has closed meanwhile
is noticed before the statement is sent.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import psycopg
from psycopg.types.json import set_json_loads

from pgflow import redaction
from pgflow.config import Settings, env_file
from pgflow.db.statements import statement
from pgflow.errors import Fatal

PREFIX = "PGFLOW_SQL_"
ENGINE = "engine"
NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_RESERVED = {"writable"}
CONNECT = 10
AT_ONCE = 10
"""How many connections to one database a worker has at once; further nodes wait for their turn."""
IDLE = 60.0
"""Seconds for which a connection is kept that nobody uses."""

_Connection = psycopg.AsyncConnection[Any]


def named(settings: Settings) -> list[str]:
    """The connections there are."""
    found = {name.removeprefix(PREFIX).lower() for name in (*os.environ, *env_file()) if name.startswith(PREFIX)}
    return [
        ENGINE,
        *sorted(name for name in found - _RESERVED - {ENGINE} if NAME.fullmatch(name) and _url(name, settings)),
    ]


def _url(name: str, settings: Settings) -> str | None:
    if name == ENGINE:
        return settings.database_url
    if name in _RESERVED or not NAME.fullmatch(name):
        return None
    variable = PREFIX + name.upper()
    return os.environ.get(variable) or env_file().get(variable) or None


class Connections:
    """The connections of one worker.

    Args:
        settings: the settings in force.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._idle: dict[str, deque[tuple[_Connection, asyncio.TimerHandle]]] = {}

    @asynccontextmanager
    async def opened(self, name: str, timeout: float, *, write: bool) -> AsyncIterator[_Connection]:
        """A transaction, which commits if the block ends well.

        Args:
            name: the connection.
            timeout: seconds that a statement may take.
            write: let it change something.

        Raises:
            Fatal: there is no such connection, or it is not to be written to.
        """
        url = self._checked(name, write)
        async with self._turns.setdefault(url, asyncio.Semaphore(AT_ONCE)):
            connection = await self._begun(url, timeout, write)
            try:
                if name == ENGINE:
                    await connection.execute(statement("connection/read_as", self._settings.schema_name))
                yield connection
                if name == ENGINE:  # a commit would go on with what a query has left open, under the worker's own name
                    await connection.rollback()
                else:
                    await connection.commit()
                await self._give_back(url, connection)
            except BaseException:
                await connection.close()  # which undoes what is not committed
                raise

    def _checked(self, name: str, write: bool) -> str:
        url = _url(name, self._settings)
        if url is None:
            raise Fatal(
                f"there is no connection {name!r} here; the workers know: {', '.join(named(self._settings))} "
                f"(the operator sets {PREFIX}{name.upper()})"
            )
        if write and (name == ENGINE or name not in self._settings.sql_writable):
            said = "the engine's own database is only read"
            if name != ENGINE:
                said = f"PGFLOW_SQL_WRITABLE does not name {name}"
            raise Fatal(f"the connection {name!r} may not be written to: {said}")
        redaction.reveal(f"{PREFIX}{name.upper()}", url)
        return url

    async def _begun(self, url: str, timeout: float, write: bool) -> _Connection:
        """A connection in a bounded transaction: one that is kept if it still answers, else a new one."""
        while kept := self._idle.get(url):
            connection, expiry = kept.pop()
            expiry.cancel()
            with suppress(psycopg.OperationalError):
                return await _bounded(connection, timeout, write)
        connection = await psycopg.AsyncConnection.connect(
            url, connect_timeout=CONNECT, application_name="pgflow sql", prepare_threshold=None
        )  # fmt: skip
        set_json_loads(orjson.loads, connection)
        return await _bounded(connection, timeout, write)

    async def _give_back(self, url: str, connection: _Connection) -> None:
        try:
            await connection.set_autocommit(True)
            await connection.execute(statement("connection/reset"))
        except psycopg.Error:  # what was asked is done and committed: that its connection is lost fails nothing
            await connection.close()
            return
        expiry = asyncio.get_running_loop().call_later(IDLE, self._expire, url)
        self._idle.setdefault(url, deque()).append((connection, expiry))

    def _expire(self, url: str) -> None:
        """Close the one that has rested longest: those that are used are taken from the other end."""
        connection, _ = self._idle[url].popleft()
        connection.pgconn.finish()

    def close(self) -> None:
        """Close those that are kept. Takes no time, and no loop."""
        kept = [pair for some in self._idle.values() for pair in some]
        self._idle.clear()
        for connection, expiry in kept:
            expiry.cancel()
            connection.pgconn.finish()


async def _bounded(connection: _Connection, timeout: float, write: bool) -> _Connection:
    try:
        await connection.set_autocommit(False)
        await connection.set_read_only(not write)
        await connection.execute(statement("connection/bound"), {"milliseconds": str(max(1, int(timeout * 1000)))})
    except BaseException:
        await connection.close()
        raise
    return connection
