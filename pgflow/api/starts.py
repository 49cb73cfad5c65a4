"""Starts of many requests, written together: one transaction for all that have asked since the last one began.

A transaction of its own costs each request a connection, a round trip and a wait for the disk. While one batch is on
its way the next one gathers, so nobody waits on purpose: alone, a start goes at once; the more there are at a time, the
less each costs. Each is answered when its transaction is committed.

A batch that fails is written again one by one: the fault of one is no other's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pgflow.db.call import Call
from pgflow.db.failures import is_outage
from pgflow.engine.audit_entries import Entry, enqueue_told
from pgflow.engine.enqueue import Request

MOST = 100


@dataclass(frozen=True, slots=True)
class _Start:
    request: Request
    entry: Entry
    answer: asyncio.Future[int | None]


class Starts:
    """Those of one process.

    Args:
        run: runs a call in a transaction of its own.
    """

    def __init__(self, run: Callable[[Call[Any]], Awaitable[Any]]) -> None:
        self._run = run
        self._waiting: list[_Start] = []
        self._writer: asyncio.Task[None] | None = None

    async def start(self, request: Request, entry: Entry) -> int | None:
        """Write a plain task with the entry about it. Returns its id; None: its queue is limited, nothing is written.

        Args:
            request: what to start, plain (`enqueue.is_plain`).
            entry: what the audit is to tell; its target is the run.
        """
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Start(request, entry, answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="pgflow-api-starts")
        return await answer

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._commit(batch)
        finally:
            self._writer = None

    async def _commit(self, batch: list[_Start]) -> None:
        try:
            ids = await self._run(enqueue_told([(one.request, one.entry) for one in batch]))
        except Exception as error:  # noqa: BLE001 (who asked is told)
            if len(batch) == 1 or is_outage(error):
                for one in batch:
                    _fail(one.answer, error)
            else:
                for one in batch:
                    await self._commit([one])
            return
        for one, id in zip(batch, ids, strict=True):
            if not one.answer.done():
                one.answer.set_result(id)


def _fail(answer: asyncio.Future[int | None], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
