"""What the guide says a Redis user needs is enough, and no more than that."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest
import redis

from pgflow.config import Settings
from pgflow.redis import breaker
from pgflow.redis.guard import KeyGuard
from pgflow.redis.pubsub import Listener, Publisher
from tests.fixtures.valkey import Valkey

GUIDE = Path(__file__).parents[2] / "docs" / "redis.md"


@pytest.fixture
def url(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> str:
    """As the user whom the guide makes."""
    monkeypatch.setattr(breaker, "_breakers", {})
    found = re.search(r"^ACL SETUSER .*$", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert found is not None
    with valkey.client() as client:
        client.execute_command(*shlex.split(found[0]))
    return re.sub(r"//:[^@]*@", "//pgflow:password@", valkey.url)


async def test_a_user_of_the_guide_may_lock_publish_and_listen(url: str, valkey: Valkey, patient: None) -> None:
    guard = KeyGuard(Settings(redis_url=[url]))
    with guard.held("mail", "k"), valkey.client() as client:
        assert len(client.keys("pgflow:*")) == 1
    with valkey.client() as client:
        assert client.keys() == []
    guard.close()

    heard: list[bytes] = []
    listening = asyncio.create_task(Listener([url], "pgflow:events:x", heard.append).run())
    publisher = Publisher([url])
    async with asyncio.timeout(60):
        while not await publisher.listeners("pgflow:events:x"):
            await asyncio.sleep(0.01)
        assert await publisher.publish("pgflow:events:x", b"news") == 1
        while not heard:
            await asyncio.sleep(0.01)
    assert heard == [b"news"]
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await publisher.close()


def test_and_nothing_else(url: str) -> None:
    with redis.Redis.from_url(url, protocol=2, driver_info=None) as client:
        for command in (
            ("GET", "other"),
            ("FLUSHALL",),
            ("KEYS", "*"),
            ("CONFIG", "GET", "*"),
            ("PUBLISH", "other", ""),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
