"""The door for SQL: `pgflow.enqueue` and `pgflow.start` write what the engine's own statement writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors as pg
from psycopg import sql

from pgflow.engine import limits, workers
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.errors import IdempotencyConflict
from tests.engine.test_plans import HOT, explaining, fill, nodes
from tests.fixtures.database import Engine

__all__ = ["explaining"]

DUE = datetime(2090, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
INSTANTS = [DUE, datetime(2001, 1, 1, tzinfo=UTC)]


def ask(engine: Engine, *documents: object, actor: str | None = None, consume: bool = False) -> list[int]:
    """What pgflow.enqueue answers."""
    text = json.dumps(list(documents))
    ((ids,),) = engine.query("select pgflow.enqueue(%s::jsonb, %s::text, %s::boolean)", text, actor, consume)
    return list(ids)


def test_ids_come_back_in_the_order_asked(engine: Engine) -> None:
    ids = ask(engine, *({"name": f"n{i % 3}", "priority": i % 4, "input": {"i": i}} for i in range(50)))
    rows = dict(engine.query("select id, array[name, priority::text, input->>'i'] from pgflow.task"))
    assert [rows[id] for id in ids] == [[f"n{i % 3}", str(i % 4), str(i)] for i in range(50)]


def test_nothing_asked_is_nothing_written(engine: Engine) -> None:
    assert ask(engine) == []


def test_what_is_left_out_or_null_has_its_default(engine: Engine) -> None:
    ask(
        engine,
        {"name": "noop"},
        dict.fromkeys(["queue", "priority", "input", "key", "tags", "retry", "id"]) | {"name": "noop"},
    )
    rows = engine.query(
        "select queue, priority, input, due_at, timeout, retry, key, slot, tags, size, actor, trace from pgflow.task"
    )
    assert rows == [("default", 2, {}, *[None] * 9)] * 2
    assert len(engine.claim()) == 2


def test_a_task_takes_the_id_that_was_given_out_for_it(engine: Engine) -> None:
    ((id,),) = engine.query("select nextval('pgflow.task_id_seq')")
    assert ask(engine, {"name": "noop"}, {"name": "noop", "id": id})[1] == id
    assert engine.state(id) == "queued"


def test_a_taken_key_gives_the_holder_back_and_names_it_when_the_input_differs(engine: Engine) -> None:
    document = {"name": "noop", "key": "k", "input": {"a": 1, "b": 2}}
    (first,) = ask(engine, document)
    other = {"name": "noop", "input": {"of": "the same statement"}}
    assert ask(engine, document | {"input": {"b": 2, "a": 1}}, {"name": "noop"})[0] == first
    assert ask(engine, document | {"input": {"c": 3}, "hash": False}) == [first]
    with pytest.raises(pg.UniqueViolation, match=f'key "k" of "noop" .* by task {first}') as refused:
        ask(engine, other, document | {"input": {"c": 3}})
    assert refused.value.diag.message_detail == f"The first task is {first}."
    assert engine.query("select count(*) from pgflow.task where input ? 'of'") == [(0,)], "all or nothing"


def test_a_key_is_free_again_with_the_outcome_or_when_its_hold_is_over(engine: Engine) -> None:
    held = {"name": "noop", "key": "held", "hold": 100}
    first, second = ask(engine, {"name": "noop", "key": "k"}, held)
    engine.settle(*engine.claim())
    assert ask(engine, {"name": "noop", "key": "k"}) != [first]
    assert ask(engine, held) == [second]
    engine.shift_clock(101)
    assert ask(engine, held) != [second]


def test_a_key_twice_in_one_call_is_one_task(engine: Engine) -> None:
    assert len(set(ask(engine, *[{"name": "noop", "key": "k"}] * 3))) == 1
    with pytest.raises(pg.UniqueViolation):
        ask(engine, {"name": "noop", "key": "l"}, {"name": "noop", "key": "l", "input": {"a": 1}})


def test_bulky_input_is_marked_so_that_it_travels_alone(engine: Engine) -> None:
    ask(engine, {"name": "noop", "input": {"a": "x" * 20_000}}, {"name": "noop", "input": {"a": "x" * 10_000}})
    assert sorted((c.input is None) for c in engine.claim()) == [False, True]


WRONG: list[tuple[object, str]] = [
    ("text", "document 1 cannot be enqueued: it is no object"),
    ({}, "document 1 cannot be enqueued: it has no name"),
    ({"name": None}, "its name is null"),
    ({"name": ""}, 'its name is "", not letters, digits'),
    ({"name": "a b"}, 'a b cannot be enqueued: its name is "a b"'),
    ({"name": "a\n"}, "its name is"),
    ({"name": "x" * 201}, "at most 200"),
    ({"name": 5}, "its name is 5"),
    ({"name": "n", "queue": "a/b"}, 'n cannot be enqueued: its queue is "a/b", not letters'),
    ({"name": "n", "queue": ["q"]}, "its queue is"),
    ({"name": "n", "priority": 4}, r"its priority is 4, not 0 \(critical\)"),
    ({"name": "n", "priority": 1.5}, "its priority is 1.5"),
    ({"name": "n", "priority": "2"}, 'its priority is "2"'),
    ({"name": "n", "input": [1]}, r"its input is \[1\], not an object"),
    ({"name": "n", "input": "{}"}, "its input is"),
    ({"name": "n", "tags": "t"}, "its tags is"),
    ({"name": "n", "retry": 3}, "its retry is 3, not an object"),
    ({"name": "n", "slot": 3}, "its slot is 3, not text"),
    ({"name": "n", "trace": {}}, "its trace is {}, not text"),
    ({"name": "n", "key": ""}, 'its key is "", not text of 1 to 500 characters'),
    ({"name": "n", "key": "k" * 501}, "its key is"),
    ({"name": "n", "key": 7}, "its key is 7"),
    ({"name": "n", "timeout": 0}, "its timeout is 0, not seconds, more than none"),
    ({"name": "n", "timeout": "5"}, "its timeout is"),
    ({"name": "n", "hold": -1}, "its hold is -1, not seconds"),
    ({"name": "n", "delay": 1e30}, "its delay is 1"),
    ({"name": "n", "due_at": "2030-01-01T00:00:00"}, "an instant with a time zone"),
    ({"name": "n", "due_at": "infinity"}, "an instant with a time zone"),
    ({"name": "n", "due_at": "9999-01-01T00:00:00Z"}, "of the years 2 to 9998"),
    ({"name": "n", "due_at": "0001-12-31T23:00:00Z"}, "of the years 2 to 9998"),
    ({"name": "n", "id": 0}, "its id is 0"),
    ({"name": "n", "id": 1.5}, "its id is 1.5"),
    ({"name": "n", "hash": 0}, "its hash is 0, not true or false"),
    ({"name": "n", "prioritiy": 0}, 'there is no field "prioritiy"'),
]


def test_a_document_that_makes_no_sense_is_refused_with_a_reason(engine: Engine) -> None:
    for document, why in WRONG:
        with pytest.raises(pg.InvalidParameterValue, match=why):
            ask(engine, document)
        with pytest.raises(pg.InvalidParameterValue) as refused:
            ask(engine, {"name": "noop"}, {"name": "noop", "delay": 1}, document)
        assert refused.value.diag.message_detail == "It is document 3."
    assert engine.query("select count(*) from pgflow.task") == [(0,)]


def test_an_instant_may_have_any_offset_that_postgres_writes(engine: Engine) -> None:
    written = ["2030-01-01T01:00:00+01", "2030-01-01T01:00:00+01:00", "2030-01-01 05:30:00.5+0530"]
    ask(engine, *({"name": "n", "due_at": text} for text in [*written, "0026-05-01T09:53:28+00:53:28"]))
    assert engine.query("select due_at from pgflow.task order by id") == [
        (datetime(2030, 1, 1, tzinfo=UTC),),
        (datetime(2030, 1, 1, tzinfo=UTC),),
        (datetime(2030, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC),),
        (datetime(26, 5, 1, 9, tzinfo=UTC),),
    ]


def test_what_is_no_array_is_refused(engine: Engine) -> None:
    for asked in ("{}", "null", '"x"', "7", None):
        with pytest.raises(pg.InvalidParameterValue, match="an array of documents is needed, not"):
            engine.query("select pgflow.enqueue(%s::jsonb)", asked)


def test_people_start_a_task_with_words(engine: Engine) -> None:
    ((first,),) = engine.query("""select pgflow.start('send_email', '{"to": "ann@example.com"}')""")
    ((second,),) = engine.query(
        """select pgflow.start('send_email', queue => 'mail', key => 'k', delay => '1 day', priority => 0, slot => 's',
                               hold => '1 hour', timeout => '90 s', retry => '{"max_attempts": 2}', actor => 'ann',
                               tags => '{"a": "b"}', trace => 't')"""
    )
    columns = (
        "name, queue, priority, input, key, extract(epoch from due_at - created_at)::float8, slot, tags, actor, trace"
    )
    assert engine.query(f"select {columns} from pgflow.task order by id") == [
        ("send_email", "default", 2, {"to": "ann@example.com"}, *[None] * 6),
        ("send_email", "mail", 0, {}, "k", 86400.0, "s", {"a": "b"}, "ann", "t"),
    ]
    assert engine.query("select timeout, retry from pgflow.task where id = %s", second) == [
        (timedelta(seconds=90), {"max_attempts": 2})
    ]
    assert engine.query("select extract(epoch from expires_at - pgflow.now()) > 3500 from pgflow.idempotency") == [
        (True,)
    ]
    assert [engine.state(first), engine.state(second)] == ["queued", "scheduled"]
    with pytest.raises(pg.InvalidParameterValue, match="its priority is 9"):
        engine.query("select pgflow.start('send_email', priority => 9)")


def test_an_instant_is_the_same_whatever_the_time_zone_and_date_style_of_the_session(engine: Engine) -> None:
    for zone in ("UTC", "Asia/Kathmandu", "America/St_Johns"):
        engine.query("select set_config('timezone', %s, false), set_config('datestyle', 'german, dmy', false)", zone)
        engine.query("select pgflow.start('noop', due_at => %s)", DUE)
    due = engine.query("select distinct extract(epoch from due_at)::float8 from pgflow.task")
    assert due == [(DUE.timestamp(),)]


def test_in_a_transaction_it_happens_with_it_or_not_at_all(engine: Engine) -> None:
    for name in ("enable_seqscan", "enable_bitmapscan", "plan_cache_mode"):
        engine.connection.execute(f"reset {name}")
    engine.connection.autocommit = False
    ask(engine, {"name": "noop", "key": "k"}, {"name": "noop", "delay": 5})
    engine.connection.rollback()
    assert engine.query("select count(*) from pgflow.task") == [(0,)]
    engine.query("select pgflow.start('noop', jsonb_build_object('i', i)) from generate_series(1, 20) i")
    engine.connection.commit()
    engine.connection.autocommit = True
    assert engine.query("select count(*) from pgflow.ready") == [(20,)]


def test_two_transactions_with_one_key_start_one_task(engine: Engine, engines: Callable[..., Engine]) -> None:
    document = {"name": "noop", "key": "k"}
    with ThreadPoolExecutor(1) as pool:
        for commits in (True, False):
            with engine.connection.transaction(force_rollback=not commits):
                (first,) = ask(engine, document)
                other = pool.submit(ask, engines(), document)
                with pytest.raises(TimeoutError):
                    other.result(0.2)
            assert (other.result(20) == [first]) is commits
            engine.settle(*engine.claim())


def test_whoever_may_run_the_engine_may_enqueue_and_nobody_else(engine: Engine, engines: Callable[..., Engine]) -> None:
    for role, may in (("pgflow_worker", True), ("pgflow_reader", False)):
        acting = engines()
        acting.connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        for text in ("pgflow.start('noop')", """pgflow.enqueue('[{"name": "noop", "key": "k", "delay": 1}]'::jsonb)"""):
            with nullcontext() if may else pytest.raises(pg.InsufficientPrivilege):
                acting.query(f"select {text}")


def test_one_idle_worker_of_each_queue_is_woken_at_commit(engine: Engine, engines: Callable[..., Engine]) -> None:
    listener = engines()
    listener.connection.execute("listen first; listen second; listen mail; listen leader")
    for queue, channel in (("default", "first"), ("default", "second"), ("mail", "mail"), ("@leader", "leader")):
        listener.run(workers.idle([queue], channel, 12))

    def told() -> set[str]:
        listener.query("select 1")  # its answer brings what was told before
        return {notification.channel for notification in listener.connection.notifies(timeout=0)}

    with engine.connection.transaction():
        ask(engine, {"name": "noop"}, {"name": "noop"}, {"name": "noop", "queue": "mail"})
        assert told() == set()
    assert told() == {"second", "mail"}, "the one that will stand longest"
    ask(engine, {"name": "noop", "delay": 3600}, {"name": "noop", "queue": "nobody"})
    assert told() == set(), "the leader looks again long before that is due"
    ask(engine, {"name": "noop", "delay": 1})
    assert told() == {"leader"}
    ask(engine, {"name": "noop"}, consume=True)
    assert told() == {"second"}, "its row had stayed"
    ask(engine, {"name": "noop"}, consume=True)
    assert told() == {"first"}


def test_an_open_transaction_hides_no_idle_worker_and_no_limit_from_others(
    engine: Engine, engines: Callable[..., Engine]
) -> None:
    other = engines()
    other.run(limits.set_limit("few", limits.Limit(concurrency=1), actor=None))
    other.run(workers.idle(["default"], "worker", 12))
    other.connection.execute("listen worker; set lock_timeout = '2s'")
    with engine.connection.transaction():
        ask(engine, {"name": "noop"}, {"name": "noop", "queue": "few"})
        ask(other, {"name": "noop"}, {"name": "noop", "queue": "few"}, consume=True)
        assert [n.channel for n in other.connection.notifies(timeout=0.5, stop_after=1)] == ["worker"]
    assert other.query("select count(*) from pgflow.ready where queue = 'few'") == [(1,)]
    assert other.query("select count(*) from pgflow.throttled where queue = 'few'") == [(1,)]


def test_a_limited_queue_throttles_and_in_a_transaction_of_its_own_admits(engine: Engine) -> None:
    engine.run(limits.set_limit("few", limits.Limit(concurrency=2), actor=None))
    asked = [{"name": "noop", "queue": "few", "slot": f"s{i % 2}"} for i in range(5)]
    ids = ask(engine, *asked)
    assert {engine.state(id) for id in ids} == {"throttled"}
    assert engine.query("select slot from pgflow.newcomer order by slot") == [("s0",), ("s1",)]
    ask(engine, *asked, consume=True)
    assert engine.query("select count(*) from pgflow.ready") == [(2,)]


# ------------------------------------------------------------------------------------------------ both doors

WORD = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
NUMBER = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUE = st.recursive(
    st.none() | st.booleans() | NUMBER | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=8,
)
INPUT = st.dictionaries(WORD, VALUE, max_size=4) | st.just({"held": True})
SECONDS = st.sampled_from([0.25, 5.0, 86_400.0, 1e-6, 0.1, 3_155_760_000.0])
SPEC = st.builds(
    Spec,
    name=st.sampled_from(["a", "b", "mod.fn:x"]),
    queue=st.sampled_from(["default", "few", "mail"]),
    priority=st.integers(0, 3),
    timeout=st.none() | SECONDS,
    retry=st.sampled_from([b"null", b'{"max_attempts": 2}']),
    hold=st.none() | SECONDS,
)
REQUEST = st.builds(
    Request,
    spec=SPEC,
    input=INPUT.map(orjson.dumps),
    key=st.none() | st.sampled_from(["held", "k", "l"]),
    delay=st.none() | SECONDS,
    due=st.none() | st.sampled_from(INSTANTS),
    tags=st.none() | st.dictionaries(WORD, WORD, max_size=2).map(orjson.dumps),
    slot=st.none() | WORD,
)


def document(request: Request) -> bytes:
    """The same request as pgflow.enqueue takes it."""
    spec = request.spec
    fields = {
        "name": spec.name, "queue": spec.queue, "priority": spec.priority, "timeout": spec.timeout, "hold": spec.hold,
        "key": request.key, "delay": request.delay, "slot": request.slot, "trace": "t",
        "due_at": None if request.due is None else request.due.isoformat(),
    }  # fmt: skip
    parts = [orjson.dumps(fields)[1:-1], b'"input":' + request.input, b'"retry":' + spec.retry]
    parts += [] if request.tags is None else [b'"tags":' + request.tags]
    return b"{" + b",".join(parts) + b"}"


def written(engine: Engine, first: int) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of tasks from this id on, but for what may differ: ids count from the first, instants from a task's."""
    task = "join pgflow.task t on t.root_id = p.root_id and t.id = p.task_id"
    return {
        "task": engine.query(
            """select id - %s, root_id - %s, parent_id, name, queue, priority, input::text, size, timeout, retry, key,
                      step, case when due_at = any(%s) then due_at - '2000-01-01' else due_at - created_at end,
                      slot, tags, actor, trace from pgflow.task where id >= %s order by id""",
            first, first, INSTANTS, first,
        ),
        "ready": engine.query(
            """select task_id - %s, root_id - %s, queue, priority, attempt, crashes, slot from pgflow.ready
                where task_id >= %s order by queue, seq""", first, first, first,
        ),
        "throttled": engine.query(
            """select task_id - %s, root_id - %s, queue, slot, priority, attempt, crashes from pgflow.throttled
                where task_id >= %s order by seq""", first, first, first,
        ),
        "newcomer": engine.query("select queue, slot from pgflow.newcomer order by queue, slot"),
        "delayed": engine.query(
            f"""select p.task_id - %s, p.root_id - %s, p.due_at - t.due_at, p.reason::text, p.attempt, p.crashes
                  from pgflow.delayed p {task} where p.task_id >= %s order by p.task_id""", first, first, first,
        ),
        "event": engine.query(
            f"""select p.task_id - %s, p.root_id - %s, p.type::text, p.attempt, p.at - t.created_at, p.worker_id, p.key,
                       p.actor, (p.data->>'due_at')::timestamptz - t.due_at, p.data - 'due_at'
                  from pgflow.event p {task} where p.task_id >= %s order by p.task_id""", first, first, first,
        ),
        "idempotency": engine.query(
            f"""select p.scope, p.key, p.root_id - p.task_id, greatest(p.task_id - %s, -1), p.request_hash,
                       p.expires_at - t.created_at
                  from pgflow.idempotency p {task} order by p.scope, p.key""", first,
        ),
        "rest": engine.query(
            """select (select count(*) from pgflow.lease), (select count(*) from pgflow.inbox),
                      (select count(*) from pgflow.parked)"""
        ),
    }  # fmt: skip


def asked_by(engine: Engine, write: Callable[[], list[int]]) -> tuple[object, dict[str, list[tuple[Any, ...]]]]:
    """What a door answers and what it writes; which is then undone."""
    answer: object
    first = engine.query("select nextval('pgflow.task_id_seq')")[0][0] + 1
    rows: dict[str, list[tuple[Any, ...]]] = {}
    with engine.connection.transaction(force_rollback=True):
        try:
            answer = [id - first if id >= first else f"held by {id}" for id in write()]
            rows = written(engine, first)
        except (IdempotencyConflict, pg.UniqueViolation):
            answer = "refused"
    return answer, rows


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(REQUEST, min_size=1, max_size=6), own=st.booleans())
def test_both_doors_write_the_same_rows(engine: Engine, requests: list[Request], own: bool) -> None:
    if not engine.query("select 1 from pgflow.limit"):
        engine.run(limits.set_limit("few", limits.Limit(concurrency=1), actor=None))
        engine.run(enqueue([Request(Spec("a"), b'{"held":true}', "held"), Request(Spec("b"), b'{"held":true}', "l")]))
    by_python = asked_by(engine, lambda: engine.run(enqueue(requests, actor="ann", trace="t", own_transaction=own)).ids)
    text = (b"[" + b",".join(map(document, requests)) + b"]").decode()
    by_sql = asked_by(
        engine,
        lambda: engine.query("select pgflow.enqueue(%s::jsonb, 'ann', %s::boolean)", text, own)[0][0],
    )
    assert by_sql == by_python


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=INPUT, second=INPUT)
def test_both_doors_agree_which_inputs_are_the_same(engine: Engine, first: object, second: object) -> None:
    one, two = orjson.dumps(first), orjson.dumps(second)
    with engine.connection.transaction(force_rollback=True):
        (holder,) = engine.run(enqueue([Request(Spec("noop"), one, "k")])).ids
        assert engine.query("select pgflow.start('noop', %s::jsonb, key => 'k')", one.decode()) == [(holder,)]
        ((same,),) = engine.query("select %s::jsonb::text = %s::jsonb::text", one.decode(), two.decode())
        try:
            found = engine.query("select pgflow.start('noop', %s::jsonb, key => 'k')", two.decode())
        except pg.UniqueViolation:
            assert not same
        else:
            assert same
            assert found == [(holder,)]


# ---------------------------------------------------------------------------------------------------- plans


@pytest.mark.parametrize(
    "statistics", ["analyzed empty", "analyzed full", "never analyzed", "cached empty then filled"]
)
def test_no_plan_depends_on_statistics_or_on_the_settings_of_the_caller(
    explaining: Engine, engines: Callable[..., Engine], statistics: str
) -> None:
    engine = explaining
    for name in ("enable_seqscan", "enable_bitmapscan", "plan_cache_mode", "jit"):
        engine.connection.execute(f"reset {name}")
    asked: list[dict[str, Any]] = [
        {"name": "noop"},
        {"name": "noop", "key": "k", "delay": 5},
        {"name": "noop", "queue": "few", "key": "l"},
    ]
    engine.run(limits.set_limit("few", limits.Limit(concurrency=1), actor=None))
    if statistics == "analyzed empty":
        engine.connection.execute("analyze")
    if statistics == "cached empty then filled":
        for _ in range(7):
            plans_of(engine, asked)
    filler = engines()
    filler.register(9)
    fill(filler)
    filler.enqueue(500, key=None, queue="few")
    filler.run(enqueue([Request(Spec("noop"), b"{}", f"k{i}") for i in range(1000)]))
    if statistics == "analyzed full":
        engine.connection.execute("analyze")
    plans = plans_of(engine, asked) + plans_of(engine, asked[:1])
    seen = [node for plan in plans for node in nodes(plan)]
    assert any(node["Node Type"] == "ModifyTable" for node in seen), "no plan was seen"
    for node in seen:
        relation = node.get("Relation Name", "").rstrip("0123456789").rstrip("_")
        slow = node["Node Type"] in {"Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join"}
        assert not (slow and relation in HOT), f"{statistics}: {node['Node Type']} on {relation}"
    used = {node["Index Name"].rstrip("0123456789") for node in seen if "Index Name" in node}
    assert {"limit_pkey"} <= used


def plans_of(engine: Engine, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The plans of pgflow.enqueue and of what it calls, as they ran; its work is undone."""
    plans: list[dict[str, Any]] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        text = diagnostic.message_primary or ""
        if "plan:" in text:
            plans.append(json.loads(text.split("plan:", 1)[1])["Plan"])

    engine.connection.add_notice_handler(note)
    with engine.connection.transaction(force_rollback=True):
        ask(engine, *asked)
    engine.connection.remove_notice_handler(note)
    return plans
