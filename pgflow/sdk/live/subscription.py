"""What one watcher gets: what it missed from the table, then what happens from memory; bounded, and dropped if slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pgflow.engine.events import Cursor, Event, Filter, Page


@dataclass(frozen=True, slots=True)
class Resync:
    """The watcher was too slow: what it has not seen yet was forgotten, and it gets nothing more. It may subscribe
    again from here.

    Args:
        cursor: behind the last event it was given.
    """

    cursor: Cursor


class Subscription:
    """Events for one watcher, in order. Made by `Events.subscribe`; close it, or use it with `async with`.

    Example:
        >>> async with await events.subscribe(run=42) as subscription:       # doctest: +SKIP
        ...     async for event in subscription:
        ...         if isinstance(event, Resync):
        ...             break
        ...         print(event.cursor, event.type)

    Attributes:
        asked: which events.
        cursor: behind the last event it has handed out: where to go on later.
    """

    def __init__(
        self,
        asked: Filter,
        cursor: Cursor,
        limit: int,
        read: Callable[[Cursor, Filter], Awaitable[Page]],
        join: Callable[[Subscription, bool], bool],
        leave: Callable[[Subscription], None],
        ring: Callable[[], None] | None = None,
    ) -> None:
        self.asked = asked
        self.cursor = cursor
        self.position = cursor
        self._limit = limit
        self._read, self._join, self._leave = read, join, leave
        self._ring = ring
        self._buffer: deque[Event] = deque()
        self._news = asyncio.Event()
        self._behind = True
        self._overrun = False
        self._closed = False

    def begin(self, *, caught_up: bool) -> None:
        """Join the others, if there is nothing to be read before. For `Events`."""
        self._behind = not self._join(self, caught_up)

    async def batch(self, timeout: float | None = None) -> list[Event | Resync]:
        """What there is, as soon as there is something.

        Args:
            timeout: seconds to wait for it; for ever if not given.

        Returns:
            Some events; `[]` when nothing happened in time, or after the end; a `Resync` if the watcher was too slow.

        Raises:
            DatabaseUnavailable: the table cannot be read for what came before.
            ArgumentError: the cursor it began with is of another database.
        """
        if (found := await self.take(timeout)) or self.behind:
            return found
        if self._closed:
            await asyncio.sleep(0)  # whoever asks on and on lets others have their turn
        else:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):  # `wait_for` may swallow a cancellation
                    await self._news.wait()
        return self._taken()

    async def take(self, within: float | None = None) -> list[Event | Resync]:
        """What there is, without waiting for more; from the table while there is more in it, a page a time.

        Args:
            within: seconds after which to stop looking through what does not fit, if there is much of that.

        Raises:
            DatabaseUnavailable: the table cannot be read for what came before.
            ArgumentError: the cursor it began with is of another database.
        """
        end = None if within is None else asyncio.get_running_loop().time() + within
        while self._behind and not self._closed:
            page = await self._read(self.position, self.asked)
            self.position = page.cursor
            self._behind = not self._join(self, not page.full)
            if page.events:
                self.cursor = page.events[-1].cursor
                return list(page.events)
            if end is not None and asyncio.get_running_loop().time() > end:
                return []
        return self._taken()

    @property
    def behind(self) -> bool:
        """Whether there is more to be read before it joins the others."""
        return self._behind and not self._closed

    @property
    def ready(self) -> bool:
        """Whether `take` would give something, or has to look for it in the table."""
        return bool(self._buffer) or self._overrun or self.behind

    def _taken(self) -> list[Event | Resync]:
        if self._overrun and not self._closed:
            self.close()
            return [Resync(self.cursor)]
        taken: list[Event | Resync] = list(self._buffer)
        self._buffer.clear()
        if taken:
            self.cursor = self.position
        return taken

    def offer(self, events: Sequence[Event], before: Cursor, reached: Cursor) -> None:
        """Take what happened between two cursors; all of it that fits. For `Events`."""
        if self._overrun or self._closed:
            return
        if self.position > before:
            events = [event for event in events if event.cursor > self.position]
        self.position = max(self.position, reached)
        if len(self._buffer) + len(events) > self._limit:
            self._overrun = True
            self._buffer.clear()
            self._leave(self)
        else:
            self._buffer.extend(events)
        if events:
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        if self._ring is not None:
            self._ring()

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._closed

    def close(self) -> None:
        """Get nothing more."""
        self._closed = True
        self._leave(self)
        self._tell()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[Event | Resync]:
        while not self._closed or self._buffer:
            events = await self.batch()
            reached = self.cursor
            for event in events:
                self.cursor = event.cursor  # who stops in the midst of a batch goes on behind this one
                yield event
            self.cursor = reached
