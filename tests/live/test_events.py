"""Every committed event reaches every watcher once and in order, whichever way it comes and whatever breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.db import connect, migrations
from pgflow.db.call import Session
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.engine.events import EVERYTHING, Cursor, Event, Filter, filter_of, summarize
from pgflow.errors import ArgumentError
from pgflow.redis import breaker
from pgflow.runtime.feed import Feed
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.live import events as live
from pgflow.sdk.live.batch import Batch, decode
from pgflow.sdk.live.events import Events
from pgflow.sdk.live.subscription import Resync, Subscription
from tests.engine.crowd import Crowd, write
from tests.fixtures.database import Engine
from tests.fixtures.valkey import Valkey, be_patient, with_redis
from tests.fixtures.workers import executing, leading
from tests.runtime import apps

SOON = 60.0


@pytest.fixture(autouse=True)
def fresh_breakers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "_breakers", {})


@pytest.fixture
def root(engine: Engine) -> int:
    return engine.enqueue()[0]


@asynccontextmanager
async def feeding(settings: Settings) -> AsyncIterator[Feed]:
    feed = Feed(settings)
    loop = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        feed.finish()
        await loop


async def take(subscription: Subscription, count: int) -> list[Event]:
    """So many events."""
    taken: list[Event] = []
    async with asyncio.timeout(SOON):
        while len(taken) < count:
            for event in await subscription.batch():
                assert isinstance(event, Event)
                taken.append(event)
    return taken


async def nothing_comes(subscription: Subscription) -> None:
    assert await subscription.batch(0.2) == []


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_is_written_from_now_on_comes(database: Settings, engine: Engine, root: int) -> None:
    write(engine.connection, root)
    await settled(database)
    async with Events(database) as events, await events.subscribe() as subscription:
        written = write(engine.connection, root, 3)
        assert [event.id for event in await take(subscription, 3)] == written
        written = write(engine.connection, root, 1)
        assert [event.id for event in await take(subscription, 1)] == written
        await nothing_comes(subscription)


async def settled(settings: Settings) -> None:
    """Wait until what is written is final: transactions elsewhere on the server may hold it back."""
    async with Events(settings) as events:
        subscription = await events.subscribe(after=Cursor())
        await take(subscription, 1)


async def test_what_was_missed_comes_first(database: Settings, engine: Engine, root: int) -> None:
    written = [write(engine.connection, root)[0] for _ in range(30)]
    async with Events(database) as events:
        first = await events.subscribe(after=Cursor())
        seen = await take(first, 30)
        assert [event.id for event in seen] == written
        second = await events.subscribe(after=seen[9].cursor)
        assert [event.id for event in await take(second, 20)] == written[10:]
        written += write(engine.connection, root, 2)
        for subscription in (first, second):
            assert [event.id for event in await take(subscription, 2)] == written[30:]


async def test_each_gets_what_it_asked_for(database: Settings, engine: Engine) -> None:
    async with Events(database) as events:
        mails = await events.subscribe(filter_of(workflows=["mail"]))
        ends = await events.subscribe(filter_of(types=["task.completed"]))
        mail, post = engine.enqueue(name="mail")[0], engine.enqueue(name="post")[0]
        one = await events.subscribe(filter_of(run=post), after=Cursor())
        engine.settle(*engine.claim())
        assert [(event.root_id, event.type) for event in await take(mails, 2)] == [
            (mail, "task.started"),
            (mail, "task.completed"),
        ]
        assert {event.root_id for event in await take(ends, 2)} == {mail, post}
        assert [event.type for event in await take(one, 2)] == ["task.started", "task.completed"]
        for subscription in (mails, ends, one):
            await nothing_comes(subscription)


async def test_an_event_is_the_same_whichever_way_it_came(
    database: Settings, engine: Engine, valkey: Valkey, patient: None
) -> None:
    settings = with_redis(database, valkey)
    async with Events(settings) as events, Events(database) as direct, feeding(settings):
        published, read = await events.subscribe(), await direct.subscribe()
        await until(lambda: events._heard_at > 0)
        engine.enqueue(name="mail", delay=60.0)
        assert await take(published, 1) == await take(read, 1)


def test_a_batch_is_encoded_and_read(engine: Engine) -> None:
    batch = Batch(Cursor(1, 2), Cursor(3, 4), [])
    assert decode(batch.encode()) == batch
    for noise in (b"", b"[]", b'["1-1", "2-2", [[1]]]', b'["x", "2-2", []]'):
        with pytest.raises(ValueError, match="not a batch"):
            decode(noise)


WAYS = ["table", "redis", "killed", "frozen", "flushed", "feed lost", "two feeds", "noise", "disconnected"]


@pytest.mark.parametrize("way", WAYS)
async def test_no_gap_and_no_double_whatever_happens(
    database: Settings, engine: Engine, root: int, valkey: Valkey, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some watch from the beginning, some begin midway, some from a cursor, some reconnect all the time."""
    monkeypatch.setattr(live, "SILENCE", 0.6)
    monkeypatch.setattr(live, "CROWD", 1)  # whoever comes may come between any two who are told
    if way != "frozen":
        be_patient(monkeypatch)
    settings = database if way in {"table", "disconnected"} else with_redis(database, valkey)
    async with Events(settings) as events:
        first = await events.subscribe(after=Cursor())
        crowd = Crowd(database, root, 3.0, 8)
        collected = [asyncio.create_task(collect(first))]
        async with feeding(settings) as feed:
            collected.append(asyncio.create_task(collect(await events.subscribe(after=Cursor()))))
            collected.append(asyncio.create_task(reconnect(events)))
            await asyncio.sleep(1.0)
            collected.append(asyncio.create_task(collect(await events.subscribe(filter_of(run=root), after=Cursor()))))
            if way == "killed":
                valkey.kill()
            elif way == "frozen":
                valkey.freeze()
            elif way == "flushed":
                with valkey.client() as client:
                    client.client_kill_filter(_type="pubsub")
            elif way == "feed lost":
                feed.finish()
            elif way == "two feeds":
                second = asyncio.create_task(second_feed(settings))
            elif way == "noise":
                with valkey.client() as client:
                    await until(client.pubsub_channels)
                    (channel,) = client.pubsub_channels()
                    client.publish(channel, "noise")
                    client.publish(channel, Batch(Cursor(1, 0), Cursor(2, 0), []).encode())
            elif way == "disconnected":
                await until(lambda: cut(engine))
            await asyncio.to_thread(crowd.join)
            if way == "redis":
                await until(lambda: events._heard_at > 0)
            last = write(engine.connection, root)[0]
            crowd.committed.add(last)
            monkeypatch.setattr(Watch, "last", last)
            async with asyncio.timeout(SOON):
                seen = await asyncio.gather(*collected)
        if way == "two feeds":
            await second
    for watch in seen:
        assert watch == sorted(watch)
        assert len(set(watch)) == len(watch)
        assert {cursor.id for cursor in watch} == crowd.committed


class Watch:
    last = -1
    """The id of the last event that will be written."""


async def collect(subscription: Subscription) -> list[Cursor]:
    seen: list[Cursor] = []
    while True:
        assert not subscription.closed
        for event in await subscription.batch(0.1):
            assert isinstance(event, Event)
            seen.append(event.cursor)
        if seen and seen[-1].id == Watch.last:
            return seen


async def reconnect(events: Events) -> list[Cursor]:
    """Go on from the last cursor with a new subscription, again and again."""
    seen: list[Cursor] = []
    while not (seen and seen[-1].id == Watch.last):
        async with await events.subscribe(after=seen[-1] if seen else Cursor()) as subscription:
            for _ in range(3):
                for event in await subscription.batch(0.05):
                    assert isinstance(event, Event)
                    seen.append(event.cursor)
    return seen


async def second_feed(settings: Settings) -> None:
    async with feeding(settings):
        await asyncio.sleep(2.0)


def cut(engine: Engine) -> list[tuple[Any, ...]]:
    """End every connection that follows events, if there is any."""
    return engine.query(
        """select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name like 'pgflow events%%'"""
    )


async def test_a_slow_watcher_is_dropped_and_goes_on_later(database: Settings, engine: Engine, root: int) -> None:
    async with Events(database, buffer=10) as events:
        slow, quick = await events.subscribe(), await events.subscribe()
        written = write(engine.connection, root, 8)
        assert [event.id for event in await take(quick, 8)] == written
        assert [event.id for event in await take(slow, 8)] == written
        written += write(engine.connection, root, 8)
        assert [event.id for event in await take(quick, 8)] == written[8:]
        written += write(engine.connection, root, 3)
        assert [event.id for event in await take(quick, 3)] == written[16:]
        got = await slow.batch(SOON)
        assert isinstance(got[-1], Resync)
        assert slow.closed
        assert events.watchers == 1
        again = await events.subscribe(after=got[-1].cursor)
        assert [event.id for event in await take(again, 11)] == written[8:]


async def test_iterating_ends_with_the_marker(database: Settings, engine: Engine, root: int) -> None:
    async with Events(database, buffer=2) as events:
        subscription = await events.subscribe()
        write(engine.connection, root, 5)
        seen = [event async for event in subscription]
        assert [type(event) for event in seen] == [Resync]


async def test_nobody_watching_costs_nothing(
    database: Settings, engine: Engine, root: int, valkey: Valkey, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LINGER", 0.1)
    settings = with_redis(database, valkey)
    async with Events(settings) as events:
        subscription = await events.subscribe()
        write(engine.connection, root)
        await take(subscription, 1)
        with valkey.client() as client:
            await until(client.pubsub_channels)
            subscription.close()
            await until(lambda: not client.pubsub_channels())
        await until(lambda: not engine.query("select from pgflow.idle where until > clock_timestamp()"))
        again = await events.subscribe()
        written = write(engine.connection, root)
        assert [event.id for event in await take(again, 1)] == written


async def test_the_feed_reads_nothing_while_nobody_listens(
    database: Settings, engine: Engine, root: int, valkey: Valkey
) -> None:
    feed = Feed(with_redis(database, valkey))
    write(engine.connection, root)
    for _ in range(3):
        assert await feed.tick() == 1.0
    assert engine.query("select from pgflow.idle") == []
    await feed.stop()


async def test_the_leader_feeds_whoever_watches(
    database: Settings, client: AsyncClient, valkey: Valkey, patient: None
) -> None:
    settings = with_redis(database, valkey)
    async with leading(settings), executing(settings, apps.app.tasks), Events(settings) as events:
        subscription = await events.subscribe(filter_of(workflows=["add"]))
        await until(lambda: events._heard_at > 0)
        handle = await client.enqueue(apps.add, 1, 2)
        seen = await take(subscription, 2)
        assert [(event.root_id, event.type) for event in seen] == [
            (handle.id, "task.started"),
            (handle.id, "task.completed"),
        ]


async def test_another_engine_in_the_same_database_is_another(
    database: Settings, engine: Engine, root: int, valkey: Valkey, patient: None
) -> None:
    shop = with_redis(database, valkey).model_copy(update={"schema_name": "shop"})
    migrations.migrate(shop)
    async with feeding(shop), feeding(with_redis(database, valkey)), Events(shop) as events:
        subscription = await events.subscribe()
        await until(lambda: events._heard_at > 0)
        write(engine.connection, root)
        with connect.open_sync(shop, "test") as connection:
            request = Request(Spec("mail"), b"{}", delay=60.0)
            (scheduled,) = Session(connection, "shop").run(enqueue([request])).ids
            assert Session(connection, "shop").run(summarize()) >= 0
        assert [(event.root_id, event.name) for event in await take(subscription, 1)] == [(scheduled, "mail")]
        with valkey.client() as client:
            channels = client.pubsub_channels()
    assert [channel.split(":")[0] for channel in channels] == ["shop"]


async def test_watchers_are_told_of_the_end(database: Settings) -> None:
    events = Events(database)
    subscription = await events.subscribe()
    waiting = asyncio.create_task(subscription.batch())
    await asyncio.sleep(0.05)
    await events.close()
    assert await waiting == []
    assert [event async for event in subscription] == []


async def test_an_old_transaction_holds_back_and_then_all_comes_without_another_event(
    database: Settings, engine: Engine, root: int, engines: Callable[..., Engine]
) -> None:
    other = engines()
    settings = database.model_copy(update={"safety_poll": 600.0})
    async with Events(settings) as events, await events.subscribe() as subscription:
        with other.connection.transaction():
            (first,) = write(other.connection, root)
            rest = [write(engine.connection, root)[0] for _ in range(5)]
            await nothing_comes(subscription)
        assert [event.id for event in await take(subscription, 6)] == [first, *rest]


async def test_what_was_published_twice_is_handed_on_once(database: Settings, engine: Engine, root: int) -> None:
    """Two leaders may publish at once, each from where it stands."""
    async with Events(database) as events, await events.subscribe(after=Cursor()) as subscription:
        written = write(engine.connection, root, 3)
        known = await take(subscription, 3)
        assert events._follower is not None
        events._follower.cancel()  # what is published is handed over here instead
        await asyncio.gather(events._follower, return_exceptions=True)
        at = events._cursor = subscription.position
        later = [replace(known[-1], xid=at.xid + 1, id=known[-1].id + number) for number in (1, 2)]
        await events._take(Batch(Cursor(), later[-1].cursor, [*known, *later]))
        assert [event.id for event in await take(subscription, 2)] == [event.id for event in later]
        assert [event.id for event in known] == written


async def test_a_resting_watcher_sends_no_statement_but_the_safety_poll(
    database: Settings, engine: Engine, root: int
) -> None:
    async with Events(database) as events, await events.subscribe() as subscription:
        write(engine.connection, root)
        await take(subscription, 1)
        await until(lambda: engine.query("select from pgflow.idle where until > clock_timestamp()"))
        query = """select state_change from pg_stat_activity where application_name like 'pgflow events %%:%%'
                      and datname = current_database() and query like '%%events_after%%'"""
        before: list[tuple[Any, ...]] = []
        async with asyncio.timeout(SOON):  # until it has settled down
            while (found := engine.query(query)) != before or not found:
                before = found
                await asyncio.sleep(0.5)
        assert len(before) == 1


@pytest.mark.parametrize("asked", [EVERYTHING, Filter(run=1), filter_of(types=["task.*"])])
async def test_a_cursor_of_another_database_is_refused_at_once(database: Settings, asked: Filter) -> None:
    async with Events(database) as events:
        subscription = await events.subscribe(asked, after=Cursor(10**15, 1))
        with pytest.raises(ArgumentError, match="ahead of this database"):
            await subscription.batch()
