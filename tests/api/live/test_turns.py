"""Who watches is written to in turn: a crowd leaves the loop to others, and nobody in it is forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from pgflow.api.live import turns
from pgflow.api.live.turns import Place, Turns

CROWD = 100


class Writer:
    """Takes whatever there is, whenever it is its turn."""

    def __init__(self, place: Place, log: list[int]) -> None:
        self.place, self.log = place, log
        self.waiting = 0
        self.taken: list[int] = []
        self.slow = asyncio.Event()
        self.slow.set()

    def give(self) -> None:
        """Something has come."""
        self.waiting += 1
        self.place.ring()

    async def write(self) -> None:
        while True:
            await self.place.turn()
            taken, self.waiting = self.waiting, 0
            self.taken.append(taken)
            self.log.append(taken)
            await self.slow.wait()


@asynccontextmanager
async def writing(count: int, log: list[int]) -> AsyncIterator[list[Writer]]:
    line = Turns()
    writers = [Writer(line.place(), log) for _ in range(count)]
    tasks = [asyncio.create_task(one.write()) for one in writers]
    await asyncio.sleep(0)
    try:
        yield writers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await line.close()


async def quiet(writers: list[Writer]) -> None:
    """Wait until nobody waits for a turn."""
    async with asyncio.timeout(60):
        while not all(one.place.quiet for one in writers):
            await asyncio.sleep(0.001)


async def test_a_crowd_that_is_rung_at_once_is_let_through_a_few_at_a_time() -> None:
    log: list[int] = []
    passes = [0]
    async with writing(CROWD, log) as writers:
        for one in writers:
            one.give()
        while len(log) < CROWD:
            await asyncio.sleep(0)  # as any other request would
            passes.append(len(log))
    assert max(after - before for before, after in pairwise(passes)) == turns.SLICE
    assert len(passes) > 2 * CROWD / turns.SLICE, "others had turns between"


async def test_the_rest_after_a_few_is_several_times_what_they_took_and_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    rests: list[float] = []
    sleep = asyncio.sleep
    line = Turns()

    async def rest(seconds: float) -> None:
        if seconds:
            rests.append(seconds)
        await sleep(0)

    async def write(place: Place, took: float) -> None:
        nonlocal now
        await place.turn()
        now += took

    monkeypatch.setattr(asyncio, "sleep", rest)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    for took in (turns.LONGEST / 2, turns.LONGEST, 5.0):
        place = line.place()
        place.ring()
        await write(place, took)
        while line._passing is not None and not line._passing.done():
            await sleep(0)
    assert rests == pytest.approx([turns.LONGEST / 2 * turns.REST, *[turns.LONGEST * turns.REST] * 2])
    await line.close()


async def test_what_has_come_by_the_time_of_a_turn_is_taken_at_once() -> None:
    async with writing(1, []) as (one,):
        for _ in range(30):
            one.give()
        await quiet([one])
        assert one.taken == [30]


async def test_who_is_rung_while_still_writing_gets_another_turn() -> None:
    async with writing(2, []) as (one, other):
        one.slow.clear()
        one.give()
        other.give()
        await quiet([other])
        one.give()
        one.give()
        for _ in range(3):
            other.give()
            await quiet([other])
        assert one.taken == [1], "it does not hold up the other"
        one.slow.set()
        await quiet([one])
        assert one.taken == [1, 2]
        assert sum(other.taken) == 4


async def test_who_is_gone_when_it_is_their_turn_holds_up_nobody() -> None:
    line = Turns()
    gone, there = line.place(), line.place()
    waiting = asyncio.create_task(gone.turn())
    await asyncio.sleep(0)
    gone.ring()
    there.ring()
    waiting.cancel()
    async with asyncio.timeout(60):
        await there.turn()
    await line.close()


async def test_at_the_end_nobody_is_left_waiting() -> None:
    line = Turns()
    places = [line.place() for _ in range(CROWD)]
    waiting = [asyncio.create_task(one.turn()) for one in places]
    await asyncio.sleep(0)
    for one in places:
        one.ring()
    await line.close()
    async with asyncio.timeout(60):
        await asyncio.gather(*waiting)
