"""A duty of the leader: leases of workers that fell silent, and leases past their deadline, are taken back.

A healthy worker must not lose its tasks because the database was away: after an outage every lease has run out, yet
every worker is about to renew. So the reaper acts only once the database has been up, and seen up by this process,
for one whole lease; an expired worker that nobody has reaped may renew meanwhile. The same holds when the database's
clock jumps against our own, as at a failover.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.engine import reaping, workers
from pgflow.engine.leadership import Pulse

log = structlog.get_logger("pgflow")

Run = Callable[[Call[Any]], Awaitable[Any]]

CLOCK_JUMP = 5.0


class Reaper:
    """Reaps, unless it has reason to wait."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._outage_seen_at: float | None = None
        self._offset: float | None = None
        self._terms = 0

    def begin(self) -> None:
        """A term begins. Any but the first begins after this process had lost its connection."""
        self._terms += 1
        self._offset = None
        if self._terms > 1:
            self._outage_seen_at = self._clock()

    def healthy_since(self, pulse: Pulse) -> float:
        """Since when, on our clock, nothing speaks against the workers' having been able to renew."""
        server_started = self._clock() - (pulse.real_now - pulse.server_started)
        return max(server_started, self._outage_seen_at or server_started)

    def _check_clock(self, pulse: Pulse) -> None:
        offset = pulse.real_now - self._clock()
        if self._offset is not None and abs(offset - self._offset) > CLOCK_JUMP:
            log.warning(
                "the database's clock jumped; no reaping for one lease", seconds=round(offset - self._offset, 1)
            )
            self._outage_seen_at = self._clock()
        self._offset = offset

    def may_reap_in(self, pulse: Pulse) -> float:
        """Seconds until reaping is allowed; 0 when it is."""
        return max(0.0, self.healthy_since(pulse) + self._settings.lease - self._clock())

    def next(self, pulse: Pulse) -> float | None:
        """When to look again, on the engine's clock."""
        if pulse.expiry is None:
            return None
        return max(pulse.expiry, pulse.now + self.may_reap_in(pulse)) + 0.05

    async def look(self, run: Run, pulse: Pulse) -> int:
        """Reap what ran out. Returns how many leases were taken back."""
        self._check_clock(pulse)
        if pulse.expiry is None or pulse.expiry > pulse.now or self.may_reap_in(pulse) > 0:
            return 0
        closed = await run(workers.expire())
        reaped = await run(reaping.reap(closed, max_crashes=self._settings.max_crashes))
        if reaped:
            poisoned = [lease.task_id for lease in reaped if lease.poisoned]
            log.warning("took back leases", tasks=len(reaped), poisoned=poisoned)
        return len(reaped)
