"""Definitions that are stored: versions of workflows, written once."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from pgflow.db.call import Call, Rows


class Published(NamedTuple):
    """A version of a workflow.

    Args:
        version: from 1.
        kind: `code` or `graph`.
        document: of a graph, its definition; of code, what is known of it.
        created_at: when it was published.
        actor: by whom.
    """

    version: int
    kind: str
    document: dict[str, Any]
    created_at: datetime
    actor: str | None


def newest(name: str) -> Call[Published | None]:
    """The newest version of a workflow, if there is one."""
    return Call("definition/newest", {"name": name}, _first)


def version(name: str, number: int) -> Call[Published | None]:
    """One version of a workflow, if there is one."""
    return Call("definition/version", {"name": name, "version": number}, _first)


def _first(rows: Rows) -> Published | None:
    return Published(*rows[0]) if rows else None
