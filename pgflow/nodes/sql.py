"""The node type `sql`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, ClassVar, Literal

import psycopg
from psycopg.types.json import Jsonb
from pydantic import Field, JsonValue

from pgflow.db.failures import is_conflict, is_outage
from pgflow.errors import Fatal, PgflowError
from pgflow.graph.document import Problem, Seconds
from pgflow.nodes.base import Config, Desk, Work
from pgflow.nodes.connections import ENGINE
from pgflow.nodes.looking import kept, looked

MOST_ROWS = 100_000
_EXPRESSION = re.compile(r"(?<!\$)\$\{")
_EXACT = 2**53


class SqlFailed(PgflowError):
    """The database could not do it now, but may when it is asked again."""


class SqlConfig(Config):
    """What is asked, of which database."""

    connection: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,49}$",
        description="Which database: warehouse is what the operator has set as PGFLOW_SQL_WAREHOUSE; "
        "engine is the engine's own, which can only be read.",
    )
    query: str = Field(min_length=1, description="One statement. Values stand in it as $1, $2 and so on.")
    parameters: list[JsonValue] = Field(
        default_factory=list,
        description="The values, in their order. They are sent beside the query, never put into its text. "
        "Lists are arrays, objects are jsonb.",
    )
    write: bool = Field(
        default=False, description="Let it change something; the connection has to allow it (PGFLOW_SQL_WRITABLE)."
    )
    limit: int = Field(default=1000, ge=1, le=MOST_ROWS, description="How many rows it may give.")
    more: Literal["fail", "cut"] = Field(
        default="fail", description="When there are more: fail, or give the first of them and say so in `more`."
    )
    timeout: Seconds = Field(default=60.0, description="How long the statement may take.")


class Sql(Work[SqlConfig]):
    """Asks a database."""

    name: ClassVar = "sql"
    title: ClassVar = "SQL"
    description: ClassVar = (
        "Asks a Postgres database that the operator has given a name, and gives {rows, count, more}: the rows as "
        "objects. It can only read, unless both the node and the connection say otherwise. What is written may be "
        "written again if a worker dies between its commit and the engine's: write so that this does no harm, as "
        "with insert ... on conflict."
    )
    config: ClassVar = SqlConfig
    later: ClassVar = frozenset({"query"})
    example: ClassVar = {
        "type": "sql",
        "config": {
            "connection": "warehouse",
            "query": "select customer, sum(total) as total from orders where day = $1 group by customer",
            "parameters": ["${input.day}"],
        },
    }

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """With expressions in the query, too: nothing is put into its text."""
        found = super().problems(config)
        query = config.get("query")
        if isinstance(query, str) and _EXPRESSION.search(query):
            found.append(
                Problem(
                    "query", "a query holds no expressions: what they give could change what it does",
                    "write $1 in the query, and the expression into `parameters`",
                )
            )  # fmt: skip
        return found

    async def work(self, desk: Desk, config: SqlConfig) -> Any:
        """Ask."""
        if _EXPRESSION.search(config.query):
            raise Fatal("`query` holds an expression; write $1, and the expression into `parameters`")
        parameters = [_sent(value) for value in config.parameters]
        schema = desk.settings.schema_name
        try:
            async with desk.connections().opened(config.connection, config.timeout, write=config.write) as connection:
                if config.write:
                    return await _written(connection, config, parameters)
                if config.connection == ENGINE and await kept(connection, schema):
                    found = await looked(connection, schema, config.query, parameters, config.limit + 1)
                    return _given(config, _unique(found[0]), found[1], None)
                return await _read(connection, config, parameters)
        except psycopg.Error as error:
            raise _told(error, config) from None


async def _read(connection: psycopg.AsyncConnection[Any], config: SqlConfig, parameters: list[Any]) -> dict[str, Any]:
    cursor = psycopg.AsyncRawServerCursor(connection, "pgflow", scrollable=False)
    try:
        await cursor.execute(config.query, parameters)
        columns, rows = _columns(cursor.description), await cursor.fetchmany(config.limit + 1)
        await cursor.close()
    except BaseException:  # in this order neither has anything to wait for, so that nobody is interrupted in it
        await connection.close()
        await cursor.close()
        raise
    return _given(config, columns, rows, None)


async def _written(
    connection: psycopg.AsyncConnection[Any], config: SqlConfig, parameters: list[Any]
) -> dict[str, Any]:
    async with psycopg.AsyncRawCursor(connection) as cursor:
        async with connection.pipeline():  # what is sent in one is a single statement, with parameters or without
            await cursor.execute(config.query, parameters)
        if cursor.description is None:
            return _given(config, [], [], max(0, cursor.rowcount))
        return _given(config, _columns(cursor.description), await cursor.fetchmany(config.limit + 1), cursor.rowcount)


def _given(config: SqlConfig, columns: list[str], rows: Sequence[Sequence[Any]], count: int | None) -> dict[str, Any]:
    more = len(rows) > config.limit
    if more and config.more == "fail":
        raise Fatal(f"there are more than {config.limit:,} rows; ask for fewer, or raise `limit`, or say `more: cut`")
    made = [dict(zip(columns, map(_plain, row), strict=True)) for row in rows[: config.limit]]
    return {"rows": made, "count": len(made) if count is None else count, "more": more}


def _columns(description: Sequence[psycopg.Column] | None) -> list[str]:
    return _unique([column.name for column in description or ()])


def _unique(names: list[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Fatal(f"several columns are called {', '.join(twice)}; name them with `as`")
    return names


def _sent(value: Any) -> Any:
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value)):
        return Jsonb(value)
    return value


def _plain(value: Any) -> Any:
    """A column's value as JSON. A number stays one where that loses nothing."""
    match value:
        case None | bool() | int() | str():
            return value if not isinstance(value, int) or abs(value) <= _EXACT else str(value)
        case float():
            return value if isfinite(value) else str(value)
        case Decimal():
            return _number(value)
        case dict():
            return value
        case list():
            return [_plain(one) for one in value]
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.astimezone(UTC) if value.tzinfo else value
        case bytes():
            return value
        case _ if type(value).__module__ in ("datetime", "uuid"):
            return value
    return str(value)


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and abs(value) <= _EXACT:
        return int(value)
    near = float(value)
    return near if isfinite(near) and Decimal(repr(near)) == value else str(value)


def _told(error: psycopg.Error, config: SqlConfig) -> Exception:
    said = str(error).strip() or type(error).__name__
    code = f" ({error.sqlstate})" if error.sqlstate else ""
    text = f"{config.connection}: {said}{code}"
    if isinstance(error, psycopg.errors.QueryCanceled):
        return SqlFailed(f"{config.connection}: the statement took longer than {config.timeout:g} s")
    if is_outage(error) or is_conflict(error):
        return SqlFailed(text)
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        text += "; a node that writes says `write: true`"
    return Fatal(text)
