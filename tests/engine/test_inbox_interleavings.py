"""The inbox under every order of its verbs: no wake-up is lost, none doubled, nobody is misplaced, nothing deadlocks.

The pairs run in every order there is, each statement in a transaction that is held open, so that every verb meets every
other uncommitted; with a lost connection, too. The family, many verbs at once, runs in orders drawn from a seed. And
four ways of getting the inbox wrong show that the same programs would find them.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.db.statements import source
from pgflow.engine import control, inbox, leases, reaping, timers, workflows
from pgflow.errors import DatabaseUnavailable
from pgflow.model import Claimed, Settlement, State
from pgflow.testing.interleaving import (
    Advance,
    Command,
    Commit,
    Conductor,
    InterleavingFailed,
    Look,
    Pause,
    Program,
    Query,
    Script,
    Stage,
    Transact,
)
from tests.fixtures.database import url_of
from tests.testing.stage import Sweeper, children_of, claim, completed, nothing_is_misplaced, run_of, waiting

SEED = int(os.environ.get("PGFLOW_SEED", "20"))

# As a replay does: the history and what has arrived, in one plain statement.
LOOK = """
select coalesce((select arrived from pgflow.inbox where task_id = t.id), 0),
       (select count(*) from pgflow.outcome o where o.root_id = t.root_id and o.parent_id = t.id),
       (select count(*) from pgflow.event e
         where e.root_id = t.root_id and e.task_id = t.id and e.type = 'signal.received')
  from pgflow.task t where t.root_id = %s and t.id = %s"""


@pytest.fixture(scope="module")
def shared(server_url: str, template: str) -> Iterator[Settings]:
    """One database for all tests here: every order leaves it empty, and connections that have planned are fast."""
    name = f"pgflow_orders_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
        yield Settings(database_url=url_of(server_url, name), _env_file=None)
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def conductor(shared: Settings) -> Iterator[Conductor]:
    with Conductor(shared, Sweeper()) as conductor:
        yield conductor


@dataclass
class Told:
    """What the actors know that they did, or at least began: who loses the connection cannot be sure."""

    suspensions: int = 0
    reaped: int = 0


def held(*calls: Call[Any]) -> Script:
    """Calls in a transaction that stays open until it is this actor's turn again."""
    yield Transact()
    yield from (call for call in calls)
    yield Commit()


def plain(*calls: Call[Any]) -> Script:
    """Calls, each a transaction of its own."""
    yield from (call for call in calls)


def signal(task: Claimed) -> Call[Any]:
    return workflows.signal([workflows.Signal(task.task_id, "go")])


def suspend(told: Told, task: Claimed, needed: int, delay: float | None = None) -> Script:
    told.suspensions += 1
    yield from held(waiting(task, needed, delay))


def cancel(task: Claimed) -> Script:
    """What a client does: until the task was moved or has its outcome."""
    while not (yield control.cancel([task.task_id])):
        (located,) = yield Look(control.locate([task.task_id]))
        if located.final:
            return
        yield Pause()


def fire(seconds: float, times: int = 1) -> Script:
    """The leader: time passes, and whoever is due is woken."""
    for _ in range(times - 1):
        yield Advance(seconds)
        yield timers.time_out(10)
    yield Advance(seconds)
    while True:
        while (yield timers.time_out(10)):
            pass
        yield Pause()


def reap(told: Told, worker: int) -> Script:
    told.reaped += 1
    yield from held(reaping.reap([worker], max_crashes=3))


def workflow(
    told: Told, task: Claimed, wanted: int, *, delay: float | None = None, at_once: bool = True, worker: int = 1
) -> Script:
    """What a workflow does: it looks, waits for what it lacks, and looks again when it was woken."""
    while True:
        ((seen, children, signals),) = yield Look(Query(LOOK, (task.root_id, task.task_id)))
        lacks = wanted - children - signals
        if lacks <= 0:
            yield completed(task, worker=worker)
            return
        told.suspensions += 1
        if (yield waiting(task, seen + (lacks if at_once else 1), delay, worker)) is not None:
            return  # its lease is lost
        task = yield from claimed_again(task, worker)


def next_workflow(told: Told, task: Claimed, wanted: int, *, worker: int) -> Script:
    """The same on another worker, when it gets hold of the task."""
    task = yield from claimed_again(task, worker)
    yield from workflow(told, task, wanted, at_once=False, worker=worker)


def claimed_again(task: Claimed, worker: int) -> Generator[Command, Any, Claimed]:
    while not (claimed := (yield claim(1, queue=task.queue, worker=worker))):
        yield Pause()
    return claimed[0]  # type: ignore[no-any-return]


def insists(*calls: Call[Any]) -> Script:
    """What a settler does: it sends again what it does not know to have been done."""
    for call in calls:
        try:
            yield call
        except DatabaseUnavailable:
            yield call


def sound(stage: Stage, task: Claimed, told: Told) -> None:
    """What holds after every order, whoever died on the way."""
    nothing_is_misplaced(stage)
    ((arrived, children, signals),) = stage.query(LOOK, task.root_id, task.task_id)
    ((state, starts, ready),) = stage.query(
        "select s.state::text, (select count(*) from pgflow.event e where e.root_id = s.root_id and e.task_id = s.id"
        " and e.type = 'task.started'), (select count(*) from pgflow.ready r where r.task_id = s.id)"
        " from pgflow.task_state s where s.id = %s",
        task.task_id,
    )
    woken = starts - 1 + ready
    assert woken <= told.suspensions + told.reaped, f"woken {woken} times in {told.suspensions} suspensions"
    if state == "waiting":
        ((needed,),) = stage.query("select needed from pgflow.inbox where task_id = %s", task.task_id)
        assert needed > children + signals, f"it waits for {needed}, and {children + signals} have arrived"
    if not State(state).final:  # with its outcome, the inbox may go
        assert arrived == children + signals, f"{arrived} of {children + signals} arrivals were counted"


def state_of(stage: Stage, task: Claimed) -> str:
    ((state,),) = stage.query("select state::text from pgflow.task_state where id = %s", task.task_id)
    return str(state)


def waits_for(count: int, *, kind: str, deaths: bool = False) -> Program:
    """A suspension and as many arrivals, all uncommitted at once."""

    def program(stage: Stage) -> Iterator[None]:
        told = Told()
        parent = run_of(stage)
        if kind == "child":
            arrivals = [completed(child) for child in children_of(stage, parent, count)]
        else:
            arrivals = [signal(parent) for _ in range(count)]
        stage.act("parent", suspend(told, parent, count))
        for number, arrival in enumerate(arrivals):
            stage.act(f"{kind}{number}", held(arrival))
        yield
        sound(stage, parent, told)
        assert deaths or state_of(stage, parent) == "queued", "it sleeps on"

    return program


@pytest.mark.parametrize("kind", ["child", "signal"])
def test_a_suspension_meets_an_arrival(conductor: Conductor, kind: str) -> None:
    tally = conductor.every(waits_for(1, kind=kind))
    assert tally.orders >= 4
    assert tally.blocked >= 2, "each of the two has met the other uncommitted"
    assert conductor.every(waits_for(1, kind=kind, deaths=True), faults=2).lost >= 8


@pytest.mark.parametrize("kind", ["child", "signal"])
def test_a_suspension_meets_two_arrivals_at_once(conductor: Conductor, kind: str) -> None:
    """Two transactions, each with an arrival of its own, in every order, and the suspension anywhere between."""
    assert conductor.every(waits_for(2, kind=kind)).blocked > 10


def test_a_suspension_meets_a_bare_arrival(conductor: Conductor) -> None:
    def program(stage: Stage) -> Iterator[None]:
        parent = run_of(stage)
        stage.act("parent", held(waiting(parent, 2)))
        stage.act("one", held(inbox.arrive([parent.task_id])))
        stage.act("other", held(inbox.arrive([parent.task_id])))
        yield
        nothing_is_misplaced(stage)
        assert state_of(stage, parent) == "queued"

    assert conductor.every(program).blocked > 10


def test_a_time_out_meets_an_arrival(conductor: Conductor) -> None:
    def program(stage: Stage) -> Iterator[None]:
        told = Told(suspensions=1)
        parent = run_of(stage)
        stage.run(waiting(parent, 1, delay=10.0))
        stage.act("clock", fire(11.0))
        stage.act("late", held(timers.time_out(10)))
        stage.act("signal", held(signal(parent)))
        yield
        sound(stage, parent, told)
        assert state_of(stage, parent) == "queued"

    conductor.every(program, preemptions=2)


def test_a_time_out_meets_a_suspension(conductor: Conductor) -> None:
    """Time may pass before the suspension, while it is uncommitted, or after: only then is it over."""
    states = set()

    def program(stage: Stage) -> Iterator[None]:
        told = Told()
        parent = run_of(stage)
        stage.act("parent", suspend(told, parent, 1, delay=10.0))
        stage.act("clock", fire(11.0))
        yield
        sound(stage, parent, told)
        state = state_of(stage, parent)
        states.add(state)
        ((due,),) = stage.query(
            "select count(*) from pgflow.inbox where wake_at <= pgflow.now() and task_id = %s", parent.task_id
        )
        assert due == 0
        assert ("timer.fired" in events(stage, parent)) == (state == "queued")

    conductor.every(program)
    assert states == {"queued", "waiting"}


def test_a_suspension_that_times_out_at_once_meets_an_arrival(conductor: Conductor) -> None:
    def program(stage: Stage) -> Iterator[None]:
        told = Told()
        parent = run_of(stage)
        (child,) = children_of(stage, parent, 1)
        stage.act("parent", suspend(told, parent, 1, delay=0.0))
        stage.act("child", held(completed(child)))
        stage.act("clock", fire(1.0))
        yield
        sound(stage, parent, told)
        assert state_of(stage, parent) == "queued"

    conductor.every(program, preemptions=2)


def test_cancelling_a_task_that_waits_meets_its_arrival(conductor: Conductor) -> None:
    def program(stage: Stage) -> Iterator[None]:
        told = Told(suspensions=1)
        parent = run_of(stage)
        (child,) = children_of(stage, parent, 1)
        stage.run(waiting(parent, 1))
        stage.act("client", cancel(parent))
        stage.act("slow", held(control.cancel([parent.task_id])))
        stage.act("child", held(completed(child)))
        yield
        sound(stage, parent, told)
        assert state_of(stage, parent) == "cancelled"

    conductor.every(program)


def test_cancelling_a_task_meets_its_suspension(conductor: Conductor) -> None:
    def program(stage: Stage) -> Iterator[None]:
        told = Told()
        parent = run_of(stage)
        (child,) = children_of(stage, parent, 1)
        stage.act("client", cancel(parent))
        stage.act("parent", suspend(told, parent, 1))
        stage.act("child", held(completed(child)))
        yield
        sound(stage, parent, told)
        assert state_of(stage, parent) == "cancelled"

    conductor.every(program)


def test_reaping_a_lease_meets_its_suspension_and_the_arrival(conductor: Conductor) -> None:
    states = set()

    def program(stage: Stage) -> Iterator[None]:
        told = Told()
        parent = run_of(stage, worker=1)
        (child,) = children_of(stage, parent, 1, worker=1)
        stage.act("parent", suspend(told, parent, 2))
        stage.act("reaper", reap(told, 1))
        stage.act("child", held(completed(child)))
        yield
        sound(stage, parent, told)
        ((attempt,),) = stage.query(
            "select attempt from pgflow.ready where task_id = %s union all"
            " select attempt from pgflow.inbox where task_id = %s and needed > arrived", parent.task_id, parent.task_id
        )  # fmt: skip
        states.add((state_of(stage, parent), attempt))

    conductor.every(program)
    assert states == {("waiting", 1), ("queued", 2)}, "either the suspension or the reaper has its way"


def test_a_poisoned_child_arrives_like_any_other(conductor: Conductor) -> None:
    def program(stage: Stage) -> Iterator[None]:
        told = Told()
        parent = run_of(stage, worker=1)
        (child,) = children_of(stage, parent, 1, worker=2)
        stage.act("parent", suspend(told, parent, 1))
        stage.act("reaper", held(reaping.reap([2], max_crashes=1)))
        stage.act("child", held(completed(child, worker=2)))
        yield
        sound(stage, parent, told)
        assert state_of(stage, parent) == "queued"

    conductor.every(program)


def test_two_parents_and_their_children_in_opposite_order(conductor: Conductor) -> None:
    """Batches that name the same rows in opposite order, and the parents' suspensions among them."""

    def program(stage: Stage) -> Iterator[None]:
        told = Told(suspensions=1)
        one, other = run_of(stage, name="one"), run_of(stage, name="other")
        a, b = children_of(stage, one, 2)
        c, d = children_of(stage, other, 2)
        stage.act("forth", held(completed(a, c)))
        stage.act("back", held(completed(d, b)))
        stage.act("parents", held(suspensions(other, one, needed=2)))
        yield
        for parent in (one, other):
            sound(stage, parent, told)
            assert state_of(stage, parent) == "queued"

    assert conductor.every(program).blocked > 10


def suspensions(*claimed: Claimed, needed: int) -> Call[Any]:
    return leases.settle([Settlement(c.task_id, c.epoch, State.WAITING, needed=needed) for c in claimed], 1)


def events(stage: Stage, task: Claimed) -> list[str]:
    return [row[0] for row in stage.query("select type::text from pgflow.event where task_id = %s", task.task_id)]


def test_cancelling_a_task_that_waits_meets_a_batch_for_it_and_its_parent(conductor: Conductor) -> None:
    """The client holds the inbox of the task it cancels and wants its parent's; the batch holds that and wants this.

    A batch is one statement, which locks the rows in this order; two in one transaction let something come between.
    """

    def program(stage: Stage) -> Iterator[None]:
        told = Told(suspensions=1)
        parent = run_of(stage)
        middle, other = children_of(stage, parent, 2)
        (below,) = children_of(stage, middle, 1)
        stage.run(waiting(middle, 1))
        stage.act("batch", held(completed(other), completed(below)))
        stage.act("client", cancel(middle))
        yield
        sound(stage, parent, told)

    conductor.every(program)


def family(*, delay: float | None = None, at_once: bool = True, die: bool = False, also: str = "") -> Program:
    """A workflow that wants four children and two signals, and all that comes between."""

    def program(stage: Stage) -> Iterator[None]:
        told = Told()
        parent = run_of(stage, worker=1)
        a, b, c, d = children_of(stage, parent, 4, worker=9)
        stage.act("workflow", workflow(told, parent, 6, delay=delay, at_once=at_once))
        stage.act("settler", insists(completed(a, b, worker=9)))
        stage.act("slow", held(completed(c, worker=9), completed(d, worker=9)))
        stage.act("one", plain(signal(parent)))
        stage.act("two", held(signal(parent)))
        if delay is not None:
            stage.act("clock", fire(delay + 1, times=2))
        if "reap" in also:
            stage.act("reaper", reap(told, 1))
            stage.act("other", next_workflow(told, parent, 6, worker=2))
        if "cancel" in also:
            stage.act("client", cancel(parent))
        yield
        sound(stage, parent, told)
        assert die or state_of(stage, parent) in ({"completed", "cancelled"} if "cancel" in also else {"completed"})

    return program


FAMILIES = {
    "at once": family(),
    "one by one": family(at_once=False),
    "timed": family(delay=10.0),
    "reaped": family(delay=10.0, at_once=False, also="reap"),
    "cancelled": family(delay=10.0, at_once=False, also="cancel"),
}
DYING = {
    "dying": family(die=True),
    "dying, and all else": family(delay=10.0, at_once=False, die=True, also="reap cancel"),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_in_orders_drawn_from_a_seed(conductor: Conductor, name: str) -> None:
    conductor.draw(FAMILIES[name], seed=SEED, orders=20)


@pytest.mark.parametrize("name", DYING)
def test_a_family_whose_connections_are_lost(conductor: Conductor, name: str) -> None:
    assert conductor.draw(DYING[name], seed=SEED, orders=20, faults=2).lost > 0


@pytest.mark.torture
@pytest.mark.parametrize("changes", [1, 3, 6])
@pytest.mark.parametrize("name", [*FAMILIES, *DYING])
def test_a_family_in_very_many_orders(conductor: Conductor, name: str, changes: int) -> None:
    program = FAMILIES.get(name) or DYING[name]
    conductor.draw(program, seed=SEED, orders=1_000, changes=changes, faults=3 if name in DYING else 0)


# What the inbox could be got wrong by: what to put in the place of what, in sql/functions/arrive.sql.
WRONG = {
    "the crossing is tested on a row that was read apart": (
        "(t.suspended or t.arrived - t.added < t.needed)",
        "(t.suspended or exists (select from pgflow.inbox o where o.task_id = t.task_id and o.arrived < t.needed))",
    ),
    "the number needed is read apart": (
        "where t.arrived >= t.needed and",
        "where t.arrived >= (select o.needed from pgflow.inbox o where o.task_id = t.task_id) and",
    ),
    "waking clears what has arrived": (
        "    return woken;",
        (
            "    update pgflow.inbox i set arrived = 0, needed = null"
            " where i.task_id = any(tasks) and i.arrived >= i.needed; return woken;"
        ),
    ),
    "a suspension overwrites what has arrived": (
        "arrived = i.arrived + excluded.arrived,",
        "arrived = case when excluded.suspended then excluded.arrived else i.arrived + excluded.arrived end,",
    ),
    "every arrival past the crossing wakes again": ("(t.suspended or t.arrived - t.added < t.needed)", "true"),
    "a suspension does not look at what is there": (
        "(t.suspended or t.arrived - t.added < t.needed)",
        "t.arrived - t.added < t.needed",
    ),
}


def explored(conductor: Conductor) -> None:
    """All that the tests above do, in short."""
    for kind in ("signal", "child"):
        conductor.every(waits_for(2, kind=kind))
    for program in FAMILIES.values():
        conductor.draw(program, seed=SEED, orders=10)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_inbox_is_found(conductor: Conductor, shared: Settings, name: str) -> None:
    right, wrong = WRONG[name]
    function = source("sql/functions", "arrive")
    assert function.count(right) == 1, "the function was rewritten: plant the bug anew"
    with psycopg.connect(shared.require_url(), autocommit=True) as connection:
        connection.execute(function.replace(right, wrong))
        try:
            with pytest.raises(InterleavingFailed):
                explored(conductor)
        finally:
            connection.execute(function)


def test_a_replay_that_reads_the_history_before_the_arrivals_is_found(conductor: Conductor) -> None:
    """The inbox is right, and its user is wrong: an arrival between the two is taken to have been looked at."""

    def careless(told: Told, task: Claimed, wanted: int) -> Script:
        ((_, done, _),) = yield Look(Query(LOOK, (task.root_id, task.task_id)))
        ((seen, _, _),) = yield Look(Query(LOOK, (task.root_id, task.task_id)))
        told.suspensions += 1
        yield waiting(task, seen + wanted - done)

    def program(stage: Stage) -> Iterator[None]:
        told = Told()
        parent = run_of(stage)
        (child,) = children_of(stage, parent, 1)
        stage.act("workflow", careless(told, parent, 1))
        stage.act("child", plain(completed(child)))
        yield
        sound(stage, parent, told)
        assert state_of(stage, parent) == "queued", "it sleeps on"

    with pytest.raises(InterleavingFailed, match="it sleeps on") as failure:
        conductor.every(program)
    assert failure.value.order == "workflow child workflow workflow"
    with pytest.raises(InterleavingFailed, match="it sleeps on"):
        conductor.follow(program, failure.value.order)


def interrupted(suspension: Settlement, stage: Stage, task: Claimed) -> Iterator[None]:
    """A workflow that is told to cancel itself while it goes to rest: it is woken, whenever that was."""
    stage.act("workflow", held(leases.settle([suspension], 1)))
    stage.act("client", plain(workflows.interrupt([(task.root_id, task.task_id)])))
    yield
    nothing_is_misplaced(stage)
    assert state_of(stage, task) == "queued", "it has not heard of it"


def test_interrupting_a_workflow_that_waits_for_two(conductor: Conductor) -> None:
    def program(stage: Stage) -> Iterator[None]:
        task = run_of(stage)
        yield from interrupted(Settlement(task.task_id, task.epoch, State.WAITING, needed=2), stage, task)

    conductor.every(program)


def test_interrupting_a_workflow_that_goes_to_sleep(conductor: Conductor) -> None:
    def program(stage: Stage) -> Iterator[None]:
        task = run_of(stage)
        # One that can be told so sleeps in its inbox.
        yield from interrupted(Settlement(task.task_id, task.epoch, State.WAITING, needed=1, delay=99.0), stage, task)

    conductor.every(program)


def test_interrupting_a_workflow_that_waits_for_one(conductor: Conductor) -> None:
    def program(stage: Stage) -> Iterator[None]:
        task = run_of(stage)
        yield from interrupted(Settlement(task.task_id, task.epoch, State.WAITING, needed=1), stage, task)

    conductor.every(program)
