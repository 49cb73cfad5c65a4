"""Databases that `sql` nodes may talk to: named by the operator, in the environment or in `.env`.

`PGFLOW_SQL_WAREHOUSE=postgresql://...` is the connection `warehouse`. It is read from, unless PGFLOW_SQL_WRITABLE names
it too. `engine` is the engine's own database; nobody can make that writable.

Reading only is held to in three ways: the transaction is read-only, the query is one that a cursor can be declared for,
so that it is a query and one alone, and the engine's database is looked at with the rights of its reader role where
the worker's user may take that role. What none of them can prevent is a function that acts outside of transactions,
such as `dblink`: rights in that database are what keeps such things from whoever may write definitions.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import psycopg
from dotenv import dotenv_values
from psycopg.types.json import set_json_loads

from pgflow import redaction
from pgflow.config import Settings
from pgflow.db.statements import statement
from pgflow.errors import Fatal

PREFIX = "PGFLOW_SQL_"
ENGINE = "engine"
NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_RESERVED = {"writable"}
CONNECT = 10


def named(settings: Settings) -> list[str]:
    """The connections there are."""
    found = {name.removeprefix(PREFIX).lower() for name in (*os.environ, *_env_file()) if name.startswith(PREFIX)}
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
    return os.environ.get(variable) or _env_file().get(variable) or None


@asynccontextmanager
async def opened(
    name: str, settings: Settings, timeout: float, *, write: bool
) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A transaction on a connection of its own, which commits if the block ends well.

    Args:
        name: the connection.
        settings: the settings in force.
        timeout: seconds that a statement may take.
        write: let it change something.

    Raises:
        Fatal: there is no such connection, or it is not to be written to.
    """
    url = _url(name, settings)
    if url is None:
        raise Fatal(
            f"there is no connection {name!r} here; the workers know: {', '.join(named(settings))} "
            f"(the operator sets {PREFIX}{name.upper()})"
        )
    if write and (name == ENGINE or name not in settings.sql_writable):
        said = (
            "the engine's own database is only read" if name == ENGINE else f"PGFLOW_SQL_WRITABLE does not name {name}"
        )
        raise Fatal(f"the connection {name!r} may not be written to: {said}")
    redaction.reveal(f"{PREFIX}{name.upper()}", url)
    connection = await psycopg.AsyncConnection.connect(
        url, connect_timeout=CONNECT, application_name="pgflow sql", prepare_threshold=None
    )  # fmt: skip
    try:
        set_json_loads(orjson.loads, connection)
        await connection.set_read_only(not write)
        await connection.execute(statement("connection/bound"), {"milliseconds": str(max(1, int(timeout * 1000)))})
        if name == ENGINE:
            await connection.execute(statement("connection/read_as", settings.schema_name))
        yield connection
        if not connection.closed:
            await connection.commit()
    finally:
        await connection.close()  # which undoes what is not committed


def _env_file() -> Mapping[str, str | None]:
    file = Path(".env")
    try:
        return _read_env_file(file.absolute(), file.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(1)
def _read_env_file(file: Path, _: int) -> Mapping[str, str | None]:
    return dotenv_values(file, interpolate=False)
