"""A verb is a value: `Call` says which statement, with what, and how to read the rows. Two short sessions run it.

So nothing is written twice for sync and async users, and a caller's own connection of either colour can run any
verb inside the caller's own transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg
from psycopg import pq
from psycopg.rows import tuple_row

from pgflow.db.failures import translated
from pgflow.db.statements import statement

T = TypeVar("T")
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One round trip.

    Args:
        name: the statement's file, as in `task/claim`.
        params: what the statement names.
        parse: makes the result from the rows.
        literal: send the values as literals, for statements whose plan should depend on them.
    """

    name: str
    params: Mapping[str, Any]
    parse: Callable[[Rows], T]
    literal: bool = False


def _cursor(connection: psycopg.Connection[Any], call: Call[Any]) -> psycopg.Cursor[tuple[Any, ...]]:
    if call.literal:
        return psycopg.ClientCursor(connection, row_factory=tuple_row)
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    cursor.format = pq.Format.BINARY
    return cursor


def _async_cursor(connection: psycopg.AsyncConnection[Any], call: Call[Any]) -> psycopg.AsyncCursor[tuple[Any, ...]]:
    if call.literal:
        return psycopg.AsyncClientCursor(connection, row_factory=tuple_row)
    cursor = psycopg.AsyncCursor(connection, row_factory=tuple_row)
    cursor.format = pq.Format.BINARY
    return cursor


@dataclass(frozen=True, slots=True)
class Session:
    """Runs calls on a psycopg connection. It neither begins nor commits: that is the connection's business."""

    connection: psycopg.Connection[Any]
    schema: str = "pgflow"
    prepare: bool | None = None

    def run(self, call: Call[T]) -> T:
        """Send the call and wait for its result."""
        with translated(), _cursor(self.connection, call) as cursor:
            cursor.execute(statement(call.name, self.schema), call.params, prepare=self.prepare)
            return call.parse(cursor.fetchall() if cursor.description else [])


@dataclass(frozen=True, slots=True)
class AsyncSession:
    """Runs calls on a psycopg async connection, like `Session`."""

    connection: psycopg.AsyncConnection[Any]
    schema: str = "pgflow"
    prepare: bool | None = None

    async def run(self, call: Call[T]) -> T:
        """Send the call and wait for its result."""
        with translated():
            async with _async_cursor(self.connection, call) as cursor:
                await cursor.execute(statement(call.name, self.schema), call.params, prepare=self.prepare)
                return call.parse(await cursor.fetchall() if cursor.description else [])
