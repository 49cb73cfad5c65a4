"""Who watches is written to in turn, a few at a time, with a rest after each few.

Model: an event rings everybody whom it concerns, which only puts their places into a line. `SLICE` of those are let
through; what they are written goes out; and then the loop belongs to everybody else for `REST` times as long as that
took, before the next few. What has come for somebody by the time of their turn is written to them at once.

So a watcher costs the same whether it is written one event or thirty, and what all of them cost together is at most
`1 / (1 + REST)` of the loop, whatever happens and however many watch. What grows with the crowd is the time between
two turns. Other requests wait for a slice, not for the crowd.

That time has a bound: a slice that took longer than `LONGEST` did so because other requests had their turn in it, and
is not rested for any longer than that. So even where requests leave no rest at all, a crowd of `n` comes round in
`n / SLICE` passes of the loop and so many rests of `REST * LONGEST`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

SLICE = 16
"""Places that are let through at once."""
REST = 3.0
"""How many times as long as they took is rested after them."""
LONGEST = 0.002
"""Seconds that they can have taken; what is beyond that was not theirs."""


class Place:
    """The place of one who is written to when it is their turn. Made by `Turns.place`."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._rung = False
        self._granted = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """There is something for whoever has this place."""
        if not self._rung:
            self._rung = True
            self._turns.add(self)

    @property
    def quiet(self) -> bool:
        """Whether who has this place has done everything that it was rung for, and waits."""
        return self._waiter is not None and not self._waiter.done() and not self._rung

    async def turn(self) -> None:
        """Wait until it was rung, and it is its turn."""
        if not self._granted:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._granted = False

    def grant(self) -> None:
        """It is its turn. For `Turns`."""
        self._rung = False
        self._granted = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Turns:
    """Lets those through who have something to write."""

    def __init__(self) -> None:
        self._line: deque[Place] = deque()
        self._passing: asyncio.Task[None] | None = None

    def place(self) -> Place:
        """A place for somebody else."""
        return Place(self)

    def add(self, place: Place) -> None:
        """Put it at the end of the line. For `Place`."""
        self._line.append(place)
        if self._passing is None or self._passing.done():
            self._passing = asyncio.get_running_loop().create_task(self._pass())

    async def _pass(self) -> None:
        """Let through whoever waits, until nobody does."""
        while self._line:
            began = time.perf_counter()
            for _ in range(min(SLICE, len(self._line))):
                self._line.popleft().grant()
            await asyncio.sleep(0)  # they write
            await asyncio.sleep(0)  # and what they wrote goes out, which is at the end of a pass of the loop
            await asyncio.sleep(REST * min(time.perf_counter() - began, LONGEST))

    async def close(self) -> None:
        """Let through whoever waits, at once: there is nobody to be spared any more."""
        passing, self._passing = self._passing, None
        if passing is not None:
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)
        while self._line:
            self._line.popleft().grant()
