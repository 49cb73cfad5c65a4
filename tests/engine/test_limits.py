"""Limits: never more than allowed, by what is really leased; fair turns; nothing lost, whatever dies."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from pgflow.config import Settings
from pgflow.db.link import Link
from pgflow.engine import control, limits, reaping, timers
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.engine.limits import Limit
from pgflow.errors import ArgumentError
from pgflow.model import Priority, State
from pgflow.runtime.ageing import Ageing
from pgflow.sdk.client import Client
from tests.fixtures.database import Engine


def limit(engine: Engine, **given: float) -> None:
    engine.run(limits.set_limit("default", Limit(**given)))  # type: ignore[arg-type]


def ask(engine: Engine, slots: str | list[str], count: int = 1, **rest: object) -> list[int]:
    """Enqueue `count` tasks for each of the slots."""
    spec = Spec("noop", priority=rest.pop("priority", Priority.NORMAL))  # type: ignore[arg-type]
    requests = [Request(spec, b"{}", slot=slot, **rest) for slot in slots for _ in range(count)]  # type: ignore[arg-type]
    return engine.run(enqueue(requests)).ids  # type: ignore[no-any-return]


def taken(engine: Engine) -> Counter[str]:
    """How many tasks of each slot are ready or leased."""
    return Counter(
        slot for (slot,) in engine.query(
            "select slot from pgflow.ready where slot is not null"
            " union all select slot from pgflow.lease where slot is not null"
        )
    )  # fmt: skip


def throttled(engine: Engine) -> int:
    ((count,),) = engine.query("select count(*) from pgflow.throttled")
    return count


def test_no_more_than_the_queue_allows_become_ready(engine: Engine) -> None:
    limit(engine, concurrency=3)
    engine.enqueue(10)
    assert (throttled(engine), sum(taken(engine).values())) == (7, 3)
    claimed = engine.claim()
    assert len(claimed) == 3
    assert engine.claim() == []
    engine.settle(claimed[0])
    assert len(engine.claim()) == 1, "what ends lets another in, in the same statement"


def test_each_slot_has_its_own_share(engine: Engine) -> None:
    limit(engine, slot_concurrency=2)
    ask(engine, "ab", 5)
    assert taken(engine) == {"a": 2, "b": 2}
    for claimed in engine.claim():
        engine.settle(claimed)
        assert max(taken(engine).values()) <= 2
    assert taken(engine) == {"a": 2, "b": 2}


def test_a_slot_is_kept_by_a_release_and_given_back_by_every_other_end(engine: Engine) -> None:
    limit(engine, concurrency=1)
    first, second, third, fourth, fifth, sixth = engine.enqueue(6)
    (one,) = engine.claim()
    engine.settle(one, state=State.QUEUED)
    (again,) = engine.claim()
    assert again.task_id == first, "released, it is still the one that was admitted"
    engine.settle(again, state=State.RETRYING, error=b'{"type": "E"}', delay=60.0)
    (two,) = engine.claim()
    assert two.task_id == second
    engine.settle(two, state=State.SLEEPING, delay=60.0)
    (three,) = engine.claim()
    engine.settle(three, state=State.WAITING, needed=1)
    (four,) = engine.claim()
    engine.settle(four, state=State.FAILED, error=b'{"type": "E"}')
    assert [c.task_id for c in engine.claim()] == [fifth]
    assert sorted(engine.run(control.cancel([fifth]))) == [fifth]
    assert [c.task_id for c in engine.claim()] == [sixth]
    assert (third, fourth) == (three.task_id, four.task_id)
    engine.run(control.cancel([first, second, third, sixth]))


def test_a_worker_death_keeps_the_slot_and_poison_gives_it_back(engine: Engine) -> None:
    limit(engine, concurrency=1)
    poison, other = engine.enqueue(2)
    for _ in range(3):
        assert [c.task_id for c in engine.claim()] == [poison]
        engine.run(reaping.reap([1], max_crashes=3))
    assert [c.task_id for c in engine.claim()] == [other]


def test_what_comes_back_from_a_timer_or_the_dead_waits_its_turn(engine: Engine) -> None:
    limit(engine, concurrency=1)
    busy, dead = engine.enqueue(2)
    (claimed,) = engine.claim()
    engine.run(control.cancel([dead]))
    (later,) = engine.enqueue(delay=5.0)
    engine.shift_clock(6)
    assert engine.run(timers.fire(10)) == 1
    engine.run(control.redrive([control.Located(dead, dead, True)]))
    assert (engine.state(later), engine.state(dead)) == ("throttled", "throttled")
    assert engine.run(limits.pending()) == ["default"]
    assert engine.run(limits.admit(["default"])) == 0
    engine.settle(claimed)
    assert busy == claimed.task_id
    assert len(engine.claim()) == 1


def test_a_crowd_of_one_slot_does_not_starve_three_of_another(engine: Engine) -> None:
    limit(engine, concurrency=10)
    ask(engine, "c", 2000)
    ask(engine, "t", 3)
    order: list[str] = []
    slot_of = dict(engine.query("select id, slot from pgflow.task"))
    while len(order) < 60:
        for claimed in sorted(engine.claim(), key=lambda row: row.epoch):
            order.append(slot_of[claimed.task_id])
            engine.settle(claimed)
    assert Counter(order[:20])["t"] == 3, "ten were in before them; then they take turns"


def test_slots_that_compete_get_equal_shares(engine: Engine) -> None:
    limit(engine, concurrency=4)
    for slot, count in (("a", 300), ("b", 100), ("c", 200), ("d", 150), ("e", 120)):
        ask(engine, slot, count)
    done: Counter[str] = Counter()
    slot_of = dict(engine.query("select id, slot from pgflow.task"))
    while sum(done.values()) < 400:
        for claimed in engine.claim():
            done[slot_of[claimed.task_id]] += 1
            engine.settle(claimed)
    assert max(done.values()) - min(done.values()) <= 5


def test_urgency_counts_within_a_slot(engine: Engine) -> None:
    limit(engine, slot_concurrency=1)
    ask(engine, "a", 3)
    (urgent,) = ask(engine, "a", priority=Priority.CRITICAL)
    engine.settle(*engine.claim())
    assert [c.task_id for c in engine.claim()] == [urgent]


def test_a_rate_lets_in_a_burst_and_then_one_after_the_other(engine: Engine) -> None:
    limit(engine, rate=0.02, burst=3)
    engine.enqueue(10)
    assert len(engine.claim()) == 3
    ((waits,),) = engine.query("select extract(epoch from open_at - pgflow.now())::float8 from pgflow.limit")
    assert 30 < waits <= 50
    assert engine.run(limits.pending()) == []
    engine.shift_clock(55)
    assert engine.run(limits.pending()) == ["default"]
    engine.run(limits.admit(["default"]))
    assert len(engine.claim()) == 1
    engine.shift_clock(205)
    engine.run(limits.admit(["default"]))
    assert len(engine.claim()) == 3, "what ran meanwhile saved no more than the rate gives"


def test_a_rate_per_slot(engine: Engine) -> None:
    limit(engine, slot_rate=0.01, slot_burst=2)
    ask(engine, "ab", 5)
    assert taken(engine) == {"a": 2, "b": 2}
    engine.shift_clock(110)
    assert engine.run(limits.pending()) == ["default"]
    assert engine.run(limits.admit(["default"])) == 2
    assert taken(engine) == {"a": 3, "b": 3}


def test_a_limit_set_later_holds_what_was_ready_and_counts_what_runs(engine: Engine, sync_client: Client) -> None:
    engine.enqueue(30)
    running = engine.claim(4)
    sync_client.limit_queue("default", Limit(concurrency=5))
    assert sum(taken(engine).values()) == 5
    assert throttled(engine) == 25
    engine.settle(*running)
    assert sum(taken(engine).values()) == 5
    sync_client.limit_queue("default", Limit(concurrency=12))
    assert sum(taken(engine).values()) == 12
    assert sync_client.limits()[0]["throttled"] == throttled(engine)
    assert sync_client.lift_limit("default") is True
    assert throttled(engine) == 0
    assert len(engine.claim()) == 26


def test_other_queues_are_not_touched(engine: Engine) -> None:
    limit(engine, concurrency=1)
    engine.enqueue(50, queue="free")
    assert len(engine.claim(queue="free")) == 50
    assert engine.query("select count(*) from pgflow.lease where slot is not null") == [(0,)]


def test_a_callers_own_transaction_holds_no_limit_and_its_tasks_are_admitted_by_the_leader(
    engines: Callable[..., Engine],
) -> None:
    caller, other = engines(), engines()
    limit(other, concurrency=10)
    with caller.connection.transaction():
        caller.run(enqueue([Request(Spec("noop"), b"{}")], own_transaction=False))
        other.enqueue(2)  # would wait if the caller held the limit's row
    assert throttled(other) == 1
    assert other.run(limits.pending()) == ["default"]
    assert other.run(limits.admit(["default"])) == 1


@pytest.mark.parametrize("committed", ["before the look", "after the look"])
def test_a_limit_that_is_lifted_leaves_the_leader_nothing_to_look_for(
    engines: Callable[..., Engine], committed: str
) -> None:
    caller, other = engines(), engines()
    limit(other, concurrency=1)
    with caller.connection.transaction():
        caller.run(enqueue([Request(Spec("noop"), b"{}", slot=slot) for slot in "ab"], own_transaction=False))
        assert other.run(limits.lift_limit("default"))
        if committed == "after the look":
            assert other.run(limits.admit(["default"])) == 0
    assert other.run(limits.pending()) == ["default"]
    assert other.run(limits.admit(["default"])) == 2
    assert other.run(limits.pending()) == []


def test_a_turn_that_was_noted_while_the_limit_was_lifted_is_forgotten(engine: Engine) -> None:
    limit(engine, slot_rate=1.0)
    ask(engine, "a", 2)
    noted = engine.query("select queue, slot, turn, waiting, open_at from pgflow.turn")
    assert engine.run(limits.lift_limit("default"))
    engine.connection.cursor().executemany(
        "insert into pgflow.turn (queue, slot, turn, waiting, open_at) values (%s, %s, %s, %s, %s)", noted
    )
    engine.shift_clock(5)
    assert engine.run(limits.pending()) == ["default"]
    assert engine.run(limits.admit(["default"])) == 1
    assert engine.run(limits.pending()) == []


def test_what_was_forgotten_is_found_again(engine: Engine) -> None:
    limit(engine, slot_concurrency=1)
    ask(engine, "ab", 2)
    engine.settle(*engine.claim())
    engine.query("update pgflow.turn set waiting = false, filled = true returning 1")
    engine.query("delete from pgflow.ready returning 1")
    engine.query(
        "delete from pgflow.task t where not exists (select from pgflow.place p where p.task_id = t.id) returning 1"
    )
    assert throttled(engine) == 0 or engine.run(limits.admit(["default"])) == 0
    queues = engine.run(limits.heal())
    engine.run(limits.admit(queues or ["default"]))
    assert throttled(engine) == 0


@pytest.mark.parametrize("bad", [{"concurrency": 0}, {"rate": -1.0}, {"burst": 0.5}, {"slot_rate": float("nan")}])
def test_nonsense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ArgumentError):
        Limit(**bad)  # type: ignore[arg-type]


async def test_what_waits_too_long_grows_more_urgent(engine: Engine, database: Settings) -> None:
    link, now = Link(database, "leader"), 1000.0
    ageing = Ageing(lambda: now)
    engine.run(control.age_queue("default", 60.0))
    (low,) = engine.enqueue(priority=Priority.LOW)

    async def look() -> int:
        ((seq,),) = engine.query("select last_value from pgflow.ready_seq_seq")
        return await ageing.look(link.run, seq)

    assert await look() == 0
    now += 30
    (late,) = engine.enqueue(priority=Priority.LOW)
    other = engine.enqueue(priority=Priority.LOW, queue="other")
    assert await look() == 0
    now += 31
    assert await look() == 1
    priorities = dict(engine.query("select task_id, priority::int from pgflow.ready"))
    assert priorities == {low: Priority.NORMAL, late: Priority.LOW, other[0]: Priority.LOW}
    for _ in range(5):
        now += 70
        await look()
    priorities = dict(engine.query("select task_id, priority::int from pgflow.ready"))
    assert priorities == {low: Priority.CRITICAL, late: Priority.CRITICAL, other[0]: Priority.LOW}
    await link.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twenty_workers_with_kills_and_zombies_never_pass_a_limit_and_lose_no_slot(  # noqa: C901, PLR0915 (one story)
    engines: Callable[..., Engine], seed: int
) -> None:
    """Workers claim, settle, retry, vanish and come back as zombies; an observer counts the leases all the while."""
    rng = random.Random(seed)
    observer = engines()
    observer.run(limits.set_limit("default", Limit(concurrency=12, slot_concurrency=2)))
    slots = [f"s{n}" for n in range(15)]
    for slot in slots:
        ask(observer, [slot], rng.randint(5, 25))
    ((total,),) = observer.query("select count(*) from pgflow.task")
    stop = threading.Event()
    errors: list[BaseException] = []
    most: Counter[str] = Counter()
    deaths = 0

    def work(number: int) -> None:
        nonlocal deaths
        mine, engine, generation = random.Random(seed * 100 + number), engines(), 0
        try:
            while not stop.is_set():
                worker = number * 1000 + generation
                claimed = engine.claim(mine.randint(1, 4), worker=worker)
                fate = mine.random()
                if claimed and fate < 0.15:  # dies, is reaped, and its ghost writes late
                    engine.run(reaping.reap([worker], max_crashes=10_000))
                    assert engine.settle(*claimed, worker=worker) == set()
                    generation += 1
                    deaths += 1
                elif claimed and fate < 0.3:
                    engine.settle(*claimed, worker=worker, state=State.RETRYING, error=b'{"type": "E"}', delay=0.0)
                    engine.run(timers.fire(10))
                    engine.run(limits.admit(engine.run(limits.pending())))
                elif claimed and fate < 0.4:
                    engine.settle(*claimed, worker=worker, state=State.QUEUED)
                elif claimed and fate < 0.45:
                    engine.run(control.cancel([claimed[0].task_id]))
                    engine.settle(*claimed[1:], worker=worker) if claimed[1:] else None
                elif claimed:
                    engine.settle(*claimed, worker=worker)
        except BaseException as error:  # noqa: BLE001 (told to the main thread)
            errors.append(error)

    end = time.monotonic() + 120
    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 21)]
    for thread in threads:
        thread.start()
    try:
        while time.monotonic() < end:
            leased = Counter(slot for (slot,) in observer.query("select slot from pgflow.lease"))
            most |= leased
            most["all"] = max(most["all"], sum(leased.values()))
            ((done,),) = observer.query("select count(*) from pgflow.outcome")
            if done == total or errors:
                break
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert errors == []
    assert observer.query("select count(*) from pgflow.outcome") == [(total,)], "all drained: no slot was lost"
    assert max(count for slot, count in most.items() if slot != "all") <= 2
    assert 0 < most["all"] <= 12
    assert taken(observer) == {}
    assert deaths > 10
