"""A duty of the leader: rows of `ready` that the floors have passed are given a new seq, so that none is stranded.

A transaction takes its seq when it inserts and shows it when it commits, and a rolled-back claim shows an old seq
again; either may surface below the floors of every worker. The stretch where that can happen, per lane, reaches from
the safe position to the greatest published floor; every row still visible in it is re-seated.

The safe position moves up as far as nothing can surface below it any more. Three statements, in this order and each
with a snapshot of its own, tell how far: the last seq given out (L), a transaction id of our own (B), the oldest
transaction still running (X). Whoever took a seq up to L had a transaction id below B; once X has passed B, all of
them have ended, and what they left is visible. So L of an earlier look is confirmed when X of this one has reached
that look's B. The lowest row still visible in the stretch holds the position back, even when it is locked just now.

A long-running writer holds X back, and the stretch grows; looking then costs more, so the duty rests ten times as
long as its last scan took.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from pgflow.db.call import Call
from pgflow.engine import leadership

log = structlog.get_logger("pgflow")

Run = Callable[[Call[Any]], Awaitable[Any]]

BATCH = 1000
REMEMBERED = 1000


class Stragglers:
    """Re-seats stragglers and moves the safe positions."""

    def __init__(self) -> None:
        self._looks: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._confirmed = 0
        self._not_before = 0.0
        self.settled = False
        """Whether nothing can surface any more below a floor that was published so far."""
        self.reseated = 0

    def begin(self) -> None:
        """A term begins: what an earlier one remembered is still true, but may be old; start over."""
        self._looks.clear()
        self._confirmed = 0
        self._not_before = 0.0
        self.settled = False

    async def look(self, run: Run) -> int:
        """Re-seat what was passed. Returns how many rows."""
        started = time.monotonic()
        if started < self._not_before:
            return 0
        seq: int = await run(leadership.last_seq())
        xid: int = await run(leadership.own_xid())
        oldest: int = await run(leadership.oldest_xid())
        while self._looks and self._looks[0][1] <= oldest:
            self._confirmed = max(self._confirmed, self._looks.popleft()[0])
        self._looks.append((seq, xid))
        spans: list[leadership.LaneSpan] = [s for s in await run(leadership.lanes()) if s.high > s.low]
        self.settled = self._confirmed >= seq and not spans
        if not spans:
            return 0
        total = 0
        while count := await run(leadership.reseat(spans, BATCH)):
            total += count
            if count < BATCH:
                break
        lowest: list[int | None] = await run(leadership.lowest(spans))
        safe = [
            (span.queue, span.priority, min(p for p in (self._confirmed + 1, span.high, low) if p is not None))
            for span, low in zip(spans, lowest, strict=True)
        ]
        forward = [s for s, span in zip(safe, spans, strict=True) if s[2] > span.low]
        if forward:
            await run(leadership.save_lanes(forward))
        if total:
            self.reseated += total
            log.debug("re-seated stragglers", tasks=total)
        took = time.monotonic() - started
        self._not_before = started + 10 * took if took > 0.1 else 0.0
        return total
