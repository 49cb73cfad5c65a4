"""Whether a connection was notified, without waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql


def ear(connection: psycopg.Connection[Any], *channels: str) -> Callable[[], list[str]]:
    """Listen to these channels. What it returns tells, when called, which of them have been told since the last call.

    Whoever notifies signals those who listen before its commit is answered, and who is signalled sends on what there
    is before it answers its next statement. So after one round trip all has come that was committed before it, and
    nothing else will: neither a notification that there is nor one that there is not has to be waited for.

    Args:
        connection: in autocommit mode; inside a transaction nothing is sent on.
    """
    came: list[str] = []
    connection.add_notify_handler(lambda notification: came.append(notification.channel))
    for channel in channels:
        connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))

    def heard() -> list[str]:
        connection.execute("select 1")
        found = came.copy()
        came.clear()
        return found

    return heard
