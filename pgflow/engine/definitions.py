"""Definitions that are stored: versions of workflows, each written once, and drafts of versions to come."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from pgflow.db.call import Call, Rows

MOST = 2**31 - 1


class Published(NamedTuple):
    """A version of a workflow.

    Args:
        version: from 1.
        kind: `code` or `graph`.
        document: of a graph, its definition as it was written; of code, what is known of it.
        created_at: when it was published.
        actor: by whom.
        checksum: of what it says.
    """

    version: int
    kind: str
    document: dict[str, Any]
    created_at: datetime
    actor: str | None
    checksum: bytes


class Latest(NamedTuple):
    """Which version of a workflow is the newest.

    Args:
        version: its number.
        kind: `code` or `graph`.
    """

    version: int
    kind: str


class Listed(NamedTuple):
    """A workflow in a list: its newest version, its draft, or both.

    Args:
        name: its own.
        version: the newest; None: there is a draft only.
        kind: `code` or `graph`.
        title: what people call it.
        nodes: how many a graph has.
        created_at: when the version was published.
        actor: by whom.
        draft: the revision of its draft.
    """

    name: str
    version: int | None
    kind: str | None
    title: str | None
    nodes: int | None
    created_at: datetime | None
    actor: str | None
    draft: int | None


class Draft(NamedTuple):
    """What somebody works on.

    Args:
        name: the workflow.
        document: as it is; it need not make sense.
        revision: one more at each change.
        base: the version it was begun from; 0: there was none.
        created_at: when it was begun.
        changed_at: when it was last changed.
        actor: by whom.
    """

    name: str
    document: Any
    revision: int
    base: int
    created_at: datetime
    changed_at: datetime
    actor: str | None


class Attempt(NamedTuple):
    """What came of publishing.

    Args:
        before: the version that was the newest; None: there was none.
        kind: its kind.
        same: it says the same.
        version: the new one; None: none was made.
    """

    before: int | None
    kind: str | None
    same: bool | None
    version: int | None


def newest(name: str) -> Call[Published | None]:
    """The newest version of a workflow, if there is one."""
    return Call("definition/newest", {"name": name}, _first)


def latest(name: str) -> Call[Latest | None]:
    """Which version of a workflow is the newest, without its document."""
    return Call("definition/latest", {"name": name}, lambda rows: Latest(*rows[0]) if rows else None)


def version(name: str, number: int) -> Call[Published | None]:
    """One version of a workflow, if there is one."""
    return Call("definition/version", {"name": name, "version": number}, _first)


def _first(rows: Rows) -> Published | None:
    return Published(*rows[0]) if rows else None


def versions(name: str, limit: int = 50, before: int | None = None) -> Call[list[Published]]:
    """The versions of a workflow before one, the newest first."""
    params = {"name": name, "limit": limit, "before": MOST if before is None else before}
    return Call("definition/versions", params, lambda rows: [Published(*row) for row in rows])


def listed(limit: int = 100, after: str = "") -> Call[list[Listed]]:
    """The workflows by name, from after a name on."""
    params = {"limit": limit, "after": after}
    return Call("definition/list", params, lambda rows: [Listed(*row) for row in rows])


def publish(
    name: str, checksum: bytes, document: bytes, *, expected: int | None = None, actor: str | None = None
) -> Call[Attempt]:
    """Make this the newest version of a graph, unless the newest says the same.

    Args:
        name: the workflow.
        checksum: of what it says.
        document: as JSON text.
        expected: which version has to be the newest, 0 for none; None: whichever.
        actor: who asks.
    """
    params = {
        "name": name, "checksum": checksum, "document": document.decode(), "expected": expected, "actor": actor,
    }  # fmt: skip
    return Call("definition/publish", params, lambda rows: Attempt(*rows[0]))


def draft(name: str) -> Call[Draft | None]:
    """The draft of a workflow, if there is one."""
    return Call("definition/draft", {"name": name}, _draft)


def save_draft(
    name: str, document: bytes, *, expected: int | None = None, base: int | None = None, actor: str | None = None
) -> Call[Draft | None]:
    """Store a draft. None: it has not the expected revision.

    Args:
        name: the workflow.
        document: as JSON text.
        expected: which revision it has to have, 0 for none; None: whichever.
        base: the version it was begun from; of a new one the newest, unless given.
        actor: who asks.
    """
    params = {"name": name, "document": document.decode(), "expected": expected, "base": base, "actor": actor}
    return Call("definition/save_draft", params, _draft)


def discard_draft(name: str, *, expected: int | None = None) -> Call[bool]:
    """Drop a draft, if it has that revision. Returns whether it was dropped."""
    return Call("definition/discard_draft", {"name": name, "expected": expected}, bool)


def _draft(rows: Rows) -> Draft | None:
    return Draft(*rows[0]) if rows else None
