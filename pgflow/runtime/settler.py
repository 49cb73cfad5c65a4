"""The settler: everything that tasks want written goes through here, in group commits.

Whatever has gathered while the last transaction was in flight goes in the next one: no added latency when idle,
hundreds of tasks a commit when busy. What workflows record (steps, children) and how leases end go in one queue, so a
workflow's writes happen in its own order. A batch whose connection was lost is sent again as it was: every statement is
fenced by (task, epoch, worker), so what the first try did commit is simply not there any more the second time, or is
found to be there already. Only a lease that was lost on the very first try is reported as lost. The same goes for a
batch that the database cancels (`statement_timeout`, mostly behind a lock): that says nothing about what it carries. A
batch that the database refuses is halved until the one bad item is found; its task fails, and nobody else's does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import structlog

from pgflow.codec import error_json
from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.db.failures import is_passing
from pgflow.db.link import Link
from pgflow.engine.facts import Fact
from pgflow.errors import WorkflowError
from pgflow.model import Parking, Settlement, State
from pgflow.runtime.batch import Batch, Ending, Item, Write, bytes_of, lease_of
from pgflow.runtime.service import Service
from pgflow.runtime.verdict import refusal
from pgflow.sdk.journal import Entry

log = structlog.get_logger("pgflow")

MAX_ROWS = 1000
MAX_BYTES = 8 * 1024 * 1024

Watcher = Callable[[Sequence[Item | Fact]], None]
"""Told what a commit carries. What it raises is what a death at that instant would be."""


def _nobody(_: Sequence[Item | Fact]) -> None:
    return None


class Settler(Service):
    """Settles the leases of one worker over one connection."""

    name = "settler"

    def __init__(self, settings: Settings, worker_id: int) -> None:
        super().__init__()
        self.link = Link(settings, "settle", statement_timeout="60s")
        self._worker_id = worker_id
        self._waiting: deque[Item] = deque()
        self._batch: list[Item] = []
        self._retried = False
        self._limit = MAX_ROWS
        self._empty = asyncio.Event()
        self._empty.set()
        self.settled = 0
        self.lost = 0
        self.before_commit: Watcher = _nobody
        self.after_commit: Watcher = _nobody

    @property
    def backlog(self) -> int:
        """How many settlements are not yet committed."""
        return len(self._waiting) + len(self._batch)

    def put(self, item: Ending | Write) -> None:
        """Have this lease ended, or this written, in the next commit."""
        self._waiting.append(item)
        if not self._woken.is_set():
            self._empty.clear()
            self._woken.set()

    def write(self, entry: Entry) -> asyncio.Future[Any]:
        """Have this written in the next commit. The answer is the statement's; None when the lease was lost."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.put(Write(entry, answered))
        return answered

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
        batch = Batch(self._batch, self._worker_id)
        self.before_commit(self._batch)
        try:
            results = await self._send(batch.calls)
        except psycopg.Error as error:
            if is_passing(error):
                raise
            self._retried = False
            self._part(error)
            return 0.0
        self.after_commit(self._batch)
        self._retried = False
        self._batch = []
        lost = batch.answer(results)
        self.settled += len(batch.settlements) + len(batch.parkings) - len(lost)
        if lost and not again:
            self.lost += len(lost)
            log.warning("lease_lost", tasks=lost[:10], count=len(lost))
        if not self._waiting:
            self._empty.set()
            return 3600.0
        return 0.0

    async def _send(self, calls: list[Call[Any]]) -> list[Any]:
        if len(calls) == 1:
            return [await self.link.run(calls[0])]
        return await self.link.run_together(calls)

    def _part(self, error: psycopg.Error) -> None:
        """The database refuses something in the batch: halve it until the one is found, and fail that one."""
        if len(self._batch) > 1:
            half = len(self._batch) // 2
            self._waiting.extendleft(reversed(self._batch[half:]))
            self._limit = half
            self._batch = self._batch[:half]
            return
        (refused,) = self._batch
        lease = lease_of(refused)
        log.error("the database refused what a task wants written", task=lease[0], error=str(error).strip())
        if isinstance(refused, Write):
            # What the workflow wrote after it must not happen without it: its lease ends here.
            problem = WorkflowError(f"the database refused a write: {str(error).strip()}")
            refused.answered.set_result(None)
            kept = [item for item in self._waiting if lease_of(item) != lease]
            for item in self._waiting:
                if isinstance(item, Write) and lease_of(item) == lease:
                    item.answered.set_result(None)
            self._waiting = deque(kept)
            self._batch = [Parking(*lease, State.NEEDS_ATTENTION, error_json(problem))]
        else:
            generation = refused.generation if isinstance(refused, Settlement) else None
            self._batch = [Settlement(*lease, State.FAILED, error=refusal(error), generation=generation)]

    def _take(self) -> None:
        size = 0
        waiting, batch = self._waiting, self._batch
        limit, self._limit = self._limit, min(MAX_ROWS, self._limit * 2)
        while waiting and len(batch) < limit and size < MAX_BYTES:
            item = waiting.popleft()
            size += bytes_of(item)
            batch.append(item)

    async def stop(self) -> None:
        """Close the connection."""
        await self.link.close()
