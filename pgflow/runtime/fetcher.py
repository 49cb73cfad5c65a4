"""The fetcher: keeps the runner supplied, and knows how to wait without costing anything.

Supply: it asks for free slots plus a prefetch by Little's law: as many tasks as the slots finish during one round
trip. Slow handlers so get no prefetch, and quick ones hundreds.

Waiting: while there is work it claims again as room appears and is woken by nobody. Once a claim comes back empty it
polls for a few milliseconds more, then says that it is idle and looks once more. Looks follow at growing distances,
because a transaction that enqueued before it saw the idle row may commit after; then the slow safety poll. A
notification makes the claim connection's socket readable, so no further connection listens; one that arrives during a
statement is taken in with its answer, and then no socket tells of it any more: `_notified` does.

The truth is polling; a notification only shortens the wait. Every `SELF_TEST` seconds of idleness the worker notifies
itself over its other connection; if it does not hear that, it is deaf (a pooler, a half-open socket): the connection
is replaced, and until it hears again it polls fast.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import psycopg
import structlog

from pgflow.config import Settings
from pgflow.db.link import Link
from pgflow.db.listening import listen
from pgflow.db.patience import Patience
from pgflow.engine import leases, workers
from pgflow.errors import PgflowError
from pgflow.model import Claimed
from pgflow.runtime.floors import Floors
from pgflow.runtime.lanes import LaneOrder
from pgflow.runtime.runner import Runner
from pgflow.runtime.service import Service
from pgflow.runtime.settler import Settler

log = structlog.get_logger("pgflow")

MAX_CLAIM = 1000
SPIN = (0.0005, 0.001, 0.002, 0.003)
"""Rests between the claims of a worker that has just run dry."""
SETTLING_DOWN = (0.004, 0.02, 0.1, 0.5)
"""Rests between its looks after it said it is idle."""
SELF_TEST = 15.0
TEST = "test"
"""What a notification that nobody needs to act on carries (see sql/worker/notify)."""
HEARING_TIME = 5.0
DEAF_POLL = 0.25
WAKE_OTHERS = 0.05
STANDS = 4
"""How many safety polls an idle row stands; unless it is consumed, it is written anew only when it would not see the
next."""
MARGIN = 2.0
MAX_UNSETTLED = 4 * MAX_CLAIM


class Fetcher(Service):
    """Claims for one worker."""

    name = "fetcher"

    def __init__(
        self, settings: Settings, worker_id: int, lanes: LaneOrder, runner: Runner, settler: Settler, floors: Floors
    ) -> None:
        super().__init__()
        self._settings = settings
        self._worker_id = worker_id
        self._lanes = lanes
        self._runner = runner
        self._settler = settler
        self._floors = floors
        self.channel = workers.channel(settings.schema_name, worker_id)
        self.link = Link(settings, "claim", direct=True, on_open=self._listen, statement_timeout="60s")
        self._dry = 0  # claims in a row that found nothing
        self._round_trip = 0.002
        self._rate = 0.0  # tasks finished a second
        self._finished_at = (0, time.monotonic())
        self._woke_others = 0.0
        self._tested_at = time.monotonic()
        self._test_sent = 0.0
        self.heard = True
        self._idle = False
        self._notified = False  # since the last claim was sent
        self._stands_until = 0.0
        self._inputs = Patience("inputs")

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._stands_until = 0.0  # who consumed the row meanwhile was not heard
        await listen(connection, self.channel, self._hear)

    def _hear(self, notification: psycopg.Notify) -> None:
        self._notified |= notification.payload != TEST
        self._test_sent = 0.0
        if not self.heard:
            log.info("notifications are heard again")
            self.heard = True

    async def tick(self) -> float:
        """Claim once, if there is room."""
        self._idle = False
        room = self._room()
        if room <= 0 or self._settler.backlog > MAX_UNSETTLED:
            return 1.0  # the runner wakes us
        now = time.monotonic()
        lanes = self._lanes.next()
        if not lanes:
            return self._settings.safety_poll
        floors = self._floors.at(lanes, now) if self._dry < len(SPIN) else self._floors.safe_at(lanes)
        limit = min(room, MAX_CLAIM)
        self._notified = False
        claimed = await self.link.run(leases.claim(lanes, floors, limit, self._worker_id))
        if len(claimed) > limit:
            raise AssertionError(f"a claim of {limit} returned {len(claimed)} tasks")
        if not claimed:
            rest = 0.0 if self._notified else await self._nothing()
            if self._notified:  # what it told of may have been committed after this claim's snapshot: look again
                self._dry = min(self._dry, len(SPIN))  # and settle down again
                return 0.0
            return rest
        self._dry = 0
        took = time.monotonic() - now
        self._round_trip += 0.2 * (took - self._round_trip)
        if len(lanes) > 1:
            order = {lane: position for position, lane in enumerate(lanes)}
            claimed.sort(key=lambda row: (order[row.queue, row.priority], row.epoch))  # type: ignore[index]
        self._floors.note(claimed, now)
        self._runner.add(claimed)
        if len(claimed) == limit and now - self._woke_others > WAKE_OTHERS:
            self._woke_others = now
            await self.link.run(workers.wake(self._lanes.queues))
        return 0.0

    def _room(self) -> int:
        finished, since = self._finished_at
        now = time.monotonic()
        if now - since >= 0.02:
            self._rate += 0.5 * ((self._runner.finished - finished) / (now - since) - self._rate)
            self._finished_at = (self._runner.finished, now)
        prefetch = min(MAX_CLAIM, int(2 * self._rate * self._round_trip))
        self._runner.low_water = prefetch // 2
        if prefetch > 8 and len(self._runner.backlog) > prefetch // 2:
            return 0
        return self._runner.concurrency - self._runner.stuck_threads + prefetch - self._runner.in_hand

    async def _nothing(self) -> float:
        """What to do after an empty claim; returns the rest."""
        dry, self._dry = self._dry, self._dry + 1
        self._idle = True
        if dry < len(SPIN):
            return SPIN[dry]
        dry -= len(SPIN)
        if dry == 0:
            await self._announce()
            return 0.0
        if dry <= len(SETTLING_DOWN):
            return SETTLING_DOWN[dry - 1]
        await self._self_test()
        if time.monotonic() + self._settings.safety_poll + MARGIN > self._stands_until:
            await self._announce()
        return self._settings.safety_poll if self.heard else DEAF_POLL

    async def _announce(self) -> None:
        now, stands = time.monotonic(), STANDS * self._settings.safety_poll + MARGIN
        await self.link.run(workers.idle(self._lanes.queues, self.channel, stands))
        self._stands_until = now + stands

    async def _self_test(self) -> None:
        now = time.monotonic()
        if self._test_sent and now - self._test_sent > HEARING_TIME:
            if self.heard:
                log.warning("notifications are not heard; polling instead")
            self.heard = False
            self._test_sent = 0.0
            await self.link.close()
        elif not self._test_sent and now - self._tested_at > SELF_TEST:
            self._tested_at = self._test_sent = now
            await self._settler.link.run(workers.notify(self.channel))

    async def rest(self, seconds: float) -> None:
        """Wait for the time, for `wake` or, when idle, for anything to arrive on the claim connection."""
        if seconds <= 0:
            await asyncio.sleep(0)
            self._woken.clear()
            return
        await self.rest_on(self.link.descriptor() if self._idle else None, seconds, self.wake)

    async def fetch_input(self, claimed: Claimed) -> dict[str, Any]:
        """The input of a task whose input did not travel with the claim. Trouble with the database is waited out: it is
        no error of the attempt."""
        asked = leases.inputs([(claimed.root_id, claimed.task_id)])
        found = await self._inputs.ask(lambda: self._settler.link.run(asked))
        return found[claimed.task_id]

    async def stop(self) -> None:
        """Ask to be woken no more, so that others are, and close the connection."""
        if self.link.descriptor() is not None and time.monotonic() < self._stands_until:
            with suppress(PgflowError, psycopg.Error):
                await self.link.run(workers.idle(self._lanes.queues, self.channel, 0.0))
        await self.link.close()
