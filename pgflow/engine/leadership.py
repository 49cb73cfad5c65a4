"""The statements of leading: the election, the pulse, and moving the lanes' safe positions past stragglers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pgflow.db.call import Call
from pgflow.engine.arrays import numbers
from pgflow.engine.reaping import DEADLINE_GRACE

LEADER_QUEUE = "@leader"
"""The name under which a resting leader asks to be woken; no task's queue may begin with @."""


def elect() -> Call[bool]:
    """Try to become the leader on this connection."""
    return Call("leader/elect", {}, lambda rows: bool(rows[0][0]))


def depose(silence: float) -> Call[bool]:
    """End the leader's connection if it has been silent for so many seconds. Returns whether it was."""
    return Call("leader/depose", {"silence": silence}, bool)


def begin_term(host: str, pid: int) -> Call[int]:
    """Note the new term. Returns its number."""
    return Call("leader/begin_term", {"host": host, "pid": pid}, lambda rows: int(rows[0][0]))


def seen(term: int) -> Call[None]:
    """Note that the leader of this term is alive."""
    return Call("leader/seen", {"term": term}, lambda _: None)


class Pulse(NamedTuple):
    """What the leader must know to choose its next rest; instants are seconds since the epoch, None when there is none.

    Args:
        real_now: the database's own clock.
        now: the engine's clock, which a test may have set.
        seq: how far ready.seq has come.
        due: when the next timer is due.
        expiry: when the next lease runs out unless renewed.
        server_started: when the server was started.
        scheduled: when the next schedule fires.
        pending: whether a schedule waits for the end of a run.
    """

    real_now: float
    now: float
    seq: int
    due: float | None
    expiry: float | None
    server_started: float
    scheduled: float | None = None
    pending: bool = False


def pulse() -> Call[Pulse]:
    """Look at the clocks and at what is due next."""
    return Call("leader/pulse", {"grace": DEADLINE_GRACE}, lambda rows: Pulse(*rows[0]))


def last_seq() -> Call[int]:
    """The last ready.seq given out. Before `own_xid`, which comes before `oldest_xid`."""
    return Call("leader/last_seq", {}, lambda rows: int(rows[0][0]))


def own_xid() -> Call[int]:
    """A transaction id of our own."""
    return Call("leader/own_xid", {}, lambda rows: int(rows[0][0]))


def oldest_xid() -> Call[int]:
    """The oldest transaction id that may still be in progress."""
    return Call("leader/oldest_xid", {}, lambda rows: int(rows[0][0]))


class LaneSpan(NamedTuple):
    """The stretch of a lane in which stragglers may lie: from its safe position to the greatest published floor."""

    queue: str
    priority: int
    high: int
    low: int


def lanes() -> Call[list[LaneSpan]]:
    """Every lane that an open worker claims from."""
    return Call("leader/lanes", {}, lambda rows: [LaneSpan(*row) for row in rows])


def _span_params(spans: Sequence[LaneSpan]) -> dict[str, object]:
    return {
        "queues": [span.queue for span in spans],
        "priorities": numbers(span.priority for span in spans),
        "lows": numbers(span.low for span in spans),
        "highs": numbers(span.high for span in spans),
    }


def reseat(spans: Sequence[LaneSpan], limit: int) -> Call[int]:
    """Give stragglers a new seq. Returns how many."""
    return Call("leader/reseat", {**_span_params(spans), "limit": limit}, lambda rows: int(rows[0][0]))


def lowest(spans: Sequence[LaneSpan]) -> Call[list[int | None]]:
    """For each span the lowest seq still visible in it."""
    return Call("leader/lowest", _span_params(spans), lambda rows: [row[0] for row in rows])


def save_lanes(safe: Sequence[tuple[str, int, int]]) -> Call[None]:
    """Store these (queue, priority, safe position)."""
    params = {
        "queues": [queue for queue, _, _ in safe],
        "priorities": numbers(priority for _, priority, _ in safe),
        "safes": numbers(position for _, _, position in safe),
    }
    return Call("leader/save_lanes", params, lambda _: None)


def ageing() -> Call[dict[str, float]]:
    """The queues that age, with the seconds that one priority takes."""
    return Call("queue/ageing", {}, lambda rows: {row[0]: row[1] for row in rows})


def age(marks: Mapping[str, int], limit: int) -> Call[int]:
    """In each queue, make up to `limit` ready tasks of each priority below this seq more urgent. Returns how many."""
    params = {"queues": list(marks), "marks": numbers(marks.values()), "limit": limit}
    return Call("leader/age", params, lambda rows: int(rows[0][0]))
