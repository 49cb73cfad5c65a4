"""LISTEN, on an engine connection that is otherwise used as usual.

A notification makes the connection's socket readable; whoever rests on the socket looks, and the next statement on
the connection takes the notification in. So no connection and no task is spent on listening alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql


async def listen(
    connection: psycopg.AsyncConnection[Any], channel: str, heard: Callable[[psycopg.Notify], None] | None = None
) -> None:
    """Listen on a channel; `heard` is called as notifications are taken in."""
    connection.add_notify_handler(heard or _ignore)
    await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))


def _ignore(_: psycopg.Notify) -> None:
    """Without a handler psycopg would keep every notification for a reader that never comes."""
