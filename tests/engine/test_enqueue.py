from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pgflow.engine import limits, workers
from pgflow.engine.enqueue import MAX_BYTES, MAX_ROWS, Request, Spec, batches, enqueue, enqueue_plain
from pgflow.errors import IdempotencyConflict
from tests.engine.ear import ear
from tests.fixtures.database import Engine


def test_ids_come_back_in_the_order_asked(engine: Engine) -> None:
    asked = [Request(Spec(f"n{i % 3}", priority=i % 4), b'{"i": %d}' % i) for i in range(50)]
    ids = engine.run(enqueue(asked)).ids
    rows = dict(engine.query("select id, array[name, priority::text, input->>'i'] from pgflow.task"))
    assert [rows[id] for id in ids] == [[f"n{i % 3}", str(i % 4), str(i)] for i in range(50)]


def test_a_run_is_its_own_root_and_queued(engine: Engine) -> None:
    (id,) = engine.enqueue()
    assert engine.query("select root_id, parent_id from pgflow.task where id = %s", id) == [(id, None)]
    assert engine.state(id) == "queued"


def test_a_delayed_task_is_scheduled_and_tells_so(engine: Engine) -> None:
    (id,) = engine.enqueue(delay=60.0)
    assert engine.state(id) == "scheduled"
    assert engine.events(id) == ["timer.created"]
    assert engine.claim() == []


def test_an_instant_in_the_past_means_at_once(engine: Engine) -> None:
    (id,) = engine.enqueue(due=datetime.now(UTC) - timedelta(hours=1))
    assert engine.state(id) == "queued"


def test_a_taken_key_gives_the_holder_back(engine: Engine) -> None:
    (first,) = engine.enqueue(key="k")
    again = engine.run(enqueue([Request(Spec("noop"), b"{}", "k"), Request(Spec("noop"), b"{}")]))
    assert again.ids[0] == first
    assert again.existing == {0}
    assert again.ids[1] != first
    assert engine.query("select count(*) from pgflow.task") == [(2,)]


def test_a_key_twice_in_one_batch_is_one_task(engine: Engine) -> None:
    done = engine.run(enqueue([Request(Spec("noop"), b"{}", "k")] * 3))
    assert len(set(done.ids)) == 1
    assert done.existing == {1, 2}


def test_keys_of_different_tasks_do_not_meet(engine: Engine) -> None:
    done = engine.run(enqueue([Request(Spec("a"), b"{}", "k"), Request(Spec("b"), b"{}", "k")]))
    assert len(set(done.ids)) == 2


def test_a_key_is_free_again_once_its_task_has_an_outcome(engine: Engine) -> None:
    (first,) = engine.enqueue(key="k")
    engine.settle(*engine.claim())
    (second,) = engine.enqueue(key="k")
    assert second != first
    assert engine.query("select task_id from pgflow.idempotency") == [(second,)]


def test_a_key_with_a_hold_outlives_the_outcome_and_then_expires(engine: Engine) -> None:
    (first,) = engine.enqueue(key="k", hold=100.0)
    engine.settle(*engine.claim())
    assert engine.enqueue(key="k", hold=100.0) == [first]
    engine.shift_clock(101)
    assert engine.enqueue(key="k", hold=100.0) != [first]


def test_a_key_with_other_arguments_is_refused_and_names_the_first(engine: Engine) -> None:
    (first,) = engine.enqueue(key="k", input=b'{"a": 1, "b": 2}')
    assert engine.enqueue(key="k", input=b'{"b": 2, "a": 1}') == [first], "the order of keys is no difference"
    with pytest.raises(IdempotencyConflict, match=str(first)):
        engine.enqueue(key="k", input=b'{"a": 2}')


def test_batches_are_bounded_in_rows_and_bytes() -> None:
    small = [Request(Spec("n"), b"{}")] * (MAX_ROWS * 2 + 1)
    assert [len(part) for part in batches(small)] == [MAX_ROWS, MAX_ROWS, 1]
    big = [Request(Spec("n"), b"x" * (MAX_BYTES // 2))] * 5
    assert [len(part) for part in batches(big)] == [2, 2, 1]


def test_a_batch_is_cut_as_soon_as_it_is_full() -> None:
    made = 0

    def requests() -> Iterator[Request]:
        nonlocal made
        while True:
            made += 1
            yield Request(Spec("n"), b"{}")

    assert len(next(batches(requests()))) == MAX_ROWS
    assert made == MAX_ROWS + 1
    assert list(batches([])) == []


PLAIN = Request(Spec("noop", timeout=3.0, retry=b'{"max_attempts": 2}'), b'{"a": 1}')


def test_a_plain_task_is_the_same_as_one_of_a_batch(engine: Engine) -> None:
    ids = [
        engine.run(enqueue_plain(PLAIN, actor="ann", trace="t")),
        *engine.run(enqueue([PLAIN], actor="ann", trace="t")).ids,
    ]
    columns = "name, queue, priority, input, timeout, retry, actor, trace, parent_id, due_at, key, tags, size, slot"
    (plain,), (other,) = (
        engine.query(f"select {columns} from pgflow.task where id = root_id and id = %s", id) for id in ids
    )
    assert plain == other
    places = engine.query("select queue, priority, attempt, crashes, slot from pgflow.ready order by seq")
    assert places[0] == places[1]
    assert [c.task_id for c in sorted(engine.claim(), key=lambda c: c.epoch)] == ids


def test_a_plain_task_of_a_limited_queue_is_not_written(engine: Engine) -> None:
    engine.run(limits.set_limit("default", limits.Limit(concurrency=1), actor=None))
    assert engine.run(enqueue_plain(PLAIN)) is None
    assert engine.query("select count(*) from pgflow.task") == [(0,)]


def test_a_plain_task_wakes_one_idle_worker_of_its_queue_once(engine: Engine, engines: Callable[..., Engine]) -> None:
    listener = engines()
    told = ear(listener.connection, "first", "second", "other")
    for queue, channel in (("default", "first"), ("default", "second"), ("mail", "other")):
        listener.run(workers.idle([queue], channel, 120))
    engine.run(enqueue_plain(PLAIN, wake=False))
    assert told() == []
    engine.run(enqueue_plain(PLAIN, own_transaction=False))
    assert told() == ["second"], "the one that will stand longest"
    engine.run(enqueue_plain(PLAIN))
    assert told() == ["second"], "its row had stayed"
    engine.run(enqueue_plain(PLAIN))
    assert told() == ["first"]
    engine.run(enqueue_plain(PLAIN))
    assert told() == []


def test_it_runs_on_a_connection_with_any_settings_and_with_its_transaction(engine: Engine) -> None:
    for name in ("enable_seqscan", "enable_bitmapscan", "plan_cache_mode"):
        engine.connection.execute(f"reset {name}")
    engine.connection.autocommit = False
    engine.enqueue(3)
    engine.connection.rollback()
    assert engine.query("select count(*) from pgflow.task") == [(0,)]
    engine.enqueue(3)
    engine.connection.commit()
    engine.connection.autocommit = True
    assert engine.query("select count(*) from pgflow.ready") == [(3,)]
