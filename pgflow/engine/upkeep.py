"""The statements of housekeeping: partitions, and rows that nobody will come for."""

from __future__ import annotations

from typing import NamedTuple

from pgflow.db.call import Call, Rows

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


def free_keys(partition: Partition, limit: int = SWEPT) -> Call[bool]:
    """Free up to `limit` keys that ended runs of this partition still hold. Returns whether there may be more.

    Before its history is dropped: without the outcome nobody could tell any more that such a key is free.
    """
    params = {"lower": partition.lower, "upper": partition.upper, "limit": limit}
    return Call("partition/free_keys", params, lambda rows: rows[0][0] >= limit)


def sweeps(retention: float, limit: int = SWEPT) -> list[Call[bool]]:
    """What clears away rows that nobody will come for. Each returns whether there may be more.

    Args:
        retention: seconds that history is kept.
        limit: how many rows each clears away at most.
    """

    def more(rows: Rows) -> bool:
        return int(rows[0][0]) >= limit

    some = {"limit": limit}
    return [
        Call("housekeeping/approvals", some, more),
        Call("housekeeping/attention", {}, lambda _: False),
        Call("housekeeping/awaited", some, more),
        Call("housekeeping/firings", {"retention": retention, **some}, more),
        Call("housekeeping/idle", some, more),
        Call("housekeeping/inbox", some, more),
        Call("housekeeping/keys", some, more),
        Call("housekeeping/paused", some, more),
        Call("housekeeping/parked", some, more),
        Call("housekeeping/progress", some, more),
        Call("housekeeping/workers", {}, lambda _: False),
    ]


def sweep_emissions(retention: float, limit: int = SWEPT) -> Call[bool]:
    """Clear away up to `limit` events that are older. Returns whether there may be more."""
    return Call("housekeeping/emissions", {"retention": retention, "limit": limit}, lambda rows: rows[0][0] >= limit)
