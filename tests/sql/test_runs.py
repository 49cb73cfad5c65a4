"""The statements of sql/run on places made by the engine's own verbs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgflow.engine import control, facts, leases, limits, runs, subscriptions, upkeep, workflows
from pgflow.engine.children import Child, spawn
from pgflow.engine.enqueue import Request, Spec
from pgflow.engine.runs import Copy
from pgflow.model import EventType, Parking, State
from pgflow.sdk import forking
from pgflow.sdk.registry.subscriptions import subscription_of
from tests.fixtures.database import Engine


def child_of(engine: Engine, run: int, step: str = "c") -> int:
    """A ready child of a leased run."""
    ((epoch, worker),) = engine.query("select epoch, worker_id from pgflow.lease where task_id = %s", run)
    spawned = engine.run(spawn([Child(run, epoch, step, Request(Spec("noop"), b"{}"))], worker))
    return int(spawned[run, step])


def sweep(engine: Engine) -> None:
    for call in upkeep.sweeps(86_400.0):
        engine.run(call)


def test_what_was_parked_as_its_run_was_being_resumed_goes_on(engine: Engine) -> None:
    (run,) = engine.enqueue()
    engine.run(runs.pause([run]))
    engine.run(runs.park(run))
    engine.query("delete from pgflow.paused_run returning 1")  # as if make_ready had seen it just before
    assert engine.state(run) == "paused"
    sweep(engine)
    assert engine.state(run) == "queued"


def test_a_paused_run_is_forgotten_when_nothing_in_it_is_unfinished(engine: Engine) -> None:
    (run,) = engine.enqueue()
    (claimed,) = engine.claim()
    child = child_of(engine, run)
    engine.run(runs.pause([run]))
    engine.settle(claimed)
    sweep(engine)
    assert engine.query("select root_id from pgflow.paused_run") == [(run,)], "its child is still there"
    engine.run(control.cancel([child]))
    sweep(engine)
    assert engine.query("select root_id from pgflow.paused_run") == []


def test_what_tasks_told_of_themselves_goes_with_their_history_and_not_before(engine: Engine) -> None:
    kept = engine.query("select upper from pgflow.partition order by lower limit 1")[0][0]
    for root in (5, kept + 5):
        engine.query(
            "insert into pgflow.progress (root_id, task_id, at) values (%s, %s, now()) returning 1", root, root
        )
    sweep(engine)
    assert engine.query("select count(*) from pgflow.progress") == [(2,)]
    engine.query("delete from pgflow.partition where lower = 0 returning 1")
    sweep(engine)
    assert engine.query("select root_id from pgflow.progress") == [(kept + 5,)]


def test_the_children_of_a_paused_run_are_parked_with_it_page_by_page(engine: Engine) -> None:
    (run,) = engine.enqueue()
    engine.claim()
    children = [child_of(engine, run, f"c{number}") for number in range(5)]
    engine.run(runs.pause([run], actor="ann"))
    last, parked = engine.run(runs.park(run, children[1]))
    assert (last, parked) == (children[-1], 3)
    assert engine.run(runs.park(run, children[-1])) == (None, 0)
    assert [engine.state(child) for child in children] == ["queued"] * 2 + ["paused"] * 3
    assert engine.state(run) == "running"


def test_nothing_is_parked_in_a_run_that_is_not_paused(engine: Engine) -> None:
    (run,) = engine.enqueue()
    assert engine.run(runs.park(run)) == (None, 0)
    assert engine.state(run) == "queued"


def test_a_task_that_needs_attention_is_resumed_by_itself_but_not_one_whose_run_is_paused(engine: Engine) -> None:
    (run,) = engine.enqueue()
    engine.claim()
    one, two = child_of(engine, run, "one"), child_of(engine, run, "two")
    first = next(claimed for claimed in engine.claim() if claimed.task_id == one)
    engine.run(leases.park([Parking(one, first.epoch, State.NEEDS_ATTENTION, b'{"type": "E"}')], 1))
    assert engine.run(runs.unpark([], [one, two])) == [(one, run)]
    assert engine.state(one) == "queued"
    engine.run(runs.pause([run]))
    engine.run(runs.park(run))
    assert engine.state(one) == "paused"
    assert engine.run(runs.unpark([], [one])) == []


@pytest.mark.parametrize("limited", [False, True])
def test_a_fork_is_whole_and_where_its_queue_lets_it_be(engine: Engine, limited: bool) -> None:
    if limited:
        engine.run(limits.set_limit("default", limits.Limit(concurrency=1)))
    (old,) = engine.enqueue(input=b'{"a": 1}', tags=b'{"t": "x"}')
    copy = Copy(old, old, b'{"a": 2}', None, b'{"from": 1, "step": null}')
    new = engine.run(runs.fork(copy, actor="ann"))
    assert engine.query("select input, tags, actor from pgflow.task where id = %s", new) == [
        ({"a": 2}, {"t": "x"}, "ann")
    ]
    assert engine.state(new) == ("throttled" if limited else "queued")
    assert engine.events(new) == ["workflow.forked"]
    assert engine.run(runs.fork(Copy(10**12, 10**12, b"{}", None, b"{}"))) is None


def test_a_forks_copies_are_found_by_a_replay_of_it(engine: Engine) -> None:
    (old,) = engine.enqueue()
    (claimed,) = engine.claim()
    child = child_of(engine, old, "2/c")
    recorded = [
        facts.Fact(old, claimed.epoch, EventType.STEP_COMPLETED, "2/charge", b'{"result": 5}'),
        facts.Fact(old, claimed.epoch, EventType.TIMER_CREATED, "2/$sleep", b'{"due_at": "2026-01-01T00:00:00Z"}'),
    ]
    engine.run(facts.record(recorded, 1))
    engine.settle(*engine.claim(), output=b"7")
    events = [id for (id,) in engine.query("select id from pgflow.event where key like '2/%%' order by id")]
    new = engine.run(runs.fork(Copy(old, old, b"{}", None, b"{}", "2/", events, [child])))
    rows = engine.run(workflows.history([(new, new)]))[new]
    found = {row.key: (row.type, row.state, row.data) for row in rows if row.key}
    assert found == {
        "charge": ("step.completed", None, {"result": 5}),
        "$sleep": ("timer.created", None, {"due_at": "2026-01-01T00:00:00Z"}),
        "c": ("child", "completed", 7),
    }


def keys_before(engine: Engine, run: int, step: str) -> list[set[str]]:
    """What a fork of the run from this step would take over: events, children."""
    rows = engine.run(workflows.history([(run, run)]))[run]
    taken = forking.taken_over(rows, step)
    return [
        {str(row.key) for row in rows if row.id in ids and (row.type == "child") is children}
        for ids, children in ((taken.events, False), (taken.children, True))
    ]


def test_a_fork_of_a_fork_takes_over_what_a_fork_of_the_original_does(engine: Engine) -> None:
    """Copies keep the order in which events and children came, though each are numbered for themselves."""
    engine.enqueue(7)  # so that no number of a child is that of an event by chance
    (old,) = engine.enqueue(queue="flows")
    (claimed,) = engine.claim(queue="flows")
    order = ["charge", "pay", "book", "ship", "pay#2", "last"]
    for step in order:
        if step.startswith("pay"):
            child_of(engine, old, step)
            engine.settle(*engine.claim(), output=b"7")
        else:
            fact = facts.Fact(old, claimed.epoch, EventType.STEP_COMPLETED, step, b'{"result": 5}')
            engine.run(facts.record([fact], 1))
    run = old
    for _ in range(2):
        taken = forking.taken_over(engine.run(workflows.history([(run, run)]))[run], "last")
        copy = Copy(run, run, b"{}", None, b"{}", events=taken.events, children=taken.children)
        run = engine.run(runs.fork(copy))
        for position, step in enumerate(order[:-1]):
            before = order[:position]
            events, children = keys_before(engine, run, step)
            assert (events, children) == (
                {name for name in before if not name.startswith("pay")},
                {name for name in before if name.startswith("pay")},
            ), step
            assert (events, children) == tuple(keys_before(engine, old, step))
        ((late,),) = engine.query(
            "select count(*) from pgflow.event e, pgflow.task t where t.id = %s and e.root_id = t.id"
            " and e.at > t.created_at",
            run,
        )
        assert late == 0, "what the fork does itself comes after all of it"
        done = facts.Fact(run, engine.claim(queue="flows")[0].epoch, EventType.STEP_COMPLETED, "last", b'{"result": 5}')
        engine.run(facts.record([done], 1))


def test_copies_are_not_told_to_subscriptions_and_what_a_fork_does_is(engine: Engine) -> None:
    (old,) = engine.enqueue(queue="flows")
    (claimed,) = engine.claim(queue="flows")
    child = child_of(engine, old, "pay")
    engine.settle(*engine.claim(), output=b"7")
    engine.run(facts.record([facts.Fact(old, claimed.epoch, EventType.STEP_COMPLETED, "charge", b'{"result": 5}')], 1))
    engine.query(
        "insert into pgflow.event (root_id, task_id, type, at, key, data) select %s, %s, v.type, now(), 'fetch', '{}'"
        " from (values ('node.started'::pgflow.event_type), ('node.completed')) v(type) returning 1",
        old, old,
    )  # fmt: skip
    engine.run(subscriptions.put(subscription_of("s", "https://example.com/hook", types=["*"]), slot="example.com"))
    events = [id for (id,) in engine.query("select id from pgflow.event where root_id = %s and key is not null", old)]
    with engine.connection.transaction():
        new = engine.run(runs.fork(Copy(old, old, b"{}", None, b"{}", "", events, [child], [("$kept", b"{}")])))
        done = facts.Fact(old, claimed.epoch, EventType.STEP_COMPLETED, "book", b'{"result": 5}')
        engine.run(facts.record([done], 1))
    (again,) = engine.claim(queue="flows")
    done = facts.Fact(new, again.epoch, EventType.STEP_COMPLETED, "book", b'{"result": 5}')
    engine.run(facts.record([done], 1))
    told = engine.query(
        "select (input->'event'->>'run_id')::bigint, input->'event'->>'type', input->'event'->>'key' from pgflow.task"
        " where name = 'pgflow.deliver' order by id"
    )
    assert told == [
        (new, "workflow.forked", None), (new, "workflow.forked", None), (old, "step.completed", "book"),
        (new, "task.started", None), (new, "step.completed", "book"),
    ]  # fmt: skip
    copied = engine.query(
        "select count(*) from pgflow.event where task_id = %s and key in ('charge', 'fetch', '$kept')", new
    )
    assert copied == [(4,)], "its history has them all the same"


def test_workflows_in_flight_are_found_in_every_place_and_no_others(engines: Callable[..., Engine]) -> None:
    engine = engines()
    engine.enqueue(3)
    waiting, sleeping, running, done = engine.enqueue(4, name="flow")
    scheduled = engine.enqueue(name="flow", delay=60.0)
    held = {claimed.task_id: claimed for claimed in engine.claim()}
    engine.settle(held[waiting], state=State.WAITING, needed=1)
    engine.settle(held[sleeping], state=State.SLEEPING, delay=60.0)
    engine.settle(held[done])
    queued, parked = engine.enqueue(2, name="flow")
    engine.run(runs.pause([parked]))
    engine.run(runs.park(parked))
    engine.run(workflows.define([workflows.Definition("gone", "code", b"x", b"{}")]))
    gone = engine.enqueue(name="gone")
    found, last = [], 0
    while last is not None:
        page = engine.run(runs.in_flight(["flow"], last, limit=2))
        found += page.found
        last = page.last
    states = {one.task_id: one.state for one in found}
    assert states == {
        waiting: "waiting", sleeping: "sleeping", running: "running", scheduled[0]: "scheduled", queued: "queued",
        parked: "paused", gone[0]: "queued",
    }  # fmt: skip
    assert len(found) == len(states)


def test_what_keeps_a_task_is_told(engine: Engine) -> None:
    (run,) = engine.enqueue()
    (claimed,) = engine.claim()
    child = child_of(engine, run, "c")
    due = b'{"due_at": "2999-01-01T00:00:00Z"}'
    engine.run(
        facts.record([facts.Fact(run, claimed.epoch, EventType.TIMER_CREATED, f"${name}", due) for name in "ab"], 1)
    )
    engine.run(facts.record([facts.Fact(run, claimed.epoch, EventType.STEP_COMPLETED, "$b", b"{}")], 1))
    engine.settle(claimed, state=State.WAITING, needed=3, delay=100.0)
    engine.run(runs.pause([run], actor="ann"))
    things = {thing.what: thing for thing in engine.run(runs.standing(run, run))}
    assert (things["paused"].actor, things["arrivals"].number) == ("ann", 3)
    assert things["timer"].step == "$a", "what was answered is open no more"
    assert (things["child"].task_id, things["child"].state, things["child"].number) == (child, "queued", 1)


def test_a_worker_may_control_runs_and_a_reader_may_check_them(engines: Callable[..., Engine]) -> None:
    worker, reader = engines(), engines()
    (run,) = worker.enqueue(name="flow")
    worker.connection.execute("set role pgflow_worker")
    reader.connection.execute("set role pgflow_reader")
    worker.run(runs.pause([run], actor="ann"))
    assert worker.run(runs.park(run))[1] == 1
    assert [one.state for one in reader.run(runs.in_flight(["flow"])).found] == ["paused"]
    assert [thing.what for thing in reader.run(runs.standing(run, run))] == ["paused", "parked"]
    assert reader.run(runs.graph(run, run)) == reader.run(runs.outline(run, run)) == []
    assert reader.run(runs.compare((run, run), (run, run), limit=1, size=1)) == ([], 0)
    assert reader.run(runs.of_graphs([(run, run)])) == {}
    worker.run(runs.resume([run], actor="ann"))
    assert worker.run(runs.unpark([run])) == [(run, run)]
    assert worker.run(runs.fork(Copy(run, run, b"{}", None, b"{}"))) > run
    assert worker.run(runs.newest()) > run
    sweep(worker)
