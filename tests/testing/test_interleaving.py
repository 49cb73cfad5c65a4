"""The conductor tries every order, sees who is blocked, finds what is planted, and tells how to do it again."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.config import Settings
from pgflow.errors import DatabaseUnavailable
from pgflow.testing.interleaving import (
    Advance,
    Commit,
    Conductor,
    InterleavingFailed,
    Look,
    Pause,
    Program,
    Query,
    Rollback,
    Script,
    Stage,
    Transact,
)
from pgflow.testing.orders import Chooser, Drawn, Every, Fault, Followed, Move, Turn, parsed, simpler, written
from tests.docs.markdown import ROOT, blocks

READ = "select balance from account where id = %s"
WRITE = "update account set balance = %s where id = %s returning balance"


@pytest.fixture
def accounts(empty_database: Settings) -> Settings:
    with psycopg.connect(empty_database.require_url(), autocommit=True) as connection:
        connection.execute("create table account (id integer primary key, balance integer)")
        connection.execute("insert into account select i, 0 from generate_series(1, 3) i")
    return empty_database


def zero(connection: psycopg.Connection[object]) -> None:
    connection.execute("update account set balance = 0")


@pytest.fixture
def conductor(accounts: Settings) -> Iterator[Conductor]:
    with Conductor(accounts, zero) as conductor:
        yield conductor


def deposits(read: str) -> Program:
    """Two deposits at once; with what the balance is read decides whether both are there in the end."""

    def deposit() -> Script:
        yield Transact()
        ((balance,),) = yield Query(read, (1,))
        yield Query(WRITE, (balance + 1, 1))
        yield Commit()

    def program(stage: Stage) -> Iterator[None]:
        stage.act("ann", deposit())
        stage.act("bob", deposit())
        yield
        assert stage.query(READ, 1) == [(2,)], "a deposit is lost"

    return program


def test_a_lost_update_is_found_and_told_so_that_it_can_be_done_again(conductor: Conductor) -> None:
    with pytest.raises(InterleavingFailed, match="a deposit is lost") as failure:
        conductor.every(deposits(READ))
    assert len(set(failure.value.order.split())) == 2
    assert failure.value.trace[0].split()[:3] == ["1", failure.value.order.split()[0], "select"]
    for _ in range(3):
        with pytest.raises(InterleavingFailed, match="a deposit is lost") as again:
            conductor.follow(deposits(READ), failure.value.order)
        assert again.value.order == failure.value.order


def test_the_right_way_passes_in_every_order(conductor: Conductor) -> None:
    tally = conductor.every(deposits(READ + " for update"))
    assert tally.orders > 2
    assert tally.blocked >= 2


def test_one_interruption_is_enough_and_none_is_not(conductor: Conductor) -> None:
    assert conductor.every(deposits(READ), preemptions=0).orders == 2
    with pytest.raises(InterleavingFailed, match="a deposit is lost"):
        conductor.every(deposits(READ), preemptions=1)


def test_a_seed_draws_the_same_failure_again(conductor: Conductor) -> None:
    def failure(seed: int) -> InterleavingFailed:
        with pytest.raises(InterleavingFailed, match="a deposit is lost") as found:
            conductor.draw(deposits(READ), seed=seed, orders=50, changes=2)
        return found.value

    one, again = failure(7), failure(7)
    assert (one.seed, one.order, len(one.trace)) == (again.seed, again.order, len(again.trace))
    assert f"seed: {one.seed}" in str(one)


def test_a_deadlock_fails_the_order(conductor: Conductor) -> None:
    def transfer(source: int, target: int) -> Script:
        yield Transact()
        yield Query(WRITE, (1, source))
        yield Query(WRITE, (1, target))
        yield Commit()

    def program(stage: Stage) -> Iterator[None]:
        stage.act("forth", transfer(1, 2))
        stage.act("back", transfer(2, 1))
        yield

    with pytest.raises(InterleavingFailed, match="deadlock") as failure:
        conductor.every(program)
    assert any("is blocked by" in line for line in failure.value.trace)
    conductor.follow(program, "forth forth forth back back back")


def test_it_fails_when_everybody_waits_for_one_who_does_not_move(conductor: Conductor) -> None:
    def holds() -> Script:
        yield Transact()
        yield Query(WRITE, (1, 1))
        yield Pause()
        yield Commit()

    def wants() -> Script:
        yield Query(WRITE, (2, 1))

    def program(stage: Stage) -> Iterator[None]:
        stage.act("holder", holds())
        stage.act("other", wants())
        yield

    with pytest.raises(InterleavingFailed, match="waits for a lock") as failure:
        conductor.follow(program, "holder other")
    assert "is blocked by holder" in failure.value.trace[-1]


def test_a_blocked_statement_goes_on_and_its_answer_arrives(conductor: Conductor) -> None:
    heard = []

    def first() -> Script:
        yield Transact()
        yield Query(WRITE, (5, 1))
        yield Commit()

    def second() -> Script:
        heard.append((yield Query("update account set balance = balance + 1 where id = 1 returning balance")))

    def program(stage: Stage) -> Iterator[None]:
        stage.act("first", first())
        stage.act("second", second())
        yield
        assert heard == [[(6,)]]

    conductor.follow(program, "first second first")
    assert conductor.tally.blocked == 1


def test_an_error_that_no_actor_catches_fails_the_order(conductor: Conductor) -> None:
    def actor(catches: bool) -> Script:
        try:
            yield Query("insert into account values (1, 0)")
        except psycopg.errors.UniqueViolation:
            if not catches:
                raise

    def program(catches: bool) -> Program:
        def program(stage: Stage) -> Iterator[None]:
            stage.act("one", actor(catches))
            yield

        return program

    conductor.every(program(catches=True))
    with pytest.raises(InterleavingFailed, match="one: UniqueViolation"):
        conductor.every(program(catches=False))


@pytest.mark.parametrize("reconnect", [False, True])
def test_a_connection_is_lost_before_and_after(accounts: Settings, reconnect: bool) -> None:
    seen: set[tuple[str, int]] = set()
    pids: set[int] = set()

    def deposit(learnt: list[str]) -> Script:
        try:
            yield Transact()
            ((pid,),) = yield Query("select pg_backend_pid()")
            pids.add(pid)
            yield Query(WRITE, (1, 1))
            yield Commit()
            learnt.append("done")
        except DatabaseUnavailable:
            learnt.append("unsure")
            yield Query(READ, (1,))  # over another connection, and outside of any transaction

    def program(stage: Stage) -> Iterator[None]:
        learnt: list[str] = []
        stage.act("one", deposit(learnt))
        yield
        seen.add((learnt[0], stage.query(READ, 1)[0][0]))

    with Conductor(accounts, zero, reconnect=reconnect) as conductor:
        assert conductor.every(program, faults=1).lost == 4
    assert seen == {("done", 1), ("unsure", 0), ("unsure", 1)}
    assert (len(pids) > 1) == reconnect


def test_who_dies_of_a_lost_connection_is_no_failure(conductor: Conductor) -> None:
    ended = []

    def actor() -> Script:
        yield Query(WRITE, (1, 1))
        ended.append(True)

    def program(stage: Stage) -> Iterator[None]:
        stage.act("one", actor())
        yield

    conductor.follow(program, "one-")
    conductor.follow(program, "one+")
    assert ended == []
    conductor.follow(program, "one")
    assert ended == [True]


def test_time_is_one_for_all(empty_database: Settings) -> None:
    ahead = "select coalesce(nullif(current_setting('pgflow.clock_offset', true), ''), '0')::interval = interval '%s s'"

    def looks(seconds: int) -> Script:
        assert (yield Look(Query(ahead % seconds))) == [(True,)]

    def clock() -> Script:
        yield Transact()
        yield from looks(0)
        yield Advance(60)
        yield from looks(60)
        yield Rollback()
        yield from looks(60)

    def program(stage: Stage) -> Iterator[None]:
        stage.act("clock", clock())
        stage.act("other", looks(60))
        yield
        assert stage.query(ahead % 60) == [(True,)]

    with Conductor(empty_database, lambda connection: None) as conductor:
        for _ in range(2):  # the second finds the clock set back
            conductor.follow(program, "clock clock clock clock clock other")


def test_who_pauses_goes_on_when_somebody_did_something(conductor: Conductor) -> None:
    looks = Counter[str]()

    def watcher(name: str) -> Script:
        while (yield Query(READ, (1,))) == [(0,)]:
            looks[name] += 1
            yield Pause()

    def writer(balance: int) -> Script:
        yield Look(Query(READ, (1,)))
        yield Query(WRITE, (balance, 1))

    def program(balance: int) -> Program:
        def program(stage: Stage) -> Iterator[None]:
            looks.clear()
            stage.act("one", watcher("one"))
            stage.act("two", watcher("two"))
            stage.act("writer", writer(balance))
            yield
            assert max(looks.values(), default=0) <= 2, "they keep each other awake"

        return program

    conductor.every(program(5))
    conductor.every(program(0))  # what they wait for never comes, and yet there is an end
    assert set(looks) == {"one", "two"}


def test_a_program_that_never_yields_or_yields_twice_is_refused(conductor: Conductor) -> None:
    def twice(stage: Stage) -> Iterator[None]:
        yield
        yield

    with pytest.raises(ValueError, match="yields once"):
        conductor.every(twice)


@pytest.mark.parametrize("name", ["two words", "one", ""])
def test_actors_names_must_fit_into_an_order(conductor: Conductor, name: str) -> None:
    def idle() -> Script:
        yield Pause()

    def program(stage: Stage) -> Iterator[None]:
        stage.act("one", idle())
        stage.act(name, idle())
        yield

    with pytest.raises(ValueError, match="one word"):
        conductor.every(program)


# ------------------------------------------------------------------------------------------ orders, without a database

ALL: tuple[Fault, ...] = (Fault.NONE, Fault.BEFORE, Fault.AFTER)
Lengths = dict[str, int]
LENGTHS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 3), min_size=1)


def played(lengths: Lengths, choose: Callable[[Turn], Move]) -> tuple[Move, ...]:
    """The moves of actors who never block."""
    left = dict(lengths)
    order: list[Move] = []
    while any(left.values()):
        free = {actor: ALL for actor, moves in left.items() if moves}
        move = choose(Turn(len(order), order[-1].actor if order else None, free))
        assert move.actor in free
        left[move.actor] -= 1
        order.append(move)
    return tuple(order)


@given(LENGTHS)
def test_every_order_comes_once(lengths: Lengths) -> None:
    orders = [played(lengths, chooser.choose) for chooser in Every()]
    expected = math.factorial(sum(lengths.values())) // math.prod(map(math.factorial, lengths.values()))
    assert len(orders) == len(set(orders)) == expected


@given(st.dictionaries(st.sampled_from("ab"), st.integers(1, 3), min_size=1), st.integers(0, 2))
def test_every_fault_comes_once(lengths: Lengths, faults: int) -> None:
    orders = [played(lengths, chooser.choose) for chooser in Every(faults=faults)]
    moves = sum(lengths.values())
    ways = sum(math.comb(moves, lost) * 2**lost for lost in range(faults + 1))
    assert len(orders) == len(set(orders)) == ways * math.comb(moves, lengths.get("a", 0))


@given(LENGTHS, st.integers(0, 3))
def test_nobody_is_interrupted_more_often_than_allowed(lengths: Lengths, bound: int) -> None:
    def interruptions(order: tuple[Move, ...]) -> int:
        left = Counter(lengths)
        count = 0
        for before, after in pairwise(order):
            left[before.actor] -= 1
            count += before.actor != after.actor and left[before.actor] > 0
        return count

    bounded = {played(lengths, chooser.choose) for chooser in Every(preemptions=bound)}
    assert bounded == {order for chooser in Every() if interruptions(order := played(lengths, chooser.choose)) <= bound}


@given(LENGTHS, st.randoms(use_true_random=False), st.integers(0, 3))
def test_a_drawn_order_can_be_written_and_followed(lengths: Lengths, rng: object, faults: int) -> None:
    drawn = played(lengths, Drawn(rng, sum(lengths.values()), changes=2, faults=faults).choose)  # type: ignore[arg-type]
    assert sum(bool(move.fault) for move in drawn) <= faults
    assert played(lengths, Followed(parsed(written(drawn))).choose) == drawn


@given(LENGTHS, st.randoms(use_true_random=False))
def test_a_simpler_order_fails_too_and_has_no_fault_that_it_does_not_need(lengths: Lengths, rng: object) -> None:
    """The failure: somebody else moves between the first two moves of `a`."""

    def fails(order: tuple[Move, ...]) -> bool:
        actors = [move.actor for move in order]
        first = actors.index("a")
        return "a" in actors[first + 2 :] and actors[first + 1] != "a"

    lengths = {**lengths, "a": 2, "b": 2}
    drawn = played(lengths, Drawn(rng, sum(lengths.values()), changes=2, faults=2).choose)  # type: ignore[arg-type]
    if not fails(drawn):
        return

    def failing(chooser: Chooser) -> list[Move] | None:
        made = played(lengths, chooser.choose)
        return list(made) if fails(made) else None

    found = simpler(drawn, failing)
    assert fails(tuple(found))
    assert not any(move.fault for move in found)
    assert changes(found) <= changes(drawn)


def changes(order: Sequence[Move]) -> int:
    return sum(a.actor != b.actor for a, b in pairwise(order))


def test_the_document_says_what_happens(
    empty_database: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = blocks(ROOT / "docs/interleaving.md", "py")
    monkeypatch.setenv("PGFLOW_DATABASE_URL", empty_database.require_url())
    exec(compile(block.text, "interleaving.md", "exec"), {})  # noqa: S102 (our own document)
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*\)  # (.+)", block.text)
