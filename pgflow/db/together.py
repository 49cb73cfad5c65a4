"""Several calls in one transaction and one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import pq

from pgflow.db.call import Call
from pgflow.db.failures import translated
from pgflow.db.statements import statement


async def run_together(connection: psycopg.AsyncConnection[Any], calls: Sequence[Call[Any]], schema: str) -> list[Any]:
    """Send these calls in a pipeline, as one transaction: all happen or none. Returns their results in order."""
    with translated():
        cursors = []
        async with connection.pipeline(), connection.transaction():
            for call in calls:
                cursor = psycopg.AsyncCursor(connection)
                cursor.format = pq.Format.BINARY
                await cursor.execute(statement(call.name, schema), call.params, prepare=True)
                cursors.append(cursor)
        return [
            call.parse(await cursor.fetchall() if cursor.description else [])
            for call, cursor in zip(calls, cursors, strict=True)
        ]
