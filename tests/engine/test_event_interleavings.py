"""Application events under every order of emitting, telling and waiting: none is lost to a wait, none taken twice.

The workflow here is the real operation, on the real history: only who drives it is the conductor. Emitting, telling and
suspending happen in transactions that are held open, so that each meets the others uncommitted.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.engine import emissions, facts, reaping, timers, workflows
from pgflow.engine.emissions import Expected, Sought
from pgflow.engine.facts import Fact
from pgflow.errors import DatabaseUnavailable
from pgflow.model import Claimed
from pgflow.sdk import operations
from pgflow.sdk.event_search import alone
from pgflow.sdk.event_verbs import Search, Wanted, Weigh, seek, wanted
from pgflow.sdk.history import History
from pgflow.sdk.journal import Invoke, Wait
from pgflow.sdk.operations import Operation
from pgflow.sdk.replay import Replay
from pgflow.sdk.step import Step
from pgflow.testing.interleaving import (
    Advance,
    Commit,
    Conductor,
    InterleavingFailed,
    Look,
    Pause,
    Program,
    Script,
    Stage,
    Transact,
)
from tests.engine.test_inbox_interleavings import claimed_again
from tests.fixtures.database import url_of
from tests.testing.stage import Sweeper, completed, nothing_is_misplaced, run_of, waiting

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
SEED = int(os.environ.get("PGFLOW_SEED", "20"))
ORDERS = int(os.environ.get("PGFLOW_TEST_ORDERS", "60"))
SEARCH: Callable[[Any], Any] = seek
SEEKER: Step[..., Any] = Step("event", print, None, False)
"""Never called: whoever drives the operation searches by itself."""


@pytest.fixture(scope="module")
def shared(server_url: str, template: str) -> Iterator[Settings]:
    """One database for all tests here."""
    name = f"pgflow_orders_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
        yield Settings(database_url=url_of(server_url, name), _env_file=None)
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def conductor(shared: Settings) -> Iterator[Conductor]:
    with Conductor(shared, Sweeper("pgflow.emission", "pgflow.awaited")) as conductor:
        yield conductor


@dataclass
class Papers:
    """A journal that keeps what is put until it is handed in."""

    task_id: int
    root_id: int
    epoch: int
    now: datetime
    entries: list[Fact] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    def put(self, entry: Any) -> None:
        self.entries.append(entry)

    def settled(self) -> bool:
        return True


@dataclass
class Taken:
    """What a workflow came to."""

    events: list[Any] = field(default_factory=list)


def workflow(
    taken: Taken, task: Claimed, count: int, *, beside: bool = False, match: str | None = None,
    timeout: float | None = None, worker: int = 1,
) -> Script:  # fmt: skip
    """Waits for so many events, one after the other or beside each other; with a time-out, which holds for the first,
    until it has them."""
    while True:
        rows = yield Look(workflows.history([(task.root_id, task.task_id)]))
        history = History(rows[task.task_id])
        assert history.now is not None
        papers = Papers(task.task_id, task.root_id, task.epoch, history.now)
        replay = Replay(papers, history)  # type: ignore[arg-type]
        had, wait = yield from passage(replay, count, beside, match, timeout)
        if papers.entries:
            yield facts.record(papers.entries, worker)
        if wait is None:
            taken.events = had
            yield completed(task, worker=worker)
            return
        delay = None if wait.due is None else (wait.due - history.now).total_seconds()
        yield Transact()
        lost = yield waiting(task, history.arrived + wait.arrivals, delay, worker)
        yield Commit()
        if lost is not None:
            return
        task = yield from claimed_again(task, worker)


def passage(replay: Replay, count: int, beside: bool, match: str | None, timeout: float | None) -> Any:
    """The code, run as far as it comes: what it had, and what it waits for."""
    had: list[Any] = []

    def asked(seconds: float | None = None) -> Operation:
        key = replay.key("$event:paid")
        return operations.event(replay, key, wanted("paid", key="k", match=match), seconds, SEEKER, lambda said: said)

    if beside:
        waits = []
        for operation in [asked() for _ in range(count)]:
            wait = yield from advance(operation, had)
            waits += [wait] if wait is not None else []
        return had, Wait(len(waits)) if waits else None
    while len(had) < count:
        wait = yield from advance(asked(timeout), had)
        if wait is not None:
            return had, wait
        if had[-1] is None:
            had.pop()
        timeout = None
    return had, None


def advance(operation: Operation, had: list[Any]) -> Any:
    """Drive an operation until it waits, or until it has its event."""
    answer: Any = None
    while True:
        try:
            effect = operation.send(answer)
        except StopIteration as stop:
            had.append(stop.value)
            return None
        if isinstance(effect, Wait):
            return effect
        assert isinstance(effect, Invoke)
        answer = yield from search(effect.args[0])


def search(asked: Any) -> Any:
    steps = SEARCH(asked)
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        if isinstance(step, Weigh):
            answer = step()
        else:
            (answer,) = yield alone(step)


def emitter(payload: Any, *, insists: bool = False) -> Script:
    """Emits an event in a transaction that is held open, and then does what its task does."""
    text = str(payload).encode()
    while True:
        try:
            yield Transact()
            emitted = yield emissions.emit("paid", text, key="k", given_id=f"of {payload}")
            yield Commit()
            yield from told(emitted.id)
            return
        except DatabaseUnavailable:
            if not insists:
                raise


def told(emission: int) -> Script:
    """The task of an event: each statement in a transaction that is held open."""
    event = yield Look(emissions.emission(emission))
    after = (0, "")
    while page := (yield Look(emissions.waiting(event.name, event.key, after, 1))):
        yield Transact()
        yield emissions.deliver(event, page)
        yield Commit()
        after = (page[-1].task_id, page[-1].step)


def has_had(stage: Stage, taken: Taken, events: list[Any]) -> None:
    nothing_is_misplaced(stage)
    assert sorted(taken.events) == sorted(events), f"it has had {taken.events}"
    assert not stage.query("select from pgflow.awaited"), "it waits no more"


def program(count: int, *, late: int = 0, **how: Any) -> Program:
    """A workflow that waits for `count` events, and those that emit them; `late` more than it wants."""

    def play(stage: Stage) -> Iterator[None]:
        taken, task = Taken(), run_of(stage)
        stage.act("workflow", workflow(taken, task, count, **how))
        for number in range(count + late):
            stage.act(f"emitter{number}", emitter(number))
        yield
        nothing_is_misplaced(stage)
        assert len(set(taken.events)) == len(taken.events) == count, f"it has had {taken.events}"

    return play


def test_a_wait_meets_an_event(conductor: Conductor) -> None:
    tally = conductor.every(program(1), preemptions=3)
    assert tally.orders > 30
    conductor.draw(program(1, match="event.payload >= 0"), seed=SEED, orders=ORDERS)


def test_a_wait_meets_two_events(conductor: Conductor) -> None:
    conductor.draw(program(1, late=1), seed=SEED, orders=ORDERS, changes=5)


def test_two_waits_meet_two_events(conductor: Conductor) -> None:
    conductor.draw(program(2), seed=SEED, orders=ORDERS, changes=5)


def test_two_waits_beside_each_other_meet_two_events(conductor: Conductor) -> None:
    conductor.draw(program(3, beside=True), seed=SEED, orders=ORDERS, changes=5)


def test_two_runs_meet_the_same_events(conductor: Conductor) -> None:
    def play(stage: Stage) -> Iterator[None]:
        both = Taken(), Taken()
        for number, taken in enumerate(both):
            task = run_of(stage, name=f"run {number}")
            stage.act(f"workflow{number}", workflow(taken, task, 1 + number))
        for number in range(2):
            stage.act(f"emitter{number}", emitter(number))
        yield
        nothing_is_misplaced(stage)
        assert [len(set(taken.events)) for taken in both] == [1, 2]

    conductor.draw(play, seed=SEED, orders=ORDERS, changes=5)


def test_a_time_out_meets_an_event(conductor: Conductor) -> None:
    """Whichever wins: the event is had by the wait that timed out, or by the next one."""

    def leader() -> Script:
        while True:
            yield Advance(10.0)
            while (yield timers.time_out(10)):
                pass
            yield Pause()

    def play(stage: Stage) -> Iterator[None]:
        taken, task = Taken(), run_of(stage)
        stage.act("workflow", workflow(taken, task, 1, timeout=5.0))
        stage.act("emitter", emitter(7))
        stage.act("leader", leader())
        yield
        has_had(stage, taken, [7])

    conductor.draw(play, seed=SEED, orders=ORDERS, changes=5)


def test_an_emitter_that_is_cut_off_and_emits_again_tells_it_once(conductor: Conductor) -> None:
    def play(stage: Stage) -> Iterator[None]:
        taken, task = Taken(), run_of(stage)
        stage.act("workflow", workflow(taken, task, 1))
        stage.act("emitter", emitter(7, insists=True))
        yield
        ((emitted, tasks),) = stage.query(
            "select (select count(*) from pgflow.emission), (select count(*) from pgflow.task where queue = 'pgflow')"
        )
        assert emitted == tasks <= 1, f"emitted {emitted} times, with {tasks} tasks"
        ((told,),) = stage.query("select count(*) from pgflow.event where type = 'signal.received'")
        assert told <= 1, f"told {told} times"

    conductor.every(play, faults=1, preemptions=1)


def test_a_worker_that_dies_while_its_workflow_waits_loses_no_event(conductor: Conductor) -> None:
    def reaper() -> Script:
        while True:
            yield reaping.reap([1], max_crashes=9)
            yield Pause()

    def heir(taken: Taken, task: Claimed) -> Script:
        task = yield from claimed_again(task, 2)
        yield from workflow(taken, task, 2, worker=2)

    def play(stage: Stage) -> Iterator[None]:
        first, second, task = Taken(), Taken(), run_of(stage)
        stage.act("workflow", workflow(first, task, 2))
        stage.act("reaper", reaper())
        stage.act("heir", heir(second, task))
        for number in range(2):
            stage.act(f"emitter{number}", emitter(number))
        yield
        nothing_is_misplaced(stage)
        recorded = stage.query("select data->'payload' from pgflow.event where type = 'step.completed'")
        assert sorted(recorded) == [(0,), (1,)], f"it has recorded {recorded}"
        assert stage.query("select state::text from pgflow.task_state where id = %s", task.task_id) == [("completed",)]

    conductor.draw(play, seed=SEED, orders=ORDERS, changes=5)


# Ways to get it wrong, which the same programs find.


def looks_first(asked: Wanted) -> Search:
    """Looks, and only then makes it known that it waits."""
    found = yield Sought("paid", "k", (LONG_AGO, 0), None, asked.taken)
    yield Expected(asked.task_id, asked.epoch, asked.step, asked.name, asked.key)
    return next(iter(found), None)


def looks_never(asked: Wanted) -> Search:
    """Trusts that it will be told of everything."""
    yield Expected(asked.task_id, asked.epoch, asked.step, asked.name, asked.key)
    return None


@pytest.mark.parametrize("wrong", [looks_first, looks_never])
def test_a_search_in_the_wrong_order_would_lose_events(
    conductor: Conductor, wrong: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.SEARCH", wrong)
    with pytest.raises(InterleavingFailed, match="it has had"):
        conductor.every(program(1), preemptions=2)
