from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pgflow.model import Priority
from tests.fixtures.database import Engine


def test_a_claim_never_returns_more_than_its_limit(engine: Engine) -> None:
    engine.enqueue(30, priority=Priority.HIGH)
    engine.enqueue(30, priority=Priority.LOW)
    assert len(engine.claim(40)) == 40
    assert engine.query("select count(*) from pgflow.lease") == [(40,)], "nor may more be leased than returned"
    assert len(engine.claim(40)) == 20


def test_urgent_tasks_come_first_and_old_ones_before_new(engine: Engine) -> None:
    low, normal, critical = (engine.enqueue(2, priority=p) for p in (Priority.LOW, Priority.NORMAL, Priority.CRITICAL))
    claimed = sorted(engine.claim(5), key=lambda row: (row.priority, row.epoch))
    assert [row.task_id for row in claimed] == [*critical, *normal, low[0]]


def test_other_queues_are_left_alone(engine: Engine) -> None:
    engine.enqueue(queue="other")
    assert engine.claim() == []


def test_concurrent_claims_are_disjoint_and_complete(engines: Callable[..., Engine]) -> None:
    ids = engines().enqueue(400)
    workers = [engines(worker) for worker in range(1, 5)]

    def drain(engine: Engine) -> list[int]:
        got: list[int] = []
        while claimed := engine.claim(7):
            got += [row.task_id for row in claimed]
        return got

    with ThreadPoolExecutor(4) as threads:
        claimed = [id for got in threads.map(drain, workers) for id in got]
    assert sorted(claimed) == sorted(ids)


def test_a_claim_waits_for_nobody(engines: Callable[..., Engine]) -> None:
    one, other = engines(1), engines(2)
    one.enqueue(2)
    one.connection.autocommit = False
    held = one.claim(1)
    got = other.claim(5)
    assert len(got) == 1
    assert got[0].task_id != held[0].task_id
    one.connection.rollback()
    assert [row.task_id for row in other.claim(5)] == [held[0].task_id]


def test_what_lies_below_the_floor_is_not_claimed(engine: Engine) -> None:
    engine.enqueue(3)
    ((second,),) = engine.query("select seq from pgflow.ready order by seq offset 1 limit 1")
    assert len(engine.claim(floor=second)) == 2


def test_a_bulky_input_does_not_travel_with_the_batch(engine: Engine) -> None:
    engine.enqueue(input=b'{"x": "%s"}' % (b"x" * 100_000))
    engine.enqueue(input=b'{"x": 1}')
    big, small = sorted(engine.claim(), key=lambda row: row.task_id)
    assert big.input is None
    assert small.input == {"x": 1}


def test_the_started_event_names_attempt_and_worker(engine: Engine) -> None:
    (id,) = engine.enqueue()
    engine.claim()
    assert engine.query("select type::text, attempt, worker_id from pgflow.event where task_id = %s", id) == [
        ("task.started", 1, 1)
    ]
