"""The loop that every duty runs in, and how it rests."""

from __future__ import annotations

import asyncio

from pgflow.config import Settings
from pgflow.runtime.feed import EVERY, Feed
from pgflow.runtime.service import Service
from tests.fixtures.database import Engine
from tests.fixtures.valkey import Valkey, with_redis


class Idle(Service):
    """Has nothing to do."""

    def __init__(self) -> None:
        super().__init__()
        self.resting = asyncio.Event()

    async def tick(self) -> float:
        self.resting.set()
        return 60.0


class Speechless(Service):
    """Meets an outage of which nobody says anything, and then has done."""

    ticks = 0

    async def tick(self) -> float:
        self.ticks += 1
        if self.ticks == 1:
            raise TimeoutError
        self.finish()
        return 0.0


async def test_an_outage_without_a_word_is_waited_out_too() -> None:
    service = Speechless()
    await service.run()
    assert service.ticks == 2


async def test_a_service_that_is_woken_and_cancelled_at_once_is_cancelled() -> None:
    service = Idle()
    running = asyncio.create_task(service.run())
    await service.resting.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    service.wake()
    running.cancel()
    await asyncio.wait({running}, timeout=5)
    assert running.cancelled()


async def test_a_feed_to_which_nobody_listens_rests_although_its_connection_was_told_something(
    database: Settings, valkey: Valkey, engine: Engine
) -> None:
    feed = Feed(with_redis(database, valkey))
    try:
        assert await feed.tick() == EVERY
        told = asyncio.Event()
        descriptor = feed._tail._link.descriptor()
        assert descriptor is not None
        asyncio.get_running_loop().add_reader(descriptor, told.set)
        engine.query("select pg_notify(%s, '')", feed._tail._channel)
        async with asyncio.timeout(60):
            await told.wait()
        asyncio.get_running_loop().remove_reader(descriptor)
        resting = asyncio.create_task(feed.rest(60.0))
        await asyncio.wait({resting}, timeout=0.2)
        assert not resting.done()
        feed.wake()
        async with asyncio.timeout(60):
            await resting
    finally:
        await feed.stop()
