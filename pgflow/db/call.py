"""A verb is a value: `Call` says which statement, with what, and how to read the rows. Two short sessions run it.

So nothing is written twice for sync and async users, and a caller's own connection of either colour can run any
verb inside the caller's own transaction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
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


AHEAD = 32
"""How many calls of `run_all` may be under way; beyond that the oldest is waited for."""


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


def _has_rows(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> bool:
    # Not `description`, which is made anew each time, column by column.
    return cursor.pgresult is not None and cursor.pgresult.status == pq.ExecStatus.TUPLES_OK


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
            if cursor.pgresult is None:  # the caller has this connection in pipeline mode
                with self.connection.pipeline() as pipeline:
                    pipeline.sync()
            return call.parse(cursor.fetchall() if _has_rows(cursor) else [])

    def run_all(self, calls: Iterable[Call[T]]) -> list[T]:
        """Send each call as soon as it is made, without waiting for those before it; all return rows. They fail
        together when the connection is in a transaction."""
        done: list[T] = []
        sent: deque[tuple[Call[T], psycopg.Cursor[tuple[Any, ...]]]] = deque()
        with translated(), self.connection.pipeline():
            for call in calls:
                cursor = _cursor(self.connection, call)
                cursor.execute(statement(call.name, self.schema), call.params, prepare=self.prepare)
                self.connection.pgconn.send_flush_request()  # the server would keep the answer until its buffer is full
                sent.append((call, cursor))
                if len(sent) > AHEAD:
                    oldest, cursor = sent.popleft()
                    done.append(oldest.parse(cursor.fetchall()))
            done += [call.parse(cursor.fetchall()) for call, cursor in sent]
        return done


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
                if cursor.pgresult is None:
                    async with self.connection.pipeline() as pipeline:
                        await pipeline.sync()
                return call.parse(await cursor.fetchall() if _has_rows(cursor) else [])

    async def run_together(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Send these calls as one transaction, its commit included, in one round trip: all happen or none."""
        with translated():
            async with self.connection.pipeline(), self.connection.transaction():
                cursors = [_async_cursor(self.connection, call) for call in calls]
                for call, cursor in zip(calls, cursors, strict=True):
                    await cursor.execute(statement(call.name, self.schema), call.params, prepare=self.prepare)
            return [
                call.parse(await cursor.fetchall() if _has_rows(cursor) else [])
                for call, cursor in zip(calls, cursors, strict=True)
            ]

    async def run_all(self, calls: Iterable[Call[T]]) -> list[T]:
        """Send each call as soon as it is made, like `Session.run_all`."""
        done: list[T] = []
        sent: deque[tuple[Call[T], psycopg.AsyncCursor[tuple[Any, ...]]]] = deque()
        with translated():
            async with self.connection.pipeline():
                for call in calls:
                    cursor = _async_cursor(self.connection, call)
                    await cursor.execute(statement(call.name, self.schema), call.params, prepare=self.prepare)
                    self.connection.pgconn.send_flush_request()
                    sent.append((call, cursor))
                    if len(sent) > AHEAD:
                        oldest, cursor = sent.popleft()
                        done.append(oldest.parse(await cursor.fetchall()))
                for call, cursor in sent:
                    done.append(call.parse(await cursor.fetchall()))
        return done
