"""Whoever comes back with a cursor goes on without gap and without double, whatever happened meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgflow.api.live import stream
from pgflow.config import Settings
from pgflow.db import partitions
from pgflow.runtime.feed import Feed
from pgflow.sdk.live import events as live
from tests.api.conftest import Api
from tests.api.live.conftest import opened, talking, watching
from tests.engine.crowd import Crowd, write
from tests.fixtures.database import Engine
from tests.fixtures.valkey import Valkeys, with_redis


@pytest.fixture
def root(engine: Engine) -> int:
    return engine.enqueue(name="orders.ship")[0]


def ids(events: list[dict[str, Any]]) -> list[int]:
    return [int(event["id"]) for event in events]


async def test_a_late_commit_is_skipped_by_nobody_who_comes_back(
    api: Api, engine: Engine, root: int, engines: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids are given out early and seen late. Four overlap, and commit in an order that is neither that of their ids
    nor of their transactions; before, between and after somebody watches, reads a page, and comes back."""
    monkeypatch.setattr(stream, "BEAT", 0.05)
    a, b, c, d = (engines().connection for _ in range(4))
    seen: list[int] = []
    paged: list[int] = []
    place = after = "0-0"

    async def look() -> None:
        """Whoever believes the ids now never sees what is committed below them."""
        nonlocal place, after
        async with watching(api, last=place) as answer:
            await answer.beat()
            seen.extend(ids(answer.waiting()))
            place = answer.place
        page = (await api.get("/api/v1/events", params={"after": after})).json
        paged.extend(ids(page["items"]))
        after = page["next"]

    for one in (a, b, c, d):
        one.execute("begin")
    c.execute("select pg_current_xact_id()")  # the oldest transaction writes last
    first, second = write(a, root), write(b, root, 2)
    await look()
    third, fourth = write(d, root), write(c, root)
    b.execute("commit")
    await look()
    alone = write(engine.connection, root)
    a.execute("commit")
    await look()
    d.execute("rollback")
    await look()
    assert seen == paged == [], "the oldest has not ended"
    c.execute("commit")
    expected = [*fourth, *first, *second, *alone]
    async with asyncio.timeout(60):
        while len(seen) < len(expected) or len(paged) < len(expected):
            await look()
    await look()
    assert seen == paged == expected
    assert not set(third) & set(seen)


async def test_a_stream_goes_on_across_partitions_also_when_old_ones_are_gone(
    api: Api, engine: Engine, root: int, database: Settings
) -> None:
    """Events lie where their run lies, so later ones may lie in an earlier partition."""
    written = write(engine.connection, root, 2)
    engine.query("select setval('pgflow.task_id_seq', 25000000)")
    engine.run(partitions.make())
    (later,) = engine.enqueue(name="orders.ship")
    assert engine.query("select count(distinct tableoid) from pgflow.task") == [(2,)]
    async with watching(api, after="0-0") as answer:
        for _ in range(3):
            written += write(engine.connection, later, 2) + write(engine.connection, root)
        came = ids(await answer.take(5))
        place = (await api.get("/api/v1/events", params={"after": "0-0", "limit": 5})).json["next"]
        came += ids(await answer.take(6))
        assert came == written
    async with watching(api, last=place) as answer:
        assert ids(await answer.take(6)) == written[5:]
    engine.settle(*engine.claim(1))  # the run whose partition goes
    async with await psycopg.AsyncConnection.connect(database.require_url(), autocommit=True) as owner:
        await partitions.drop(owner, database.schema_name, 0)
    fresh = write(engine.connection, later)
    kept = {id for (id,) in engine.query("select id from pgflow.event")}
    async with watching(api, last=place) as answer:
        assert ids(await answer.take(5)) == [id for id in written[5:] if id in kept] + fresh


WAYS = ["table", "redis", "redis killed", "redis frozen", "disconnected"]


@pytest.mark.parametrize("way", WAYS)
async def test_no_gap_and_no_double_whoever_comes_back_when(
    api: Api, api_settings: Settings, engine: Engine, root: int, way: str, valkeys: Valkeys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One stays, one comes back with Last-Event-ID all the time, one over a WebSocket; whatever breaks meanwhile."""
    monkeypatch.setattr(live, "SILENCE", 0.5)
    monkeypatch.setattr(live, "CROWD", 1)
    redis = valkeys(1) if way.startswith("redis") else []
    settings = with_redis(api_settings, *redis) if redis else api_settings
    feed = Feed(settings) if redis else None
    publishing = asyncio.create_task(feed.run()) if feed else None
    async with opened(api, settings) as served:
        crowd = Crowd(settings, root, 1.5, 8)
        last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        seen = [asyncio.create_task(one(served, last)) for one in (stays, comes_back, talks)]
        joined = asyncio.create_task(asyncio.to_thread(crowd.join))
        await asyncio.sleep(0.5)
        if way == "redis killed":
            redis[0].kill()
        elif way == "redis frozen":
            redis[0].freeze()
        elif way == "disconnected":
            while not engine.query(
                """select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and application_name like 'pgflow events%%'"""
            ):
                await asyncio.sleep(0.01)
        await joined
        crowd.committed.add(write(engine.connection, root)[0])
        last.set_result(max(crowd.committed))
        async with asyncio.timeout(60):
            for came in await asyncio.gather(*seen):
                assert sorted(came) == sorted(crowd.committed)
    if feed and publishing:
        feed.finish()
        await publishing


async def stays(api: Api, last: asyncio.Future[int]) -> list[int]:
    """For as long as it is let; a stream may end when the database is away."""
    came: list[int] = []
    place = "0-0"
    while not over(came, last):
        async with watching(api, last=place) as answer:
            while not over(came, last) and not answer.over.is_set():
                came += ids(answer.waiting())
                await asyncio.sleep(0.01)
        came += ids(answer.waiting())
        place = answer.place
    return came


async def comes_back(api: Api, last: asyncio.Future[int]) -> list[int]:
    came: list[int] = []
    place = "0-0"
    while not over(came, last):
        async with watching(api, last=place) as answer:
            await asyncio.sleep(0.1)
            came += ids(answer.waiting())
            place = answer.place
        came += ids(answer.waiting())
        place = answer.place
    return came


async def talks(api: Api, last: asyncio.Future[int]) -> list[int]:
    came: list[int] = []
    place = "0-0"
    while not over(came, last):
        async with talking(api) as talk:
            await talk.say(op="subscribe", id="a", after=place)
            for _ in range(5):
                try:
                    heard = await asyncio.wait_for(talk.hear("events"), 0.1)
                except TimeoutError:
                    break
                came += ids(heard["events"])
                place = heard["cursor"]
    return came


def over(came: list[int], last: asyncio.Future[int]) -> bool:
    return last.done() and last.result() in came
