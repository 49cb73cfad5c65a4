"""Events as they happen, for all watchers of a process: one reader, however many watch.

Model: the event table is the truth and the cursor (xid, id) the position in it. A watcher first reads from the table
what it missed (`Subscription`), and joins when it has come as far as the process has. From then on it gets what the
process gets, out of memory.

The process gets it from Redis, where there is one and the leader's feed publishes there; else it follows the table by
itself (`Tail`). Each published batch says between which cursors it lies. One that begins further on than where we stand
tells that something was lost: the gap is read from the table. What we have had is left out. So it makes no difference
which way an event came, how often, or whether two leaders publish at once: each is handed on exactly once, in order.

The feed publishes each second, if only to say how far it is. When it has been silent for `SILENCE`, for whatever
reason, the table is followed until it is heard again. While nobody watches, nothing is read and nothing listened to.

Failure handling: an outage of the database is waited out; Redis is never waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from pgflow import logs
from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.db.failures import is_outage, is_passing
from pgflow.db.link import Link
from pgflow.db.patience import pause
from pgflow.engine import events
from pgflow.engine.events import EVERYTHING, Cursor, Event, Filter, Page
from pgflow.sdk.live.batch import Batch, channel, decode
from pgflow.sdk.live.subscription import Subscription
from pgflow.sdk.live.tail import PAGE, Tail

T = TypeVar("T")

SILENCE = 2.5
"""Seconds after which a silent feed is no longer waited for."""
BUFFER = 1000
"""Events that a watcher may be behind."""
INBOX = 100
"""Batches that wait to be handed on; more are dropped, and the gap is read from the table."""
CROWD = 100
"""Watchers that are told at once; then others of the process have their turn."""
LINGER = 10.0
"""Seconds for which events are followed when nobody watches any more."""


class Events:
    """The events of an engine, live.

    Args:
        settings: which engine.
        buffer: how many events a watcher may be behind before it is dropped.

    Example:
        >>> async with Events(settings) as events:                           # doctest: +SKIP
        ...     subscription = await events.subscribe(filter_of(types=["workflow.*"]), after=Cursor.parse("7421-90"))
        ...     async for event in subscription: ...
    """

    def __init__(self, settings: Settings, *, buffer: int = BUFFER) -> None:
        self._settings = settings
        self._buffer = buffer
        self._link = Link(settings, "events read", statement_timeout="30s")
        self._tail = Tail(settings)
        self._watchers: set[Subscription] = set()
        self._cursor: Cursor | None = None  # how far the watchers have been told; None: there are none
        self._left_at = 0.0
        self._inbox: deque[Batch] = deque()
        self._heard_at = float("-inf")
        self._woken = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None

    async def subscribe(
        self, asked: Filter = EVERYTHING, *, after: Cursor | None = None, ring: Callable[[], None] | None = None
    ) -> Subscription:
        """Watch.

        Args:
            asked: which events.
            after: from this cursor on, such as that of the last event seen; from now on if not given.
            ring: called whenever there is something to be taken, for whoever does not wait for it with `batch`.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        begin = after
        if begin is None:
            begin = self._cursor if self._cursor is not None else await self._run(events.latest())
        watcher = Subscription(asked, begin, self._buffer, self._read, self._join, self._leave, ring)
        watcher.begin(caught_up=after is None)
        return watcher

    @property
    def watchers(self) -> int:
        """How many are told what happens, as it happens."""
        return len(self._watchers)

    async def close(self) -> None:
        """End every subscription and close the connections."""
        for watcher in list(self._watchers):
            watcher.close()
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)
        await self._tail.close()
        await self._link.close()

    async def __aenter__(self) -> Events:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, call: Call[T]) -> T:
        try:
            return await self._link.run(call)
        except Exception as error:
            if not is_outage(error):
                raise
            return await self._link.run(call)  # the connection may have been lost long ago

    async def _read(self, cursor: Cursor, asked: Filter) -> Page:
        return await self._run(events.after(cursor, PAGE, asked))

    def _join(self, watcher: Subscription, caught_up: bool) -> bool:
        """Tell it what happens from now on, if it knows all that the others know."""
        if self._cursor is None:
            if not caught_up:
                return False
            self._cursor = watcher.position
            self._follower = asyncio.create_task(self._follow())
        if watcher.position < self._cursor:
            return False
        self._watchers.add(watcher)
        return True

    def _leave(self, watcher: Subscription) -> None:
        self._watchers.discard(watcher)
        self._left_at = self._now()

    async def _follow(self) -> None:
        """Follow what happens for as long as anybody watches."""
        listener = asyncio.create_task(self._listen()) if self._settings.redis_url else None
        failures = 0
        try:
            while self._watchers or self._now() < self._left_at + LINGER:
                try:
                    await self._turn()
                    failures = 0
                except Exception as error:
                    if not is_passing(error):
                        raise
                    failures += 1
                    await asyncio.sleep(pause(failures))
        except Exception:  # noqa: BLE001 (whatever it is, the watchers have to know)
            logs.tell(
                logging.ERROR, "events cannot be followed; everybody who watches has to subscribe again", exc_info=True
            )
            for watcher in list(self._watchers):
                watcher.close()
        finally:
            self._cursor = None
            self._inbox.clear()
            if listener is not None:
                listener.cancel()
                await asyncio.gather(listener, return_exceptions=True)
            await self._tail.close()

    async def _turn(self) -> None:
        """Hand on what was published, or wait for it; or follow the table."""
        if self._inbox:
            await self._take(self._inbox.popleft())
            return
        hopeful = self._heard_at + SILENCE - self._now()
        if hopeful > 0:
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(hopeful):  # `wait_for` may swallow a cancellation
                    await self._woken.wait()
            return
        self._tail.cursor = self._cursor
        found, rest = await self._tail.look()
        assert self._tail.cursor is not None
        await self._tell(found, self._tail.cursor)
        if not self._inbox:
            await self._tail.rest(min(rest, LINGER))

    async def _take(self, batch: Batch) -> None:
        """Hand on a published batch, after what was lost before it."""
        while self._cursor is not None and self._cursor < batch.before:
            page = await self._read(self._cursor, EVERYTHING)
            await self._tell(page.events, page.cursor)
        await self._tell(batch.events, batch.after)

    async def _tell(self, happened: Sequence[Event], reached: Cursor) -> None:
        """Tell everybody what happened; each leaves out what it knows."""
        assert self._cursor is not None
        if reached <= self._cursor:
            return
        before, self._cursor = self._cursor, reached  # from here on, who joins knows of it already
        if happened and happened[0].cursor <= before:  # what was published may begin before that
            happened = [event for event in happened if event.cursor > before]
        fitting: dict[Filter, list[Event]] = {}
        for number, watcher in enumerate(list(self._watchers), 1):
            chosen = fitting.get(watcher.asked)
            if chosen is None:
                chosen = fitting[watcher.asked] = [event for event in happened if watcher.asked.fits(event)]
            watcher.offer(chosen, before, reached)
            if number % CROWD == 0:
                await asyncio.sleep(0)

    async def _listen(self) -> None:
        from pgflow.redis.pubsub import Listener  # who has no Redis does not pay for importing its client

        identity = None
        while identity is None:
            try:
                identity = await self._run(events.identity())
            except Exception as error:
                if not is_passing(error):
                    raise
                await asyncio.sleep(1.0)
        where = channel(self._settings.schema_name, identity)
        await Listener(self._settings.redis_url, where, self._hear).run()

    def _hear(self, message: bytes) -> None:
        try:
            batch = decode(message)
        except ValueError:
            return  # somebody else's
        self._heard_at = self._now()
        if len(self._inbox) < INBOX:
            self._inbox.append(batch)
        self._woken.set()
        self._tail.wake()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
