from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from pgflow.engine import facts, leases
from pgflow.model import EventType, Settlement, State
from tests.fixtures.database import Engine


def test_a_completed_task_has_its_output_and_left_its_place(engine: Engine) -> None:
    (id,) = engine.enqueue()
    (claimed,) = engine.claim()
    assert engine.settle(claimed, output=b'{"answer": 42}') == {id}
    assert engine.query("select state::text, output, attempt from pgflow.outcome") == [("completed", {"answer": 42}, 1)]
    assert engine.state(id) == "completed"
    assert engine.events(id) == ["task.started", "task.completed"]


def test_a_batch_of_mixed_results_goes_each_its_way(engine: Engine) -> None:
    ids = engine.enqueue(6)
    claimed = sorted(engine.claim(), key=lambda row: row.task_id)
    ways = [
        {"state": State.COMPLETED, "output": b"1"},
        {"state": State.FAILED, "error": b'{"type": "E"}'},
        {"state": State.RETRYING, "error": b'{"type": "E"}', "delay": 5.0},
        {"state": State.SLEEPING, "delay": 5.0},
        {"state": State.WAITING, "needed": 2, "delay": 9.0},
        {"state": State.QUEUED},
    ]
    batch = [Settlement(c.task_id, c.epoch, **way) for c, way in zip(claimed, ways, strict=True)]
    assert engine.run(leases.settle(batch, 1)) is None
    assert [engine.state(id) for id in ids] == ["completed", "failed", "retrying", "sleeping", "waiting", "queued"]
    attempts = dict(engine.query("select id, attempt::int from pgflow.task_state"))
    assert [attempts[id] for id in ids] == [1, 1, 2, 1, 1, 1], "only a retry is another attempt"
    assert engine.query("select max(crashes) from pgflow.task_state") == [(0,)], "an orderly end takes the crash back"


@pytest.mark.parametrize("wrong", ["worker", "epoch", "task"])
def test_a_settlement_must_name_worker_epoch_and_task(engine: Engine, wrong: str) -> None:
    engine.enqueue(2)
    first, second = engine.claim()
    if wrong == "worker":
        settled = engine.settle(first, worker=2)
    elif wrong == "epoch":
        settled = engine.settle(first._replace(epoch=first.epoch + 1))
    else:
        settled = engine.settle(first._replace(task_id=second.task_id))
    assert settled == set()
    assert engine.query("select count(*) from pgflow.lease") == [(2,)]


def test_epochs_and_tasks_are_matched_pair_by_pair(engine: Engine) -> None:
    engine.enqueue(2)
    first, second = engine.claim()
    crossed = [first._replace(epoch=second.epoch), second._replace(epoch=first.epoch)]
    assert engine.settle(*crossed) == set()


def test_a_worker_whose_claim_was_rolled_back_cannot_settle_the_next_owners_lease(
    engines: Callable[..., Engine],
) -> None:
    one, other = engines(1), engines(2)
    one.enqueue()
    one.connection.autocommit = False
    (ghost,) = one.claim()
    one.connection.rollback()
    one.connection.autocommit = True
    (claimed,) = other.claim()
    assert claimed.epoch == ghost.epoch, "the same seq is given out again, so the epoch alone is no fence"
    assert one.settle(ghost) == set()
    assert other.settle(claimed) == {claimed.task_id}


def test_the_second_of_two_settlements_is_refused(engine: Engine) -> None:
    engine.enqueue()
    (claimed,) = engine.claim()
    assert engine.settle(claimed) == {claimed.task_id}
    assert engine.settle(claimed, state=State.FAILED, error=b"{}") == set()
    assert engine.state(claimed.task_id) == "completed"


def test_the_settled_are_named_when_some_are_lost(engine: Engine) -> None:
    engine.enqueue(3)
    one, two, three = engine.claim()
    engine.settle(two)
    assert engine.settle(one, two, three) == {one.task_id, three.task_id}


@pytest.mark.parametrize("change", ["update pgflow.outcome set output = '1'", "delete from pgflow.outcome"])
def test_the_database_refuses_to_change_an_outcome(engine: Engine, change: str) -> None:
    engine.enqueue()
    engine.settle(*engine.claim())
    with pytest.raises(psycopg.Error, match="is final"):
        engine.query(change)


@pytest.mark.parametrize(
    "illegal",
    [
        "insert into pgflow.outcome (root_id, task_id, state, attempt, finished_at) values (1, 1, 'queued', 1, now())",
        "insert into pgflow.outcome (root_id, task_id, state, attempt, finished_at) values (1, 1, 'failed', 1, now())",
        "insert into pgflow.delayed values (1, 1, now(), 'queued', 1, 0)",
        "insert into pgflow.parked values (1, 1, 'running', now(), null, null, 1, 0)",
        "insert into pgflow.lease values (1, 1, null, 1, 1, 0, 1, now(), null)",
        "insert into pgflow.task (root_id, id, name, queue, priority, input, created_at)"  # noqa: ISC004
        " values (1, 2, 'a', 'q', 2, '{}', now())",
        "insert into pgflow.event (root_id, task_id, type, at) values (1, 1, 'step.completed', now())",
    ],
)
def test_the_database_refuses_illegal_states(engine: Engine, illegal: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        engine.query(illegal)


def test_a_record_is_kept_once_and_its_first_result_answers(engine: Engine) -> None:
    engine.enqueue()
    (claimed,) = engine.claim()
    step = facts.Fact(claimed.task_id, claimed.epoch, EventType.STEP_COMPLETED, "charge", b'{"receipt": 1}')
    place = (claimed.task_id, "step.completed", "charge")
    assert engine.run(facts.record([step], 1)) == {place: (True, {"receipt": 1})}
    again = step._replace(data=b'{"receipt": 2}')
    assert engine.run(facts.record([again], 1)) == {place: (False, {"receipt": 1})}
    engine.settle(claimed)


def test_a_record_without_its_lease_is_refused(engine: Engine) -> None:
    engine.enqueue()
    (claimed,) = engine.claim()
    step = facts.Fact(claimed.task_id, claimed.epoch, EventType.STEP_COMPLETED, "charge", b"1")
    assert engine.run(facts.record([step], 2)) == {}
    assert engine.run(facts.record([step._replace(epoch=step.epoch + 1)], 1)) == {}
    engine.settle(claimed)
    assert engine.run(facts.record([step], 1)) == {}


def test_the_database_refuses_to_rewrite_what_happened(engine: Engine) -> None:
    engine.enqueue()
    engine.settle(*engine.claim())
    with pytest.raises(psycopg.Error, match="is final"):
        engine.query("update pgflow.event set key = 'other' returning 1")
