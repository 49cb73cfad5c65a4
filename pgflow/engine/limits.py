"""Limits: what a queue may have ready and running at once, or start a second, in all and per slot.

A limit is admission, not a filter in the claim: tasks of a limited queue wait in `throttled` and become ready as there
is room, so claims know nothing of limits and unlimited queues pay nothing. See sql/functions/admit.sql.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgflow.db.call import Call
from pgflow.engine.inspection import Row, rows_of
from pgflow.errors import ArgumentError

SLOWEST = 1e-6
"""Starts a second; the time between two has to be one that Postgres can tell."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a queue is limited to; None: not in that way.

    Args:
        concurrency: tasks ready or running at once, in all. (1,000 where there are only other limits.)
        rate: starts a second, in all.
        burst: starts at once after a quiet time.
        slot_concurrency: tasks ready or running at once of one slot, such as a customer.
        slot_rate: starts a second of one slot.
        slot_burst: starts of one slot at once after a quiet time.

    Raises:
        ArgumentError: a number makes no sense.
    """

    concurrency: int | None = None
    rate: float | None = None
    burst: float = 1.0
    slot_concurrency: int | None = None
    slot_rate: float | None = None
    slot_burst: float = 1.0

    def __post_init__(self) -> None:
        for name in ("concurrency", "rate", "slot_concurrency", "slot_rate"):
            value = getattr(self, name)
            if value is not None and not SLOWEST <= value < 1e9:
                raise ArgumentError(f"{name}={value} is not a positive number")
        for name in ("burst", "slot_burst"):
            if not 1 <= getattr(self, name) < 1e9:
                raise ArgumentError(f"{name}={getattr(self, name)} must be at least 1")


def set_limit(queue: str, limit: Limit, *, actor: str | None = None) -> Call[None]:
    """Limit the queue from now on."""
    params = {
        "queue": queue, "concurrency": limit.concurrency, "rate": limit.rate, "burst": limit.burst,
        "slot_concurrency": limit.slot_concurrency, "slot_rate": limit.slot_rate, "slot_burst": limit.slot_burst,
        "actor": actor,
    }  # fmt: skip
    return Call("limit/set", params, lambda _: None)


def impose(queue: str, batch: int = 2000) -> Call[int]:
    """Throttle up to a batch of what was ready before. Returns how many; repeat until 0."""
    return Call("limit/impose", {"queue": queue, "limit": batch}, lambda rows: int(rows[0][0]))


def lift_limit(queue: str) -> Call[bool]:
    """Limit the queue no more. Returns whether it was limited."""
    return Call("limit/lift", {"queue": queue}, bool)


def admit(queues: Sequence[str]) -> Call[int]:
    """Make throttled tasks of these queues ready as far as there is room. Returns how many."""
    return Call("limit/admit", {"queues": list(queues)}, lambda rows: int(rows[0][0]))


def pending() -> Call[list[str]]:
    """The queues in which something waits to be admitted that no statement admits by itself."""
    return Call("limit/pending", {}, lambda rows: [row[0] for row in rows])


def heal() -> Call[list[str]]:
    """Put everything throttled in line again. Returns the queues that have something throttled."""
    return Call("limit/heal", {}, lambda rows: [row[0] for row in rows])


def limits() -> Call[list[Row]]:
    """Every limit, with what it holds back and what it counts now."""
    columns = (
        "queue", "concurrency", "rate", "burst", "slot_concurrency", "slot_rate", "slot_burst", "throttled", "ready",
        "running", "open_at", "set_at", "set_by",
    )  # fmt: skip
    return Call("limit/list", {}, lambda rows: rows_of(columns, rows))
