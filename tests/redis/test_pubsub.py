"""Publishing to all nodes, listening to the first that works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from pgflow.redis import breaker, pubsub
from pgflow.redis.pubsub import Listener, Publisher
from tests.fixtures.valkey import Valkey, Valkeys

CHANNEL = "pgflow:events:test"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "_breakers", {})
    monkeypatch.setattr(breaker, "OPEN", 0.5)
    monkeypatch.setattr(pubsub, "REST", 0.05)
    monkeypatch.setattr(pubsub, "QUIET", 0.3)


@asynccontextmanager
async def listening(*servers: Valkey) -> AsyncIterator[list[bytes]]:
    heard: list[bytes] = []
    task = asyncio.create_task(Listener([server.url for server in servers], CHANNEL, heard.append).run())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def listeners(server: Valkey) -> int:
    with server.client() as client:
        return int(dict(client.pubsub_numsub(CHANNEL))[CHANNEL])


async def test_whoever_listens_moves_to_the_next_node_and_hears_each_message_once(
    valkeys: Valkeys, patient: None
) -> None:
    nodes = valkeys(2)
    publisher = Publisher([node.url for node in nodes])
    async with listening(*nodes) as heard:
        await until(lambda: listeners(nodes[0]))
        assert await publisher.publish(CHANNEL, b"one") == 1
        await until(lambda: heard == [b"one"])
        nodes[0].kill()
        await until(lambda: listeners(nodes[1]))
        assert await publisher.publish(CHANNEL, b"two") == 1
        await until(lambda: heard == [b"one", b"two"])
    await publisher.close()


async def test_a_node_that_hangs_is_left(valkeys: Valkeys) -> None:
    nodes = valkeys(2)
    async with listening(*nodes):
        await until(lambda: listeners(nodes[0]))
        nodes[0].freeze()
        await until(lambda: listeners(nodes[1]))


async def test_a_node_that_comes_back_is_heard_again(valkey: Valkey) -> None:
    publisher = Publisher([valkey.url])
    async with listening(valkey) as heard:
        await until(lambda: listeners(valkey))
        valkey.stop()
        assert await publisher.publish(CHANNEL, b"lost") == 0
        valkey.start()
        await until(lambda: listeners(valkey))
        async with asyncio.timeout(60):
            while b"back" not in heard:
                await publisher.publish(CHANNEL, b"back")
                await asyncio.sleep(0.05)
        assert b"lost" not in heard
    await publisher.close()


async def test_silence_is_not_taken_for_death(valkey: Valkey, patient: None) -> None:
    async with listening(valkey) as heard:
        await until(lambda: listeners(valkey))
        with valkey.client() as client:
            before = {item["id"] for item in client.client_list(_type="pubsub")}
            await asyncio.sleep(4 * pubsub.QUIET)
            assert {item["id"] for item in client.client_list(_type="pubsub")} == before
            client.publish(CHANNEL, "news")
        await until(lambda: heard == [b"news"])


async def test_nodes_that_are_all_away_are_nobody(valkeys: Valkeys) -> None:
    nodes = valkeys(2)
    for node in nodes:
        node.stop()
    publisher = Publisher([node.url for node in nodes])
    assert await publisher.publish(CHANNEL, b"news") == 0
    assert await publisher.listeners(CHANNEL) == 0
    async with listening(*nodes) as heard:
        await asyncio.sleep(0.2)
        assert heard == []
    await publisher.close()
