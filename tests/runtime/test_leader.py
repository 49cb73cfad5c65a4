"""The leader: who leads, what it does when, and what holds it back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import pytest

from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.engine import events, reaping
from pgflow.engine import workers as workers_verbs
from pgflow.engine.leadership import Pulse
from pgflow.runtime import leader as leaders
from pgflow.runtime.housekeeping import Housekeeping
from pgflow.runtime.leader import Leader
from pgflow.runtime.reaper import Reaper
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.live.batch import channel
from tests.fixtures.database import Engine
from tests.fixtures.valkey import Valkey, with_redis
from tests.fixtures.workers import Workers, eventually, leading
from tests.runtime import apps
from tests.runtime.blocking import logged


async def test_one_of_two_leads_and_the_other_follows_it(database: Settings, engine: Engine) -> None:
    one, other = Leader(database), Leader(database)
    await one.tick()
    await other.tick()
    assert (one.term, other.term) == (1, None)
    await one.stop()
    async with asyncio.timeout(60):  # the server takes a moment to notice
        while other.term is None:
            await asyncio.sleep(0.01)
            await other.tick()
    assert other.term == 2
    assert engine.query("select term from pgflow.leader") == [(2,)]
    await other.stop()


async def test_a_leader_whose_connection_is_cut_leads_no_more(database: Settings, engine: Engine) -> None:
    one, other = Leader(database), Leader(database)
    await one.tick()
    engine.query("select pg_terminate_backend(backend_pid, 60000) from pgflow.leader")
    await other.tick()
    assert other.term == 2
    with contextlib.suppress(Exception):
        await one.tick()
    await one.tick()
    assert one.term is None, "it lost the lock with the connection"
    await one.stop()
    await other.stop()


async def test_a_timer_fires_at_its_instant_though_it_came_while_the_leader_slept(
    database: Settings, workers: Workers, client: AsyncClient
) -> None:
    async with leading(database), workers():
        await asyncio.sleep(0.9)  # until it has settled down to its long rest
        late = []
        for _ in range(5):
            begun = time.monotonic()
            await client.result(await client.enqueue(apps.noop.options(delay=0.2)), timeout=60)
            late.append(time.monotonic() - begun - 0.2)
    assert min(late) > -0.01, "nothing early"
    assert sorted(late)[2] < 2.5, "woken for it, not found by the tick of five seconds"


async def test_an_idle_system_asks_less_than_two_questions_a_second(
    database: Settings, workers: Workers, engine: Engine
) -> None:
    def statements() -> int:
        ((count,),) = engine.query(
            "select sum(calls)::bigint from pg_stat_statements s join pg_database d on d.oid = s.dbid"
            " where d.datname = current_database() and position('pg_stat_statements' in query) = 0"
        )
        return int(count)

    engine.connection.execute("create extension if not exists pg_stat_statements")
    async with leading(database), workers():
        await asyncio.sleep(2.0)
        end = time.monotonic() + 180
        asked = 2.0
        while asked >= 2.0 and time.monotonic() < end:  # the leader looks on while a transaction goes on anywhere
            begun, before = time.monotonic(), statements()
            await asyncio.sleep(6.0)
            asked = (statements() - before) / (time.monotonic() - begun)
    assert asked < 2.0


def pulse(now: float, *, real: float | None = None, expiry: float | None = None, started: float = 0.0) -> Pulse:
    real = now if real is None else real
    return Pulse(real_now=real, now=now, seq=1, due=None, expiry=expiry, server_started=started)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_the_reaper_waits_one_lease_after_the_server_started(database: Settings) -> None:
    clock = Clock()
    reaper = Reaper(database, clock)
    reaper.begin()
    assert reaper.may_reap_in(pulse(1000.0, started=999.0)) == 29.0
    assert reaper.may_reap_in(pulse(1000.0, started=900.0)) == 0.0


async def test_the_reaper_waits_one_lease_after_an_outage_it_saw(database: Settings) -> None:
    clock = Clock()
    reaper = Reaper(database, clock)
    reaper.begin()
    assert reaper.may_reap_in(pulse(1000.0)) == 0.0
    clock.now += 100
    reaper.begin()  # a second term: the connection was lost in between
    assert reaper.may_reap_in(pulse(1100.0)) == 30.0
    clock.now += 30
    assert reaper.may_reap_in(pulse(1130.0)) == 0.0


async def test_the_reaper_waits_one_lease_when_the_databases_clock_jumped(database: Settings) -> None:
    clock = Clock()
    reaper = Reaper(database, clock)
    reaper.begin()
    asked: list[str] = []

    async def run(call: Call[object]) -> object:
        asked.append(call.name)
        return []

    await reaper.look(run, pulse(1000.0, expiry=999.0))
    assert asked == ["worker/expire", "task/reap"]
    await reaper.look(run, pulse(1060.0, real=1060.0, expiry=999.0))
    assert asked == ["worker/expire", "task/reap"], "no lease may be taken on the word of a clock that jumped"
    clock.now += 31
    await reaper.look(run, pulse(1091.0, real=1091.0, expiry=999.0))
    assert len(asked) == 4


async def test_the_leader_reaps_a_silent_worker_and_its_tasks_run_again(
    database: Settings, engines: Callable[..., Engine]
) -> None:
    settings = database.model_copy(update={"lease": 1.0})
    dead, engine = engines(7), engines()
    dead.register(7, lease=1)
    (task,) = dead.enqueue()
    dead.claim()
    async with leading(settings):
        await eventually(lambda: engine.state(task) == "queued")
    assert engine.events(task) == ["task.started", "lease.expired"]
    assert engine.query("select closed_why from pgflow.worker") == [("lease expired",)]
    assert reaping.DEADLINE_GRACE > 0


async def test_a_lease_that_came_after_its_worker_was_closed_is_reaped_though_other_workers_are_well(
    database: Settings, engines: Callable[..., Engine]
) -> None:
    dead, engine = engines(7), engines()
    dead.register(7)
    engine.register(8, lease=3600)
    engine.run(workers_verbs.close([7], "executor died"))
    (task,) = dead.enqueue()
    dead.claim()  # the claim that was under way
    engine.query("update pgflow.worker set closed_at = now() - interval '3 hours' where id = 7 returning 1")
    leader = Leader(database)
    reaper = leader._reaper
    reaper.healthy_since = lambda _: -1e9  # type: ignore[method-assign]
    for _ in range(3):
        await leader.tick()
    assert engine.state(task) == "queued"
    await leader.stop()


async def test_old_history_is_dropped_whole_and_live_runs_stay(database: Settings, engine: Engine) -> None:
    settings = database.model_copy(update={"retention": 14 * 60.0})
    housekeeping = Housekeeping(settings)
    engine.enqueue(5)
    engine.settle(*engine.claim())
    await housekeeping.tick()
    engine.query("select setval('pgflow.task_id_seq', 10000000)")  # ids have moved past the first partition
    (alive,) = engine.enqueue(delay=10**6)
    engine.query("select setval('pgflow.task_id_seq', 20000000)")
    await housekeeping.tick()
    engine.query(
        "update pgflow.partition set idle_since = now() - interval '15 min' where idle_since is not null returning 1"
    )
    await housekeeping.tick()
    assert engine.query("select id from pgflow.task") == [(alive,)]
    assert engine.query("select count(*) from pgflow.outcome") == [(0,)]
    assert engine.query("select to_regclass('pgflow.task_0'), to_regclass('pgflow.event_0')") == [(None, None)]
    assert engine.query("select to_regclass('pgflow.task_1') is not null") == [(True,)]
    await housekeeping.stop()


async def test_new_ids_move_to_the_next_partition_with_time(database: Settings, engine: Engine) -> None:
    settings = database.model_copy(update={"retention": 14 * 60.0})
    housekeeping = Housekeeping(settings)
    engine.enqueue()
    await housekeeping.tick()
    engine.query("update pgflow.partition set first_used_at = now() - interval '61 s' where lower = 0 returning 1")
    await housekeeping.tick()
    (task,) = engine.enqueue()
    assert task == 10_000_000
    await housekeeping.stop()


async def test_housekeeping_that_breaks_is_told_of_and_begun_again_though_the_leader_leads_on(
    database: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "AGAIN", 0.01)
    entries = logged(monkeypatch, leaders)
    engine.enqueue()
    engine.connection.execute("alter table pgflow.partition rename to elsewhere")
    async with leading(database) as leader:
        await eventually(lambda: any(entry["log_level"] == "error" for entry in entries))
        engine.connection.execute("alter table pgflow.elsewhere rename to partition")
        await eventually(lambda: engine.query("select 1 from pgflow.partition where first_used_at is not null"))
        assert leader.term == 1
    (broken, *_) = (entry for entry in entries if entry["log_level"] == "error")
    assert broken["service"] == "housekeeping"
    assert "partition" in broken["error"]


@pytest.mark.usefixtures("patient")
async def test_a_feed_that_breaks_is_told_of_and_begun_again(
    database: Settings, engine: Engine, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "AGAIN", 0.01)
    entries = logged(monkeypatch, leaders)
    listener = valkey.client().pubsub(ignore_subscribe_messages=True)
    listener.subscribe(channel(database.schema_name, engine.run(events.identity())))
    engine.connection.execute("alter table pgflow.migration rename to elsewhere")
    async with leading(with_redis(database, valkey)):
        await eventually(lambda: any(entry.get("service") == "feed" for entry in entries))
        engine.connection.execute("alter table pgflow.elsewhere rename to migration")
        await eventually(lambda: listener.get_message(timeout=0))
    listener.close()
