"""How the engine stands: what a probe asks."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from pgflow.db.call import Call


class Standing(NamedTuple):
    """How the engine stands.

    Args:
        version: of the schema.
        leader_seen_at: when the leader last said that it is there.
        leader_age: seconds since then.
    """

    version: int
    leader_seen_at: datetime | None
    leader_age: float | None


def standing() -> Call[Standing]:
    """Ask how the engine stands."""
    return Call("standing/look", {}, lambda rows: Standing(*rows[0]))
