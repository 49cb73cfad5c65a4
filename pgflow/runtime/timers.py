"""A duty of the leader: what is due becomes ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pgflow.db.call import Call
from pgflow.engine import timers

Run = Callable[[Call[Any]], Awaitable[Any]]

BATCH = 1000


class Timers:
    """Fires delayed tasks and the time-outs of waiting ones."""

    async def fire(self, run: Run) -> int:
        """Fire a batch of each. Returns how many tasks became ready."""
        fired: int = await run(timers.fire(BATCH))
        fired += await run(timers.time_out(BATCH))
        return fired
