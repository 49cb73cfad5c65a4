"""A stretch of the history on its way from one process to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter

import orjson

from pgflow.engine.events import Cursor, Event

_FIELDS = [field.name for field in fields(Event)]
_AT = _FIELDS.index("at")
_row = attrgetter(*_FIELDS)


@dataclass(frozen=True, slots=True)
class Batch:
    """All events between two cursors.

    Args:
        before: where it begins: whoever stands further back has missed something.
        after: where it ends.
        events: what lies between.
    """

    before: Cursor
    after: Cursor
    events: Sequence[Event]

    def encode(self) -> bytes:
        """As JSON."""
        return orjson.dumps([str(self.before), str(self.after), [_row(event) for event in self.events]])


def decode(message: bytes) -> Batch:
    """What was encoded so.

    Raises:
        ValueError: it is something else.
    """
    try:
        before, after, rows = orjson.loads(message)
        for row in rows:
            row[_AT] = datetime.fromisoformat(row[_AT])
        events = [Event(*row) for row in rows]
        return Batch(Cursor.parse(before), Cursor.parse(after), events)
    except Exception as error:
        raise ValueError("not a batch of events") from error


def channel(schema: str, identity: str) -> str:
    """Where the events of an engine are published."""
    return f"{schema}:events:{identity}"
