"""The statements of housekeeping: partitions, and rows that nobody will come for."""

from __future__ import annotations

from typing import NamedTuple

from pgflow.db.call import Call

SWEPT = 10_000


class Partition(NamedTuple):
    """A stretch of run ids whose history lies in tables of its own.

    Args:
        lower: the first id.
        upper: the first id beyond.
        given: the last id given out anywhere.
        age: seconds since ids were first given out in it.
        idle: seconds since ids have moved past it and no run in it has been live; None while one is.
    """

    lower: int
    upper: int
    given: int
    age: float | None
    idle: float | None

    @property
    def number(self) -> int:
        """What its tables' names end in."""
        return self.lower // (self.upper - self.lower)


def note_partitions() -> Call[None]:
    """Bring the registry up to date."""
    return Call("partition/note", {}, lambda _: None)


def partitions() -> Call[list[Partition]]:
    """Every partition, oldest first."""
    return Call("partition/status", {}, lambda rows: [Partition(*row) for row in rows])


def turn_partition(age: float) -> Call[bool]:
    """Move on to the next partition when the present one was first used more than `age` seconds ago."""
    return Call("partition/turn", {"age": age}, bool)


def forget_partition(lower: int) -> Call[None]:
    """Take a dropped partition off the registry."""
    return Call("partition/forget", {"lower": lower}, lambda _: None)


def sweeps(retention: float) -> list[Call[None]]:
    """What clears away rows that nobody will come for, a bounded number each.

    Args:
        retention: seconds that history is kept.
    """
    return [
        Call("housekeeping/approvals", {}, lambda _: None),
        Call("housekeeping/attention", {}, lambda _: None),
        Call("housekeeping/awaited", {}, lambda _: None),
        Call("housekeeping/firings", {"retention": retention, "limit": SWEPT}, lambda _: None),
        Call("housekeeping/idle", {}, lambda _: None),
        Call("housekeeping/inbox", {}, lambda _: None),
        Call("housekeeping/keys", {}, lambda _: None),
        Call("housekeeping/paused", {}, lambda _: None),
        Call("housekeeping/parked", {}, lambda _: None),
        Call("housekeeping/progress", {}, lambda _: None),
        Call("housekeeping/workers", {}, lambda _: None),
    ]


def sweep_emissions(retention: float, limit: int = SWEPT) -> Call[bool]:
    """Clear away up to `limit` events that are older. Returns whether there may be more."""
    return Call("housekeeping/emissions", {"retention": retention, "limit": limit}, lambda rows: rows[0][0] >= limit)
