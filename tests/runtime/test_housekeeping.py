"""Housekeeping: all that nobody will come for goes, however much it is, and nothing else does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from pgflow.config import Settings
from pgflow.db import partitions
from pgflow.db.link import Link
from pgflow.engine import upkeep
from pgflow.engine.children import Child, spawn
from pgflow.engine.enqueue import Request, Spec
from pgflow.runtime import housekeeping as module
from pgflow.runtime.housekeeping import Housekeeping
from tests.fixtures.database import Engine

WIDTH = 10_000_000


@pytest.fixture
async def housekeeping(database: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Housekeeping]:
    """In which a round clears away ten rows."""
    monkeypatch.setattr(upkeep, "SWEPT", 10)
    monkeypatch.setattr(module, "REST", 0.0)
    found = Housekeeping(database.model_copy(update={"retention": 14 * 60.0}))
    yield found
    await found.stop()


class Leftover(NamedTuple):
    """Rows that nobody will come for.

    Args:
        table: where they are.
        insert: what leaves them of the tasks that have ended.
    """

    table: str
    insert: str


LEFTOVERS = [
    Leftover("inbox", "insert into pgflow.inbox (task_id, root_id, arrived) select id, id, 1 from pgflow.task"),
    Leftover("idempotency", "insert into pgflow.idempotency (scope, key, task_id, root_id, request_hash)"
             " select 'noop', id::text, id, id, '' from pgflow.task"),
    Leftover("awaited", "insert into pgflow.awaited (task_id, root_id, step, name, since)"
             " select id, id, '$event:tick', 'tick', now() from pgflow.task"),
    Leftover("paused_run", "insert into pgflow.paused_run (root_id, since) select id, now() from pgflow.task"),
    Leftover("idle", "insert into pgflow.idle (queue, until, channel)"
             " select 'default', now() - interval '1 hour', 'c' from pgflow.task"),
]  # fmt: skip


@pytest.mark.parametrize("leftover", LEFTOVERS, ids=lambda leftover: leftover.table)
async def test_more_than_one_round_clears_is_cleared_in_one_go(
    housekeeping: Housekeeping, engine: Engine, leftover: Leftover
) -> None:
    engine.enqueue(35)
    engine.settle(*engine.claim())
    engine.connection.execute(leftover.insert)
    await housekeeping.tick()
    assert engine.query(f"select count(*) from pgflow.{leftover.table}") == [(0,)]


@pytest.mark.parametrize("known", [True, False], ids=["with its run", "without its run"])
async def test_an_inbox_stays_for_as_long_as_its_task_is_unfinished(
    housekeeping: Housekeeping, engine: Engine, known: bool
) -> None:
    """Of a run or a child, whether or not it is known yet of which run."""
    engine.enqueue(3)
    spec = Spec("noop")
    ended, live, parent = engine.claim()
    children = [Child(parent.task_id, parent.epoch, step, Request(spec, b"{}")) for step in ("ended", "live")]
    spawned = engine.run(spawn(children, 1))
    done = next(c for c in engine.claim() if c.task_id == spawned[parent.task_id, "ended"])
    engine.settle(ended, done)
    engine.connection.execute("delete from pgflow.inbox")
    engine.connection.execute(
        "insert into pgflow.inbox (task_id, root_id, arrived)"
        " select id, case when %s then root_id end, 1 from pgflow.task union all select 10000, null, 1",
        (known,),
    )
    await housekeeping.tick()
    left = {task for (task,) in engine.query("select task_id from pgflow.inbox")}
    assert left == {live.task_id, parent.task_id, spawned[parent.task_id, "live"]}


async def test_what_was_parked_too_late_goes_on_however_much_it_is(housekeeping: Housekeeping, engine: Engine) -> None:
    engine.enqueue(35)
    engine.connection.execute(
        "with taken as (delete from pgflow.ready returning *) insert into pgflow.parked"
        " select task_id, root_id, 'paused', now(), null, null, attempt, crashes from taken"
    )
    await housekeeping.tick()
    assert len(engine.claim()) == 35


async def test_what_tasks_told_of_themselves_goes_with_their_history_in_one_go(
    housekeeping: Housekeeping, engine: Engine
) -> None:
    engine.connection.execute(
        "insert into pgflow.progress (root_id, task_id, at) select n, n, now() from generate_series(1, 35) n"
    )
    engine.connection.execute("update pgflow.partition set lower = lower + 1000000 where lower = 0")
    await housekeeping.tick()
    assert engine.query("select count(*) from pgflow.progress") == [(0,)]


async def test_what_is_too_much_for_one_go_is_left_for_the_next(
    housekeeping: Housekeeping, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ROUNDS", 2)
    engine.enqueue(35)
    engine.settle(*engine.claim())
    engine.connection.execute(LEFTOVERS[0].insert)
    await housekeeping.tick()
    assert engine.query("select count(*) from pgflow.inbox") == [(15,)]
    await housekeeping.tick()
    assert engine.query("select count(*) from pgflow.inbox") == [(0,)]


def move_on(engine: Engine, to: int = 2 * WIDTH) -> None:
    """As if so many ids had been given out, and what has no live run had none for long."""
    engine.query("select setval('pgflow.task_id_seq', %s)", to)
    engine.run(upkeep.note_partitions())
    engine.query(
        "update pgflow.partition set idle_since = now() - interval '15 min' where idle_since is not null returning 1"
    )


async def test_a_key_is_free_when_the_history_of_its_run_is_dropped(housekeeping: Housekeeping, engine: Engine) -> None:
    old = [engine.enqueue(key=f"k{n}")[0] for n in range(25)]
    (held,) = engine.enqueue(key="held", hold=10**6)
    engine.settle(*engine.claim())
    move_on(engine, WIDTH)
    (live,) = engine.enqueue(key="live", delay=10**5)
    move_on(engine)
    await housekeeping._drop(engine.run(upkeep.partitions())[0])
    assert engine.query("select to_regclass('pgflow.outcome_0')") == [(None,)]
    assert engine.query("select key from pgflow.idempotency order by key") == [("held",), ("live",)]
    assert {engine.enqueue(key=f"k{n}")[0] for n in range(25)}.isdisjoint(old)
    assert engine.enqueue(key="held", hold=10**6) == [held]
    assert engine.enqueue(key="live", delay=10**5) == [live]


async def test_history_stays_until_its_keys_are_free(
    housekeeping: Housekeeping, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ROUNDS", 1)
    for n in range(15):
        engine.enqueue(key=f"k{n}")
    engine.settle(*engine.claim())
    move_on(engine, WIDTH)
    for left in (True, False):
        await housekeeping._drop(engine.run(upkeep.partitions())[0])
        assert engine.query("select to_regclass('pgflow.outcome_0') is not null") == [(left,)]
    assert engine.query("select count(*) from pgflow.idempotency") == [(0,)]


async def test_a_key_that_was_left_without_its_history_is_free(
    housekeeping: Housekeeping, engine: Engine, database: Settings
) -> None:
    (old,) = engine.enqueue(key="k")
    engine.settle(*engine.claim())
    move_on(engine, WIDTH)
    (live,) = engine.enqueue(key="live", delay=10**5)
    link = Link(database, "test", direct=True)
    await partitions.drop(await link.connection(), database.schema_name, 0)
    await link.close()
    engine.run(upkeep.forget_partition(0))
    assert engine.enqueue(key="k") == [old], "nobody can tell yet that it has ended"
    await housekeeping.tick()
    assert engine.enqueue(key="k") != [old]
    assert engine.enqueue(key="live", delay=10**5) == [live]


def test_a_partition_counts_as_idle_if_and_only_if_no_run_in_it_is_live(engine: Engine) -> None:
    engine.connection.execute("select pgflow.make_partitions(6)")
    alive = [3, WIDTH - 1, 2 * WIDTH, 2 * WIDTH + 7, 5 * WIDTH - 1]
    for root in alive:
        engine.query("select setval('pgflow.task_id_seq', %s, false)", root)
        assert engine.enqueue(delay=10**6) == [root]
    engine.query("select setval('pgflow.task_id_seq', %s)", 5 * WIDTH + 5)
    engine.run(upkeep.note_partitions())
    assert [p.idle is not None for p in engine.run(upkeep.partitions())][:6] == [False, True, False, True, False, False]
    engine.connection.execute("delete from pgflow.partition where lower = 0")
    engine.query("update pgflow.delayed set root_id = 3 returning 1")  # of a run whose partition is no more
    engine.run(upkeep.note_partitions())
    assert [p.idle is not None for p in engine.run(upkeep.partitions())][:4] == [True, True, True, True]
    engine.connection.execute("truncate pgflow.delayed, pgflow.task")
