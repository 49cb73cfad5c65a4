"""The one loop of the code base: do one unit of work, rest as long as it says, until stopped."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable

from pgflow.db.patience import Patience


class Service(ABC):
    """A duty. Subclasses write `tick()`; tests call it; `run()` is the loop.

    Trouble with the database that will pass never ends the loop (`pgflow.db.patience`): an outage is reported once,
    waited out with growing rests of at most a second, and reported again when it is over; a statement that the database
    cancels is reported each time.
    """

    name = "service"

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._stopping = False
        self._patience = Patience(self.name)

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
                    self._patience.over()
                except Exception as error:  # noqa: BLE001 (raised again unless it will pass)
                    seconds = self._patience.rest(error)
                await self.rest(seconds)
        finally:
            await self.stop()
