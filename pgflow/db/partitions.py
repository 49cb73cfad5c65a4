"""Partitions of the history: made ahead by a function, dropped here, where identifiers are put together."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg import sql

from pgflow.db.call import Call

AHEAD = 3
"""Whole partitions that lie ready above the last id given out."""
HISTORY = ("task", "outcome", "event")


def make() -> Call[int]:
    """Make partitions ahead. Returns how many were made."""
    return Call("partition/make", {"ahead": AHEAD}, lambda rows: int(rows[0][0]))


async def drop(connection: psycopg.AsyncConnection[Any], schema: str, number: int) -> None:
    """Detach one partition of each history table without blocking anybody, then drop it.

    Begun and interrupted, it is finished the next time.

    Raises:
        psycopg.errors.LockNotAvailable: it is in use; try later.
        psycopg.errors.InsufficientPrivilege: the role does not own the schema.
    """
    for parent in HISTORY:
        whole, part = sql.Identifier(schema, parent), sql.Identifier(schema, f"{parent}_{number}")
        for how in ("concurrently", "finalize"):
            try:
                await connection.execute(
                    sql.SQL("alter table {} detach partition {} {}").format(whole, part, sql.SQL(how))
                )
                break
            except (pg.UndefinedTable, pg.ObjectNotInPrerequisiteState, pg.ObjectInUse):
                continue  # detached already, or left half detached by one that was interrupted
        await connection.execute(sql.SQL("drop table if exists {}").format(part))
