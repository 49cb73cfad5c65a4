"""The one loop of the code base: do one unit of work, rest as long as it says, until stopped."""

from __future__ import annotations

import asyncio
import contextlib
import random
from abc import ABC, abstractmethod
from collections.abc import Callable

import structlog

from pgflow.db.failures import is_conflict, is_outage

log = structlog.get_logger("pgflow")


class Service(ABC):
    """A duty. Subclasses write `tick()`; tests call it; `run()` is the loop.

    A database outage never ends the loop: it is reported once, waited out with growing rests of at most a second, and
    reported again when it is over.
    """

    name = "service"

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._stopping = False
        self._failures = 0

    @abstractmethod
    async def tick(self) -> float:
        """Do one unit of work. Returns how many seconds to rest."""

    async def stop(self) -> None:  # noqa: B027 (most duties have nothing to clean up)
        """Clean up; called once after the last tick."""

    def wake(self) -> None:
        """End the present rest, or skip the next."""
        self._woken.set()

    def finish(self) -> None:
        """Let `run` return after the present tick."""
        self._stopping = True
        self._woken.set()

    async def rest(self, seconds: float) -> None:
        """Wait for the time to pass or for `wake`."""
        if seconds > 0 and not self._woken.is_set():
            # Not `wait_for`, which swallows a cancellation that comes together with the wake.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
        self._woken.clear()

    async def rest_on(self, descriptor: int | None, seconds: float, readable: Callable[[], None]) -> None:
        """Rest, but call `readable` as soon as the socket, if there is one, has something to say."""
        if descriptor is None:
            await Service.rest(self, seconds)
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, readable)
        try:
            await Service.rest(self, seconds)
        finally:
            loop.remove_reader(descriptor)

    async def run(self) -> None:
        """Tick until finished."""
        try:
            while not self._stopping:
                try:
                    seconds = await self.tick()
                    if self._failures:
                        log.info("database is back", service=self.name)
                        self._failures = 0
                except Exception as error:
                    if not (is_outage(error) or is_conflict(error)):
                        raise
                    seconds = self._outage(error)
                await self.rest(seconds)
        finally:
            await self.stop()

    def _outage(self, error: Exception) -> float:
        if not self._failures:
            log.warning("database trouble; waiting", service=self.name, error=str(error).splitlines()[0])
        self._failures += 1
        return min(1.0, 0.05 * 2.0 ** min(self._failures, 6)) * random.uniform(0.5, 1.0)
