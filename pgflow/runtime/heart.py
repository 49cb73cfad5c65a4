"""The heart: renews the leases of a supervisor's executors, from outside them, and hears what they must know.

One row update a beat renews everything an executor holds. It beats each second while anything runs, because it also
carries the floors that the leader needs, and every `heartbeat` seconds otherwise; a notification on the control
channel (a cancellation, a paused queue) makes it beat at once.

An executor that died is buried here: its worker row is closed, so that nothing it may still have had in flight can
count, and its leases are taken back at once, with the crash counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg
import structlog

from pgflow.config import Settings
from pgflow.db.link import Link
from pgflow.db.listening import listen
from pgflow.engine import reaping, workers
from pgflow.runtime.child import Child
from pgflow.runtime.service import Service

log = structlog.get_logger("pgflow")

BUSY_BEAT = 1.0
BLOCKED = 5.0
"""Seconds of silence after which an executor that holds an overdue task is ended: it cannot end the task itself."""

STILL_LOCKED = 5.0
"""Seconds for which a dead executor's leases are looked for again: one that a transaction of its own still locks, as
`ctx.tx` does, is passed over until the server has noticed the death."""


class Heart(Service):
    """Beats for the children that `children()` lists."""

    name = "heart"

    def __init__(self, settings: Settings, children: Callable[[], Iterable[Child]]) -> None:
        super().__init__()
        self._settings = settings
        self._children = children
        self._dead: dict[int, tuple[str, Sequence[int], float]] = {}
        self._told: list[workers.Pulse] = []
        self._heard = False  # a notification, since the last beat was sent
        self.link = Link(settings, "heart", direct=True, on_open=self._listen, statement_timeout="10s")

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        await listen(connection, workers.control_channel(self._settings.schema_name), self._hear)

    def _hear(self, _: psycopg.Notify) -> None:
        self._heard = True

    def bury(self, worker_id: int, why: str, running: Sequence[int]) -> None:
        """Take back at the next beat, which is now, what this dead worker held; only what was running is blamed."""
        self._dead[worker_id] = (why, running, time.monotonic())
        self.wake()

    async def tick(self) -> float:
        """Bury the dead, beat for the living."""
        await self._bury_all()
        living = {child.worker_id: child for child in self._children() if child.worker_id is not None}
        pulses = [pulse for child in living.values() if (pulse := child.pulse()) is not None]
        if not pulses:
            return BUSY_BEAT if self._dead else self._settings.heartbeat
        self._heard = False
        answer = await self.link.run(workers.beat(pulses, self._settings.lease))
        for worker_id, child in living.items():
            if worker_id not in answer.renewed:
                log.warning("worker was reaped; starting over", worker=worker_id, pid=child.pid)
                child.kill()
            elif worker_id in answer.overdue and child.silence > BLOCKED:
                log.warning("executor is blocked by an overdue task; ended", worker=worker_id, pid=child.pid)
                child.kill()
            else:
                child.answer(answer)
        for worker_id, task_id, epoch in answer.cancelled:
            if worker_id in living:
                living[worker_id].cancel(task_id, epoch)
        busy, self._told = pulses != self._told or any(pulse.running for pulse in pulses), pulses
        if self._heard:  # in the middle of the beat, so the socket tells of it no more, and its answer may not either
            return 0.0
        return BUSY_BEAT if busy or self._dead else self._settings.heartbeat

    async def _bury_all(self) -> None:
        for worker_id, (why, running, since) in list(self._dead.items()):
            await self._bury(worker_id, why, running)
            if not running or time.monotonic() - since > STILL_LOCKED:
                self._dead.pop(worker_id, None)

    async def _bury(self, worker_id: int, why: str, running: Sequence[int]) -> None:
        await self.link.run(workers.close([worker_id], why))
        count = 0
        take_back = reaping.reap([worker_id], max_crashes=self._settings.max_crashes, blamed=running)
        while reaped := await self.link.run(take_back):
            count += len(reaped)
            poisoned = [lease.task_id for lease in reaped if lease.poisoned]
            if poisoned:
                log.warning("dead-lettered as poison", tasks=poisoned)
        if count:
            log.warning("took back the leases of a dead executor", worker=worker_id, tasks=count)

    async def last_beat(self) -> None:
        """Close the rows of executors that have just drained; left to their leases when the database is away."""
        try:
            await asyncio.wait_for(self._bury_all(), 5.0)
        except Exception as error:  # noqa: BLE001 (we are leaving; their leases will run out)
            log.warning("workers not closed; their leases run out", error=str(error).splitlines()[:1])

    async def rest(self, seconds: float) -> None:
        """Wait for the time, for `wake`, or for a notification."""
        await self.rest_on(self.link.descriptor(), seconds, self.wake)

    async def stop(self) -> None:
        """Close the connection."""
        await self.link.close()
