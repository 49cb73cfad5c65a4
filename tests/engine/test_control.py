"""Cancel, redrive, timers, queues and wake-ups."""

from __future__ import annotations

from collections.abc import Callable

from pgflow.engine import control, timers, workers
from pgflow.model import State
from tests.engine.ear import ear
from tests.engine.test_inbox import child_of, suspend
from tests.fixtures.database import Engine


def cancel(engine: Engine, *tasks: int) -> list[int]:
    return sorted(engine.run(control.cancel(tasks, actor="ann")))


def redrive(engine: Engine, *tasks: int) -> list[int]:
    return sorted(engine.run(control.redrive(engine.run(control.locate(tasks)), actor="ann")))


def test_a_task_can_be_cancelled_wherever_it_is(engine: Engine) -> None:
    queued, running, delayed, retrying, waiting = engine.enqueue(5)
    for task, state in ((retrying, State.RETRYING), (waiting, State.WAITING), (delayed, State.SLEEPING)):
        (claimed,) = [c for c in engine.claim() if c.task_id == task or engine.settle(c, state=State.QUEUED) is None]
        engine.settle(claimed, state=state, delay=60.0, needed=9)
    (queued, running) = (c.task_id for c in engine.claim())
    (other,) = engine.enqueue()
    tasks = [queued, running, delayed, retrying, waiting]
    engine.settle(*[c for c in engine.claim() if c.task_id == other], state=State.QUEUED)
    assert cancel(engine, *tasks) == sorted(tasks)
    assert {engine.state(task) for task in tasks} == {"cancelled"}
    assert engine.state(other) == "queued"
    assert engine.query("select distinct actor from pgflow.event where type = 'task.cancelled'") == [("ann",)]


def test_a_final_task_is_not_cancelled(engine: Engine) -> None:
    (task,) = engine.enqueue()
    engine.settle(*engine.claim())
    assert cancel(engine, task) == []
    assert engine.state(task) == "completed"


def test_the_holder_of_a_cancelled_lease_is_told_once_and_fenced(engine: Engine) -> None:
    engine.register(1)
    (task,) = engine.enqueue()
    (claimed,) = engine.claim()
    cancel(engine, task)
    assert engine.settle(claimed) == set()
    pulse = workers.Pulse(1, 1, {})
    assert engine.run(workers.beat([pulse], 30)).cancelled == [(1, task, claimed.epoch)]
    assert engine.run(workers.beat([pulse], 30)).cancelled == []


def test_a_task_that_is_just_moving_is_missed_and_caught_by_the_next_pass(engines: Callable[..., Engine]) -> None:
    one, other = engines(), engines()
    (task,) = one.enqueue()
    with one.connection.transaction():
        one.claim()
        assert cancel(other, task) == []
    assert cancel(other, task) == [task]


def test_a_cancelled_child_wakes_its_parent(engine: Engine) -> None:
    (parent,) = engine.enqueue()
    (claimed,) = engine.claim()
    (child,) = child_of(engine, parent)
    engine.run(suspend(claimed, 1))
    cancel(engine, child)
    assert engine.state(parent) == "queued"


def test_redrive_revives_failed_and_cancelled_tasks_only(engine: Engine) -> None:
    failed, cancelled, completed = engine.enqueue(3)
    for claimed in engine.claim():
        if claimed.task_id == failed:
            engine.settle(claimed, state=State.FAILED, error=b'{"type": "E"}')
        elif claimed.task_id == completed:
            engine.settle(claimed)
    cancel(engine, cancelled)
    assert redrive(engine, failed, cancelled, completed) == [failed, cancelled]
    assert [engine.state(task) for task in (failed, cancelled, completed)] == ["queued", "queued", "completed"]
    assert engine.query("select actor, data from pgflow.event where type = 'task.redriven' order by task_id") == [
        ("ann", {"was": "failed"}), ("ann", {"was": "cancelled"})
    ]  # fmt: skip
    assert {(c.attempt, c.crashes) for c in engine.claim()} == {(1, 1)}, "with a full allowance"


def test_two_redrives_at_once_revive_once(engine: Engine) -> None:
    (task,) = engine.enqueue()
    cancel(engine, task)
    assert redrive(engine, task) == [task]
    assert redrive(engine, task) == []


def test_locate_finds_runs_and_children_and_says_what_is_final(engine: Engine) -> None:
    (parent,) = engine.enqueue()
    (child,) = child_of(engine, parent)
    cancel(engine, child)
    assert sorted(engine.run(control.locate([parent, child, 10**12]))) == [
        control.Located(parent, parent, False),
        control.Located(child, parent, True),
    ]


def test_nothing_fires_early_and_everything_once(engine: Engine) -> None:
    late, soon = engine.enqueue(delay=2000.0)[0], engine.enqueue(delay=1000.0)[0]
    assert engine.run(timers.fire(10)) == 0
    engine.shift_clock(1000.5)
    assert engine.run(timers.fire(10)) == 1
    assert engine.run(timers.fire(10)) == 0
    assert (engine.state(soon), engine.state(late)) == ("queued", "scheduled")
    assert engine.events(soon) == ["timer.created", "timer.fired"]


def test_a_retry_keeps_its_attempt_through_the_timer(engine: Engine) -> None:
    engine.enqueue()
    engine.settle(*engine.claim(), state=State.RETRYING, error=b'{"type": "E"}', delay=5.0)
    engine.shift_clock(6)
    engine.run(timers.fire(10))
    assert [c.attempt for c in engine.claim()] == [2]


def test_an_idle_worker_is_woken_once_by_a_burst(engines: Callable[..., Engine]) -> None:
    listener, client = engines(), engines()
    heard = ear(listener.connection, "pgflow.worker.7")
    listener.run(workers.idle(["default"], "pgflow.worker.7", 120))
    client.enqueue(queue="other")
    assert heard() == []
    client.enqueue()
    client.enqueue()
    assert heard() == ["pgflow.worker.7"]
    assert client.query("select count(*) from pgflow.idle") == [(0,)]


def test_a_callers_long_transaction_does_not_hide_the_idle_worker_from_others(engines: Callable[..., Engine]) -> None:
    from pgflow.engine.enqueue import Request, Spec, enqueue

    listener, caller, client = engines(), engines(), engines()
    heard = ear(listener.connection, "pgflow.worker.7")
    listener.run(workers.idle(["default"], "pgflow.worker.7", 120))
    with caller.connection.transaction():
        caller.run(enqueue([Request(Spec("noop"), b"{}")], own_transaction=False))
        client.enqueue()
        assert heard() == ["pgflow.worker.7"]
        listener.run(workers.idle(["default"], "pgflow.worker.7", 120))
    assert heard() == ["pgflow.worker.7"]


def test_a_paused_queue_is_told_to_every_heart(engines: Callable[..., Engine]) -> None:
    heart, person = engines(), engines()
    heart.register(1)
    heard = ear(heart.connection, "pgflow.control")
    person.run(control.pause_queue("mail", actor="ann"))
    assert heard() == ["pgflow.control"]
    assert heart.run(workers.beat([workers.Pulse(1, 0, {})], 30)).paused == {"mail"}
    assert person.run(control.resume_queue("mail")) is True
    assert person.run(control.resume_queue("mail")) is False
    assert heart.run(workers.beat([workers.Pulse(1, 0, {})], 30)).paused == frozenset()
