"""The verb arrive, for what is not part of another statement: signals."""

from __future__ import annotations

from collections.abc import Sequence

from pgflow.db.call import Call
from pgflow.engine.arrays import numbers


def arrive(task_ids: Sequence[int]) -> Call[int]:
    """Let one signal arrive at each of these tasks. Returns how many of them it woke."""
    return Call("task/arrive", {"tasks": numbers(task_ids)}, lambda rows: int(rows[0][0]))
