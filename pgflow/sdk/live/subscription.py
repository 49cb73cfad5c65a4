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
    ) -> None:
        self.asked = asked
        self.cursor = cursor
        self.position = cursor
        self._limit = limit
        self._read, self._join, self._leave = read, join, leave
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
        end = None if timeout is None else asyncio.get_running_loop().time() + timeout
        while self._behind and not self._closed:
            page = await self._read(self.position, self.asked)
            self.position = page.cursor
            self._behind = not self._join(self, not page.full)
            if page.events:
                self.cursor = page.events[-1].cursor
                return list(page.events)
            if end is not None and asyncio.get_running_loop().time() > end:
                return []
        if not self._buffer and not self._overrun and not self._closed:
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), timeout)
        elif self._closed:
            await asyncio.sleep(0)  # whoever asks on and on lets others have their turn
        return self._taken()

    def _taken(self) -> list[Event | Resync]:
        if self._overrun and not self._closed:
            self.close()
            return [Resync(self.cursor)]
        taken: list[Event | Resync] = list(self._buffer)
        self._buffer.clear()
        if taken:
            self.cursor = self.position
        return taken

    def offer(self, events: Sequence[Event], reached: Cursor) -> None:
        """Take what happened; all of it that fits, up to a cursor. For `Events`."""
        if self._overrun:
            return
        fresh = [event for event in events if event.cursor > self.position]
        self.position = max(self.position, reached)
        if len(self._buffer) + len(fresh) > self._limit:
            self._overrun = True
            self._buffer.clear()
            self._leave(self)
        else:
            self._buffer.extend(fresh)
        if fresh:
            self._news.set()

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        return self._closed

    def close(self) -> None:
        """Get nothing more."""
        self._closed = True
        self._leave(self)
        self._news.set()

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
