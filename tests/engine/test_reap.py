from __future__ import annotations

from collections.abc import Callable

import pytest

from pgflow.engine import reaping, workers
from pgflow.model import State
from tests.engine.test_inbox import child_of, suspend
from tests.fixtures.database import Engine

MAX_CRASHES = 3


def reap(engine: Engine, *ids: int) -> list[reaping.Reaped]:
    return engine.run(reaping.reap(ids, max_crashes=MAX_CRASHES))  # type: ignore[no-any-return]


def test_a_workers_lease_covers_all_it_holds_and_ends_at_once_for_all(engine: Engine) -> None:
    engine.register(1, lease=30)
    ids = engine.enqueue(3)
    engine.claim()
    assert engine.run(workers.expire()) == []
    engine.shift_clock(31)
    assert engine.run(workers.expire()) == [1]
    assert sorted(lease.task_id for lease in reap(engine, 1)) == ids
    assert {engine.state(task) for task in ids} == {"queued"}
    assert engine.events(ids[0]) == ["task.started", "lease.expired"]


def test_a_reaped_task_is_one_attempt_and_one_crash_further(engine: Engine) -> None:
    engine.enqueue()
    engine.claim()
    reap(engine, 1)
    (claimed,) = engine.claim(worker=2)
    assert (claimed.attempt, claimed.crashes) == (2, 2)


def test_a_zombies_late_writes_are_refused(engine: Engine) -> None:
    (task,) = engine.enqueue()
    (zombie,) = engine.claim()
    reap(engine, 1)
    (claimed,) = engine.claim(worker=2)
    assert engine.settle(zombie, output=b'"zombie"') == set()
    assert engine.settle(claimed, worker=2, output=b'"owner"') == {task}
    assert engine.query("select output from pgflow.outcome") == [("owner",)]


def test_an_expired_worker_that_nobody_reaped_may_renew_and_a_reaped_one_may_not(engine: Engine) -> None:
    engine.register(1, lease=30)
    engine.register(2, lease=30)
    engine.shift_clock(31)
    assert engine.run(workers.beat([workers.Pulse(1, 0, {})], 30)).renewed == {1}
    assert engine.run(workers.expire()) == [2]
    assert engine.run(workers.beat([workers.Pulse(2, 0, {})], 30)).renewed == frozenset()


def test_a_claim_that_was_under_way_when_its_worker_was_closed_is_reaped_too(engine: Engine) -> None:
    engine.register(1, lease=30)
    engine.shift_clock(31)
    engine.run(workers.expire())
    (task,) = engine.enqueue()
    engine.claim()
    closed = engine.run(workers.expire())
    assert [lease.task_id for lease in reap(engine, *closed)] == [task]


def test_the_third_worker_death_is_the_last(engine: Engine) -> None:
    (task,) = engine.enqueue()
    for _ in range(MAX_CRASHES):
        engine.claim()
        reaped = reap(engine, 1)
    assert reaped[0].poisoned
    assert engine.state(task) == "failed"
    ((error,),) = engine.query("select error from pgflow.outcome")
    assert error["reason"] == "poisoned"
    assert "3 times" in error["message"]


def test_an_orderly_end_takes_the_crash_back(engine: Engine) -> None:
    engine.enqueue()
    for _ in range(MAX_CRASHES * 2):
        engine.settle(*engine.claim(), state=State.QUEUED)
    (claimed,) = engine.claim()
    assert claimed.crashes == 1


def test_a_poisoned_child_wakes_its_parent(engine: Engine) -> None:
    (parent,) = engine.enqueue()
    (claimed,) = engine.claim()
    child_of(engine, parent)
    engine.run(suspend(claimed, 1))
    for _ in range(MAX_CRASHES):
        engine.claim(worker=2)
        reap(engine, 2)
    assert engine.state(parent) == "queued"


def test_a_lease_past_its_deadline_is_reaped_though_its_worker_lives(engine: Engine) -> None:
    engine.register(1, lease=3600)
    slow, other = engine.enqueue(timeout=10.0)[0], engine.enqueue()[0]
    engine.claim()
    engine.shift_clock(12)
    assert reap(engine) == [], "its own worker has a moment to end it in order"
    engine.shift_clock(40)
    assert [lease.task_id for lease in reap(engine)] == [slow]
    assert engine.state(other) == "running"


def test_what_is_known_of_a_dead_workers_tasks_says_nothing_of_another_workers(engine: Engine) -> None:
    slow = engine.enqueue(timeout=10.0)[0]
    engine.claim(worker=2)
    ran, fetched = engine.enqueue(2)
    engine.claim(worker=1)
    engine.shift_clock(60)
    engine.run(reaping.reap([1], max_crashes=MAX_CRASHES, blamed=[ran]))
    again = {claimed.task_id: (claimed.attempt, claimed.crashes) for claimed in engine.claim(worker=3)}
    assert again == {slow: (2, 2), ran: (2, 2), fetched: (1, 1)}


def test_a_row_that_somebody_holds_does_not_hold_up_the_sweep(engines: Callable[..., Engine]) -> None:
    one, other = engines(), engines()
    one.enqueue(3)
    claimed = one.claim()
    with one.connection.transaction(force_rollback=True):
        one.settle(claimed[0])
        assert len(reap(other, 1)) == 2
    assert len(reap(other, 1)) == 1


def test_never_more_than_the_limit(engine: Engine) -> None:
    engine.enqueue(10)
    engine.claim()
    assert len(engine.run(reaping.reap([1], max_crashes=3, limit=4))) == 4


@pytest.mark.parametrize("settled_first", [True, False])
def test_either_the_reaper_or_the_worker_has_its_way(engines: Callable[..., Engine], settled_first: bool) -> None:
    worker, reaper = engines(), engines()
    (task,) = worker.enqueue()
    (claimed,) = worker.claim()
    if settled_first:
        assert worker.settle(claimed) == {task}
        assert reap(reaper, 1) == []
    else:
        assert len(reap(reaper, 1)) == 1
        assert worker.settle(claimed) == set()


def test_a_mixed_batch_with_a_lost_lease_settles_the_rest(engine: Engine) -> None:
    engine.enqueue(3)
    claimed = engine.claim()
    engine.query("delete from pgflow.lease where task_id = %s returning 1", claimed[0].task_id)
    settled = engine.settle(*claimed)
    assert settled == {claimed[1].task_id, claimed[2].task_id}
    engine.query(
        "insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)"
        " values ('default', 2, %s, %s, 1, 0) returning 1", claimed[0].task_id, claimed[0].task_id
    )  # fmt: skip
