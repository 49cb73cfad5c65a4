"""The leader: the one candidate whose connection holds the session's advisory lock.

Model: leading is an optimisation, never the safety. Everything the leader decides runs on that very connection, in
short statements, so losing the connection loses both the lock and the means to act; and each of its moves is one
statement that finds and moves rows in one step, harmless if two did it. A term number, visible in `pgflow.leader`,
grows with each new leader.

Every supervisor is a candidate and tries for the lock every few seconds. Elected, it runs its duties each tick: timers
that are due, schedules, workers and deadlines that ran out, stragglers below the floors; and it rests until the next
instant at which something falls due, at most `SAFETY_TICK`. Before it rests it leaves a row in `pgflow.idle`; whoever
schedules something sooner consumes the row and wakes it. It then looks once more, because what committed in between may
not have seen the row.

Failure handling: a leader whose process is frozen keeps its connection, and with it the lock; candidates see in the
server's list of sessions that it says nothing and end that connection. Any error on the connection ends the term; the
service loop waits the outage out and stands again.
Housekeeping, which is slow and idempotent, and the feed of events have a service and a connection of their own each. An
error there ends no term: it is logged, and the service begun again, because nobody would notice that it is gone.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import psycopg
import structlog

from pgflow.config import Settings
from pgflow.db.failures import first_line
from pgflow.db.link import Link
from pgflow.db.listening import listen
from pgflow.engine import leadership, schedules, workers
from pgflow.errors import PgflowError
from pgflow.runtime.admission import Admission
from pgflow.runtime.ageing import Ageing
from pgflow.runtime.housekeeping import Housekeeping
from pgflow.runtime.reaper import Reaper
from pgflow.runtime.schedules import Schedules
from pgflow.runtime.service import Service
from pgflow.runtime.stragglers import Stragglers
from pgflow.runtime.timers import Timers

log = structlog.get_logger("pgflow")

CANDIDACY = 1.5
PATIENCE = 3
"""Candidacies after which a candidate looks whether the leader still says something."""
SILENCE = 12.0
"""Seconds after which a leader that says nothing is taken for frozen; it says something every `SAFETY_TICK`."""
WAITING_TICK = 0.5
"""How often a schedule that waits for a run looks whether it has ended."""
BUSY_TICK = 1.0
SAFETY_TICK = 5.0
SETTLING_DOWN = (0.004, 0.02, 0.1, 0.5)
STANDS = 22.0
"""Seconds that its idle row stands; unless it is consumed, it is written anew only when it would not see the next
tick."""
SEEN = 15.0
AGAIN = 15.0
"""Seconds after which a service beside it that broke is begun again."""


class Leader(Service):
    """Stands for election, and leads while elected."""

    name = "leader"

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self.channel = f"{settings.schema_name}.leader.{socket.gethostname()}.{os.getpid()}"[:63]
        self.link = Link(settings, "leader", direct=True, on_open=self._listen, statement_timeout="10s")
        self.term: int | None = None
        self._opened = 0
        self._candidacies = 0
        self._timers = Timers()
        self._schedules = Schedules()
        self._reaper = Reaper(settings)
        self._stragglers = Stragglers()
        self._admission = Admission()
        self._ageing = Ageing()
        self._beside: list[asyncio.Task[None]] = []
        self._seq = -1
        self._looks = 0
        self._heard = False  # a notification, since the tick began
        self._stands_until = 0.0
        self._seen_at = 0.0

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        await listen(connection, self.channel, self._hear)

    def _hear(self, _: psycopg.Notify) -> None:
        self._heard = True

    async def tick(self) -> float:
        """Stand for election, or do what is due."""
        if self.term is not None and (self.link.opened != self._opened or self.link.descriptor() is None):
            await self._resign("lost its connection")
        try:
            if self.term is None and not await self._elected():
                return CANDIDACY
            self._heard = False
            rest = await self._lead()
            if self._heard:  # in the middle of a statement, so the socket tells of it no more
                self._looks = 0
                return 0.0
            return rest
        except BaseException:
            await self._resign("failed")
            raise

    async def _elected(self) -> bool:
        if not await self.link.run(leadership.elect()):
            self._candidacies += 1
            if self._candidacies % PATIENCE == 0 and await self.link.run(leadership.depose(SILENCE)):
                log.warning("the leader was silent; its connection was ended", seconds=SILENCE)
                self.wake()
            return False
        self._opened = self.link.opened
        self.term = await self.link.run(leadership.begin_term(socket.gethostname(), os.getpid()))
        await self.link.run(schedules.review())
        log.info("leading", term=self.term)
        self._reaper.begin()
        self._stragglers.begin()
        self._seq = -1
        self._looks = 0
        beside = [lambda: Housekeeping(self._settings), *self._feeds()]
        self._beside = [asyncio.create_task(self._keep(make), name="pgflow-beside-leader") for make in beside]
        return True

    @staticmethod
    async def _keep(make: Callable[[], Service]) -> None:
        """Run a service for as long as we lead, whatever happens to it."""
        while True:
            service = make()
            try:
                await service.run()
            except Exception as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # it broke while it was being ended
                    raise
                log.error(
                    "a duty beside the leader broke; it is begun again", service=service.name, seconds=AGAIN,
                    error=f"{type(error).__name__}: {first_line(error)}",
                    exc_info=not isinstance(error, PgflowError),
                )  # fmt: skip
            await asyncio.sleep(AGAIN)

    async def _resign(self, why: str) -> None:
        if self.term is not None:
            log.info("no longer leading", term=self.term, why=why)
        self.term = None
        await self.link.close()
        beside, self._beside = self._beside, []
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)

    def _feeds(self) -> list[Callable[[], Service]]:
        if not self._settings.redis_url:
            return []
        from pgflow.runtime.feed import Feed  # who has no Redis does not pay for importing its client

        return [lambda: Feed(self._settings)]

    async def _lead(self) -> float:
        run = self.link.run
        pulse = await run(leadership.pulse())
        moved = pulse.seq != self._seq
        self._seq = pulse.seq
        fired = 0
        if pulse.due is not None and pulse.due <= pulse.now:
            fired = await self._timers.fire(run) + await self._admission.look(run)
        fired += await self._schedules.look(run, pulse)
        fired += await self._admission.heal(run)
        await self._ageing.look(run, pulse.seq)
        reaped = await self._reaper.look(run, pulse)
        if moved or not self._stragglers.settled:
            await self._stragglers.look(run)
        now = asyncio.get_running_loop().time()
        if self.term is not None and now - self._seen_at >= SEEN:
            self._seen_at = now
            await run(leadership.seen(self.term))
        if fired or reaped:
            self._looks = 0
            return 0.0
        longest = SAFETY_TICK if self._stragglers.settled else BUSY_TICK
        return await self._rest_until(pulse, WAITING_TICK if pulse.pending else longest)

    async def _rest_until(self, pulse: leadership.Pulse, longest: float) -> float:
        """Say that we rest, then look again at growing distances, then rest until something falls due."""
        instants = [instant for instant in (pulse.due, self._reaper.next(pulse)) if instant is not None]
        rest = min([longest, *(max(0.0, instant - pulse.now) for instant in instants)])
        now = asyncio.get_running_loop().time()
        if self._looks == 0 or now + 2 * SAFETY_TICK > self._stands_until:
            await self.link.run(workers.idle([leadership.LEADER_QUEUE], self.channel, STANDS))
            self._stands_until = now + STANDS
        looks, self._looks = self._looks, self._looks + 1
        return min(rest, SETTLING_DOWN[looks]) if looks < len(SETTLING_DOWN) else rest

    async def rest(self, seconds: float) -> None:
        """Wait for the time, for `wake`, or for a notification."""
        await self.rest_on(self.link.descriptor() if seconds > 0 else None, seconds, self._notified)

    def _notified(self) -> None:
        self._looks = 0
        self.wake()

    async def stop(self) -> None:
        """Give up the lock."""
        await self._resign("stopped")
