"""JSON documents of the API as the clients answer elsewhere: ids are numbers, instants are instants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pgflow.engine.events import Cursor, Event
from pgflow.engine.runs import Standing

_IDS = frozenset(
    {"id", "root_id", "parent_id", "task_id", "run_id", "worker_id", "run", "last_run", "kept", "of", "event_id"}
)
_INSTANTS = frozenset({"at", "oldest", "lease_until", "since", "state_at", "undo_until"})

Row = dict[str, Any]


def row(document: Mapping[str, Any]) -> Row:
    """The document, with its own ids and instants as such. What people put into it stays as it is."""
    return {name: _value(name, value) for name, value in document.items()}


def rows(documents: list[Mapping[str, Any]]) -> list[Row]:
    """Each of them."""
    return [row(one) for one in documents]


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in _IDS and value.isascii() and value.isdecimal():
        return int(value)
    if name in _INSTANTS or name.endswith("_at"):
        return instant(value)
    return value


def instant(text: str | None) -> datetime | None:
    """An instant from its text."""
    return None if text is None else datetime.fromisoformat(text)


def standing(document: Mapping[str, Any]) -> Standing:
    """One thing that keeps a run."""
    found = row(document)
    return Standing._make(found.get(name) for name in Standing._fields)


def told(document: Mapping[str, Any] | None) -> Row | None:
    """What a run told of itself."""
    return None if document is None else row(document)


def event(document: Mapping[str, Any]) -> Event:
    """Something that happened."""
    place = Cursor.parse(document["cursor"])
    worker = document["worker"]
    at = instant(document["at"])
    assert at is not None
    return Event(
        id=int(document["id"]), xid=place.xid, root_id=int(document["run"]), task_id=int(document["task"]),
        type=document["type"], at=at, attempt=document["attempt"],
        worker_id=None if worker is None else int(worker), key=document["key"], actor=document["actor"],
        data=document["data"], name=document["name"], step=document["step"], workflow=document["workflow"],
    )  # fmt: skip
