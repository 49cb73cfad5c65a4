"""Standing at the end of the history: reads what becomes final, and rests on a notification when there is nothing.

Before it rests it leaves a row in `pgflow.idle`; the trigger on `pgflow.event` consumes the row and notifies. What was
written before the row could be seen notifies nobody, and may still be uncommitted. So after leaving the row it looks
on, until every transaction has ended that had begun to write when it first looked: all later ones see the row. The same
looking on shows events that were committed, but held back by an older transaction which has not ended.

Looks are at least `COALESCE` apart, so that a busy system is read in batches and sends few notifications. The truth is
polling: a lost notification costs `safety_poll`; whoever finds something that way polls faster until it hears again.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.db.link import Link
from pgflow.db.listening import listen
from pgflow.engine import events, workers
from pgflow.engine.events import Cursor, Event, Page
from pgflow.errors import PgflowError

T = TypeVar("T")

PAGE = 1000
COALESCE = 0.02
"""Seconds between two looks."""
LONGEST_LOOK = 0.25
"""Seconds between two looks while an old transaction does not end."""
DEAF_POLL = 0.25
STANDS = 4
"""How many safety polls an idle row stands."""
MARGIN = 2.0
SUMMARIZE = 20_000
"""Events after which the index is asked to take them up."""


class Tail:
    """Follows the history on a connection of its own.

    Args:
        settings: where.
        cursor: from where; from now on if not given.
    """

    def __init__(self, settings: Settings, cursor: Cursor | None = None) -> None:
        self.cursor = cursor
        self._poll = settings.safety_poll
        self._channel = f"{settings.schema_name}.events.{secrets.token_hex(6)}"
        self._link = Link(settings, "events", direct=True, on_open=self._listen, statement_timeout="30s")
        self._woken = asyncio.Event()
        self._heard = False
        self._deaf = False
        self._stands_until = 0.0
        self._mark: int | None = None
        self._held_since = 0.0
        self._looked_at = 0.0
        self._polled = False
        self._unsummarized = 0

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._stands_until = 0.0
        await listen(connection, self._channel, self._hear)

    def _hear(self, _: psycopg.Notify) -> None:
        self._heard = True
        self._deaf = False
        self._stands_until = 0.0

    def wake(self) -> None:
        """End the present rest, or skip the next."""
        self._polled = False
        self._woken.set()

    async def run(self, call: Call[T]) -> T:
        """Run something else on its connection."""
        return await self._link.run(call)

    async def look(self) -> tuple[list[Event], float]:
        """Read on. Returns what became final, and for how many seconds to rest."""
        if self.cursor is None:
            self.cursor = await self._link.run(events.latest())
        self._heard = False
        page = await self._link.run(events.after(self.cursor, PAGE))
        self._looked_at = self._now()
        self.cursor = page.cursor
        await self._keep_cheap(len(page.events))
        return page.events, await self._rest_after(page)

    async def _rest_after(self, page: Page) -> float:
        polled, self._polled = self._polled, False
        if page.events:
            if polled and not self._heard:
                self._deaf, self._stands_until = True, 0.0
            self._mark = None
            return 0.0 if page.full else COALESCE
        if self._looked_at + self._poll > self._stands_until:
            stands = STANDS * self._poll + MARGIN
            # Before it is sent: it may be consumed, and that be heard, before its answer is read.
            self._stands_until, self._mark = self._looked_at + stands, None
            await self._link.run_together([events.heed(), workers.idle([events.QUEUE], self._channel, stands)])
            return 0.0
        if self._mark is None:
            self._mark, self._held_since = page.next, self._looked_at
        if page.final < self._mark:
            return min(LONGEST_LOOK, max(COALESCE, (self._looked_at - self._held_since) / 20))
        if self._heard:
            return COALESCE
        self._polled = True
        return DEAF_POLL if self._deaf else self._poll

    async def _keep_cheap(self, count: int) -> None:
        self._unsummarized += count
        if self._unsummarized >= SUMMARIZE:
            self._unsummarized = 0
            await self._link.run(events.summarize())

    async def rest(self, seconds: float) -> None:
        """Wait for the time, for `wake` or for a notification; but at least for `COALESCE` since the last look."""
        if seconds > 0:
            descriptor, loop = self._link.descriptor(), asyncio.get_running_loop()
            if descriptor is not None:
                loop.add_reader(descriptor, self.wake)
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):  # `wait_for` may swallow a cancellation
                        await self._woken.wait()
            finally:
                if descriptor is not None:
                    loop.remove_reader(descriptor)
            await asyncio.sleep(min(seconds, self._looked_at + COALESCE - self._now()))
        self._woken.clear()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Ask to be woken no more, and close the connection."""
        if self._link.descriptor() is not None and self._now() < self._stands_until:
            with suppress(PgflowError, psycopg.Error):
                await self._link.run(workers.idle([events.QUEUE], self._channel, 0.0))
        await self._link.close()
