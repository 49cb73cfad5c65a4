"""The inbox: suspensions and arrivals in every order, forced with two connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pgflow.db.call import Call
from pgflow.engine import inbox, leases, timers
from pgflow.model import Claimed, Settlement, State
from tests.fixtures.database import Engine


def child_of(engine: Engine, parent: int, count: int = 1) -> list[int]:
    """Ready children of a run; the engine has no verb for them yet, its statements have."""
    rows = engine.query(
        "insert into pgflow.task (root_id, parent_id, name, queue, priority, input, created_at)"
        " select %s, %s, 'child', 'default', 2, '{}', now() from generate_series(1, %s) returning id",
        parent, parent, count,
    )  # fmt: skip
    ids = [row[0] for row in rows]
    engine.query(
        "insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)"
        " select 'default', 2, unnest(%s::bigint[]), %s, 1, 0 returning 1", ids, parent
    )  # fmt: skip
    return ids


def signal(task_id: int) -> Call[Any]:
    return inbox.arrive([task_id])


def suspend(claimed: Claimed, needed: int, delay: float | None = None) -> Call[Any]:
    return leases.settle([Settlement(claimed.task_id, claimed.epoch, State.WAITING, needed=needed, delay=delay)], 1)


def complete(claimed: Claimed) -> Call[Any]:
    return leases.settle([Settlement(claimed.task_id, claimed.epoch, State.COMPLETED)], 1)


@contextmanager
def held(engine: Engine) -> Iterator[None]:
    """What the engine does inside stays uncommitted until the end of the block."""
    with engine.connection.transaction():
        yield


@contextmanager
def beside(engine: Engine, call: Call[Any]) -> Iterator[None]:
    """Run the call on another thread while the block runs, once it is blocked or done; wait for it at the end."""
    thread = threading.Thread(target=engine.run, args=(call,))
    pid = engine.connection.info.backend_pid
    thread.start()
    with engine.connection.connect(engine.connection.info.dsn, password=engine.connection.info.password,
                                   autocommit=True) as watcher:  # fmt: skip
        for _ in range(500):
            row = watcher.execute("select wait_event_type from pg_stat_activity where pid = %s", (pid,)).fetchone()
            if not thread.is_alive() or (row and row[0] == "Lock"):
                break
            time.sleep(0.002)
    yield
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture
def parent(engine: Engine) -> Claimed:
    (id,) = engine.enqueue(name="parent")
    (claimed,) = engine.claim()
    assert claimed.task_id == id
    return claimed


def ready(engine: Engine, task_id: int) -> int:
    """How many times the task stands in ready."""
    ((count,),) = engine.query("select count(*) from pgflow.ready where task_id = %s", task_id)
    return count


def finish(engine: Engine) -> None:
    while claimed := engine.claim():
        engine.settle(*claimed)


@pytest.mark.parametrize("what", ["child", "signal"])
@pytest.mark.parametrize("order", ["arrival first", "suspension first"])
def test_one_after_the_other(engine: Engine, parent: Claimed, what: str, order: str) -> None:
    arrival = signal(parent.task_id)
    if what == "child":
        child_of(engine, parent.task_id)
        arrival = complete(engine.claim()[0])
    calls = [arrival, suspend(parent, 1)]
    for call in calls if order == "arrival first" else calls[::-1]:
        assert ready(engine, parent.task_id) == 0
        engine.run(call)
    assert ready(engine, parent.task_id) == 1
    assert engine.state(parent.task_id) == "queued"
    finish(engine)


@pytest.mark.parametrize("what", ["child", "signal"])
@pytest.mark.parametrize("first", ["arrival", "suspension"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_the_second_meets_the_first_uncommitted(
    engines: Callable[..., Engine], engine: Engine, parent: Claimed, what: str, first: str, end: str
) -> None:
    one, other = engines(), engines()
    arrival = signal(parent.task_id)
    child = None
    if what == "child":
        child_of(engine, parent.task_id)
        (child,) = engine.claim()
        arrival = complete(child)
    calls = [arrival, suspend(parent, 1)]
    early, late = calls if first == "arrival" else calls[::-1]
    with one.connection.transaction(force_rollback=end == "rollback"):
        one.run(early)
        waiting = beside(other, late)
        waiting.__enter__()
        assert ready(engine, parent.task_id) == 0
    waiting.__exit__(None, None, None)
    if end == "rollback":
        assert ready(engine, parent.task_id) == 0
        engine.run(early)
    assert ready(engine, parent.task_id) == 1, "no wake-up is lost and none doubled"
    finish(engine)


def test_a_wake_up_needs_as_many_arrivals_as_were_asked_for(engine: Engine, parent: Claimed) -> None:
    child_of(engine, parent.task_id, 3)
    one, two, three = engine.claim()
    engine.run(complete(one))
    engine.run(suspend(parent, 3))
    engine.run(complete(two))
    assert engine.state(parent.task_id) == "waiting"
    engine.run(complete(three))
    assert ready(engine, parent.task_id) == 1
    engine.run(signal(parent.task_id))
    assert ready(engine, parent.task_id) == 1, "arrivals beyond the crossing wake nobody"
    finish(engine)


def test_a_second_suspension_counts_all_arrivals_there_ever_were(engine: Engine, parent: Claimed) -> None:
    engine.run(signal(parent.task_id))
    engine.run(suspend(parent, 1))
    (again,) = engine.claim()
    assert (again.attempt, again.crashes) == (1, 1), "a suspension is no retry"
    engine.run(suspend(again, 2))
    assert engine.state(parent.task_id) == "waiting"
    engine.run(signal(parent.task_id))
    assert ready(engine, parent.task_id) == 1
    finish(engine)


def test_children_of_one_batch_and_their_parents_suspension_in_the_same_statement(
    engine: Engine, parent: Claimed
) -> None:
    child_of(engine, parent.task_id, 5)
    children = engine.claim()
    batch = [Settlement(c.task_id, c.epoch, State.COMPLETED) for c in children]
    batch.insert(2, Settlement(parent.task_id, parent.epoch, State.WAITING, needed=5))
    assert engine.run(leases.settle(batch, 1)) is None
    assert ready(engine, parent.task_id) == 1
    finish(engine)


def test_a_time_out_wakes_once_and_a_late_arrival_not_again(engine: Engine, parent: Claimed) -> None:
    engine.run(suspend(parent, 1, delay=1000.0))
    assert engine.run(timers.time_out(10)) == 0, "nothing fires early"
    engine.shift_clock(1001)
    assert engine.run(timers.time_out(10)) == 1
    engine.run(signal(parent.task_id))
    assert ready(engine, parent.task_id) == 1
    assert "timer.fired" in engine.events(parent.task_id)
    finish(engine)


def test_an_arrival_in_time_cancels_the_time_out(engine: Engine, parent: Claimed) -> None:
    engine.run(suspend(parent, 1, delay=1000.0))
    engine.run(signal(parent.task_id))
    engine.shift_clock(1001)
    assert engine.run(timers.time_out(10)) == 0
    assert ready(engine, parent.task_id) == 1
    finish(engine)


@pytest.mark.parametrize("first", ["arrival", "time-out"])
def test_a_time_out_and_an_arrival_at_once(
    engines: Callable[..., Engine], engine: Engine, parent: Claimed, first: str
) -> None:
    engine.run(suspend(parent, 1, delay=1000.0))
    one, other = engines(), engines()
    one.shift_clock(11)
    other.shift_clock(11)
    calls = [signal(parent.task_id), timers.time_out(10)]
    early, late = calls if first == "arrival" else calls[::-1]
    with held(one):
        one.run(early)
        waiting = beside(other, late)
        waiting.__enter__()
    waiting.__exit__(None, None, None)
    one.run(timers.time_out(10))
    assert ready(engine, parent.task_id) == 1
    finish(engine)


def test_parents_shared_by_two_batches_do_not_deadlock(engines: Callable[..., Engine], engine: Engine) -> None:
    """Children of ten parents, settled by four connections in shuffled batches, while the parents suspend."""
    import random

    parents = engine.enqueue(10, name="parent")
    leased = {c.task_id: c for c in engine.claim()}
    for parent in parents:
        child_of(engine, parent, 40)
    children = engine.claim(1000)
    rng = random.Random(7)
    rng.shuffle(children)
    settlements = [Settlement(c.task_id, c.epoch, State.COMPLETED) for c in children]
    settlements += [Settlement(p, leased[p].epoch, State.WAITING, needed=40) for p in parents]
    rng.shuffle(settlements)
    batches = [settlements[i::16] for i in range(16)]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        connection = engines()
        try:
            for batch in batches[number::4]:
                connection.run(leases.settle(batch, 1))
        except BaseException as error:  # noqa: BLE001 (told to the main thread)
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert sorted(engine.query("select task_id from pgflow.ready")) == [(p,) for p in sorted(parents)]
    finish(engine)
