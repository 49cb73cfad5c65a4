"""Secrets: what is stored of them, always sealed. See `pgflow.sealing`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pgflow.db.call import Call, Rows
from pgflow.engine.inspection import Row, rows_of
from pgflow.sealing import Sealed


class Stored(NamedTuple):
    """A secret as the table has it."""

    name: str
    sealed: Sealed


class Resealed(NamedTuple):
    """A secret on its way from one key to another."""

    name: str
    was: Sealed
    now: Sealed


def put(name: str, sealed: Sealed, *, actor: str | None = None) -> Call[int]:
    """Store a secret, in the place of the one of that name. Returns its version."""
    params = {"name": name, "sealed": sealed.data, "key_id": sealed.key_id, "actor": actor}
    return Call("secret/set", params, lambda rows: int(rows[0][0]))


def read(names: Sequence[str]) -> Call[list[Stored]]:
    """Those of these secrets that are stored."""
    return Call("secret/read", {"names": list(names)}, _stored)


def page(after: str, limit: int, *, unless: str | None = None) -> Call[list[Stored]]:
    """Secrets by name.

    Args:
        after: the last name of the page before.
        limit: how many at most.
        unless: leave out those that are sealed with this key.
    """
    return Call("secret/page", {"after": after, "limit": limit, "unless": unless}, _stored)


def reseal(batch: Sequence[Resealed]) -> Call[list[str]]:
    """Put these in the place of what was read. Returns the names of those that were still as read."""
    params = {
        "names": [one.name for one in batch],
        "was": [one.was.data for one in batch],
        "sealed": [one.now.data for one in batch],
        "key_ids": [one.now.key_id for one in batch],
    }
    return Call("secret/reseal", params, lambda rows: [row[0] for row in rows])


def remove(names: Sequence[str]) -> Call[list[str]]:
    """Remove these. Returns those that were there."""
    return Call("secret/remove", {"names": list(names)}, lambda rows: [row[0] for row in rows])


def listed() -> Call[list[Row]]:
    """Every secret: name, key, version, instants, who set it."""
    columns = ("name", "key_id", "version", "created_at", "changed_at", "actor")
    return Call("secret/list", {}, lambda rows: rows_of(columns, rows))


def _stored(rows: Rows) -> list[Stored]:
    return [Stored(name, Sealed(data, key_id)) for name, data, key_id in rows]
