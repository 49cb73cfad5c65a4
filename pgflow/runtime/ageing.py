"""A duty of the leader: in queues that age, what waits too long grows more urgent.

How long a task has waited is told by its seq: the leader remembers how far `ready.seq` had come at each of its looks,
so no row need carry the time. A promoted task takes a new seq and starts to wait anew for its next promotion.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from pgflow.db.call import Call
from pgflow.engine import leadership

Run = Callable[[Call[Any]], Awaitable[Any]]

EVERY = 5.0
BATCH = 1000
LONGEST = 3600.0
"""Marks are remembered this long, in seconds; a queue may not ask for more."""


class Ageing:
    """Promotes what has waited."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()
        self._look_at = 0.0

    async def look(self, run: Run, seq: int) -> int:
        """Promote what has waited, every few seconds. Returns how many tasks."""
        now = self._clock()
        if now < self._look_at:
            return 0
        self._look_at = now + EVERY
        self._marks.append((now, seq))
        while self._marks[0][0] < now - LONGEST - EVERY:
            self._marks.popleft()
        queues = {}
        for name, seconds in (await run(leadership.ageing())).items():
            old = [mark for at, mark in self._marks if at <= now - seconds]
            if old:
                queues[name] = old[-1] + 1
        return int(await run(leadership.age(queues, BATCH))) if queues else 0
