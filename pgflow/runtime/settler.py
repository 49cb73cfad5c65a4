"""The settler: everything that tasks want written goes through here, in group commits.

Whatever has gathered while the last transaction was in flight goes in the next one: no added latency when idle,
hundreds of tasks a commit when busy. A batch whose connection was lost is sent again as it was: every statement is
fenced by (task, epoch, worker), so what the first try did commit is simply not there any more the second time. Only a
lease that was lost on the very first try is reported as lost. A batch that the database refuses is halved until the one
bad settlement is found; its task fails, and nobody else's does.
"""

from __future__ import annotations

import asyncio
from collections import deque

import psycopg
import structlog

from pgflow.config import Settings
from pgflow.db.failures import is_conflict, is_outage
from pgflow.engine import leases
from pgflow.model import Settlement, State
from pgflow.runtime.link import Link
from pgflow.runtime.service import Service
from pgflow.runtime.verdict import refusal

log = structlog.get_logger("pgflow")

MAX_ROWS = 1000
MAX_BYTES = 8 * 1024 * 1024


class Settler(Service):
    """Settles the leases of one worker over one connection."""

    name = "settler"

    def __init__(self, settings: Settings, worker_id: int) -> None:
        super().__init__()
        self.link = Link(settings, "settle", statement_timeout="60s")
        self._worker_id = worker_id
        self._waiting: deque[Settlement] = deque()
        self._batch: list[Settlement] = []
        self._retried = False
        self._limit = MAX_ROWS
        self._empty = asyncio.Event()
        self._empty.set()
        self.settled = 0
        self.lost = 0

    @property
    def backlog(self) -> int:
        """How many settlements are not yet committed."""
        return len(self._waiting) + len(self._batch)

    def put(self, settlement: Settlement) -> None:
        """Have this lease ended in the next commit."""
        self._waiting.append(settlement)
        if not self._woken.is_set():
            self._empty.clear()
            self._woken.set()

    async def drained(self) -> None:
        """Wait until everything put so far is committed."""
        await self._empty.wait()

    async def tick(self) -> float:
        """Commit one batch."""
        if not self._batch:
            self._take()
        if not self._batch:
            self._empty.set()
            return 3600.0
        self._woken.clear()
        again, self._retried = self._retried, True
        try:
            settled = await self.link.run(leases.settle(self._batch, self._worker_id))
        except psycopg.Error as error:
            if is_outage(error) or is_conflict(error):
                raise
            self._retried = False
            self._part(error)
            return 0.0
        self._retried = False
        batch, self._batch = self._batch, []
        self.settled += len(batch) if settled is None else len(settled)
        if settled is not None and not again:
            lost = [s.task_id for s in batch if s.task_id not in settled]
            self.lost += len(lost)
            log.warning("lease_lost", tasks=lost[:10], count=len(lost))
        if not self._waiting:
            self._empty.set()
            return 3600.0
        return 0.0

    def _part(self, error: psycopg.Error) -> None:
        """The database refuses something in the batch: halve it until the one is found, and fail that one."""
        if len(self._batch) > 1:
            half = len(self._batch) // 2
            self._waiting.extendleft(reversed(self._batch[half:]))
            self._limit = half
            self._batch = self._batch[:half]
            return
        (refused,) = self._batch
        log.error("the database refused a result; its task fails", task=refused.task_id, error=str(error).strip())
        self._batch = [Settlement(refused.task_id, refused.epoch, State.FAILED, error=refusal(error))]

    def _take(self) -> None:
        size = 0
        waiting, batch = self._waiting, self._batch
        limit, self._limit = self._limit, min(MAX_ROWS, self._limit * 2)
        while waiting and len(batch) < limit and size < MAX_BYTES:
            settlement = waiting.popleft()
            size += len(settlement.output) + len(settlement.error)
            batch.append(settlement)

    async def stop(self) -> None:
        """Close the connection."""
        await self.link.close()
