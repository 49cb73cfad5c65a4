"""The verb fire: what is due becomes ready."""

from __future__ import annotations

from pgflow.db.call import Call


def fire(limit: int) -> Call[int]:
    """Make up to `limit` delayed tasks ready whose instant has come. Returns how many."""
    return Call("task/fire", {"limit": limit}, lambda rows: int(rows[0][0]))


def time_out(limit: int) -> Call[int]:
    """Wake up to `limit` waiting tasks whose time to wait is over. Returns how many."""
    return Call("task/time_out", {"limit": limit}, lambda rows: int(rows[0][0]))
