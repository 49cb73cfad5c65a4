"""The word that this process is about to end. Whoever holds an answer open (a stream, a long poll) listens for it."""

from __future__ import annotations

import asyncio


class Draining:
    """Set once, at SIGTERM, in the loop of whoever waits for it."""

    def __init__(self) -> None:
        self._set = False
        self._waiting: set[asyncio.Future[None]] = set()

    def start(self) -> None:
        """Tell everybody."""
        self._set = True
        for one in self._waiting:
            if not one.done():
                one.set_result(None)

    def is_set(self) -> bool:
        """Whether the process is about to end."""
        return self._set

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until the process is about to end, at most so long. Returns whether it is."""
        if self._set:
            return True
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(told)
        try:
            async with asyncio.timeout(seconds):
                await told
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(told)
        return True


draining = Draining()
