"""Commands whose changes are told in the audit, as the API tells its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from pgflow import config
from pgflow.cli import connection
from pgflow.db.call import Session
from pgflow.engine import audit_entries
from pgflow.engine.audit_entries import Entry
from pgflow.sdk.client import Client


class Changes:
    """A transaction of a command, with its client.

    Args:
        session: the transaction.
        client: the verbs in it.
    """

    def __init__(self, session: Session, client: Client) -> None:
        self._session = session
        self.client = client

    def drive(self, steps: Any) -> Any:
        """Run a verb."""
        return self.client._drive(steps)

    def tell(self, action: str, target: str, *, before: object = None, after: object = None) -> None:
        """Tell the audit what was changed."""
        entry = Entry(f"cli:{connection.actor()}", action, target, _json(before), _json(after))
        self._session.run(audit_entries.write(entry))


@contextmanager
def changing() -> Iterator[Changes]:
    """A transaction: all of it happens, and is told, or nothing."""
    with connection.session("cli") as session, session.connection.transaction():
        yield Changes(session, Client(config.load(), actor=connection.actor()).on(session.connection))


def _json(value: object) -> bytes | None:
    return None if value is None else orjson.dumps(value)
