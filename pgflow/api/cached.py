"""Answers that are dear and asked for often: found out once for all who ask at the same time, and kept for a while."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
MOST = 100


class Cached(Generic[T]):
    """What was found out lately.

    Args:
        seconds: how long it is good.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._turns: dict[Hashable, asyncio.Lock] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """What is known of the key, or found out now. Whoever asks meanwhile waits for the same."""
        turn = self._turns.setdefault(key, asyncio.Lock())
        try:
            async with turn:
                known = self._known.get(key)
                if known is not None and time.monotonic() < known[0]:
                    return known[1]
                found = await make()
                self._known[key] = (time.monotonic() + self._seconds, found)
                self._known.move_to_end(key)
                while len(self._known) > MOST:
                    self._known.popitem(last=False)
                return found
        finally:
            if not turn.locked():
                self._turns.pop(key, None)
