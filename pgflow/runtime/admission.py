"""A duty of the leader: what limits hold back is admitted when its time comes.

Statements that end or add limited tasks admit others themselves. Left to the leader are rates whose next start is due,
tasks that a timer or a caller's own transaction throttled, and every few seconds a look at everything throttled, so
that no task can be forgotten whatever went wrong.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from pgflow.db.call import Call
from pgflow.engine import limits

Run = Callable[[Call[Any]], Awaitable[Any]]

HEAL_EVERY = 5.0


class Admission:
    """Admits what is due."""

    def __init__(self) -> None:
        self._heal_at = 0.0

    async def look(self, run: Run) -> int:
        """Admit what is due. Returns how many tasks became ready."""
        queues: list[str] = await run(limits.pending())
        return int(await run(limits.admit(queues))) if queues else 0

    async def heal(self, run: Run) -> int:
        """Every few seconds: look at all that is throttled. Returns how many tasks became ready."""
        now = time.monotonic()
        if now < self._heal_at:
            return 0
        self._heal_at = now + HEAL_EVERY
        queues: list[str] = await run(limits.heal())
        return int(await run(limits.admit(queues))) if queues else 0
