"""Where a claim's scan of each lane may start, so that it never reads the dead entries of earlier claims.

Model: `ready.seq` only grows and claims run in its order, so what lies below the highest seq this worker has claimed
is dead, but for two kinds of straggler: rows whose transaction took its seq early and committed late, and rows that a
rolled-back claim put back. Floors therefore lag: a floor is the highest seq claimed at least `lag` seconds ago. What
is later still is found by the leader, which gives it a new seq (see stragglers).

The safe position, which the leader moves, is a floor that holds for everybody. New workers start there, and an idle
worker's safety poll claims from there, so that a dead leader delays a straggler and never strands it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pgflow.model import Claimed, Lane, Priority


class Floors:
    """The floors of one worker."""

    def __init__(self, lag: float = 0.1) -> None:
        self._lag = lag
        self._highest: dict[tuple[str, int], int] = {}
        self._pending: dict[tuple[str, int], int] = {}
        self._floors: dict[tuple[str, int], int] = {}
        self._safe: dict[Lane, int] = {}
        self._turned = 0.0

    def note(self, claimed: Iterable[Claimed], now: float) -> None:
        """Remember what was claimed at `now` (monotonic seconds)."""
        highest = self._highest
        for row in claimed:
            lane = row.queue, row.priority  # equal to a Lane, and made in a tenth of the time
            if row.epoch > highest.get(lane, 0):
                highest[lane] = row.epoch
        self._turn(now)

    def _turn(self, now: float) -> None:
        if now - self._turned >= self._lag:
            self._floors = self._pending
            self._pending = dict(self._highest)
            self._turned = now

    def at(self, lanes: Sequence[Lane], now: float) -> list[int]:
        """The floor of each lane for a claim at `now`."""
        self._turn(now)
        return [max(self._floors.get(lane, 0), self._safe.get(lane, 0)) for lane in lanes]

    def safe_at(self, lanes: Sequence[Lane]) -> list[int]:
        """The safe position of each lane, for an idle worker's poll."""
        return [self._safe.get(lane, 0) for lane in lanes]

    def learn_safe(self, safe: Mapping[Lane, int]) -> None:
        """Take over the leader's safe positions."""
        self._safe.update(safe)

    def published(self, queues: Iterable[str]) -> dict[str, list[int]]:
        """The floors to tell the leader: per queue one a priority."""
        return {queue: [self._floors.get(Lane(queue, p), 0) for p in Priority] for queue in queues}
