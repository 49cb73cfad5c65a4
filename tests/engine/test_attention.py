"""Whoever waits for events is seen by everybody who writes some; and nobody looks while nobody waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.engine import events, workers
from tests.engine.crowd import write
from tests.engine.ear import ear
from tests.fixtures.database import Engine

SUBSCRIBED = """insert into pgflow.subscription (name, types, kinds, url, slot, created_at, changed_at)
                values ('a', '{task.*}', '{task.started}', 'https://example.com', 'example.com', now(), now())"""


@pytest.fixture
def root(engine: Engine) -> int:
    return engine.enqueue()[0]


@pytest.fixture
def heard(database: Settings) -> Iterator[Callable[[], int]]:
    """How many notifications have come since the last question."""
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        told = ear(connection, "pgflow.events.test")
        yield lambda: len(told())


def rest(engine: Engine, seconds: float = 60) -> None:
    with engine.connection.transaction():
        engine.run(events.heed())
        engine.run(workers.idle([events.QUEUE], "pgflow.events.test", seconds))


def attention(engine: Engine) -> int | None:
    ((stands,),) = engine.query("select pg_sequence_last_value('pgflow.attention')")
    return None if stands is None else int(stands)


def sweep(engine: Engine) -> None:
    engine.run(Call("housekeeping/attention", {}, lambda _: None))


def test_whoever_rests_is_woken_once(engine: Engine, root: int, heard: Callable[[], int]) -> None:
    rest(engine)
    for _ in range(5):
        write(engine.connection, root)
    assert heard() == 1
    rest(engine)
    write(engine.connection, root)
    assert heard() == 1


def test_nobody_is_woken_by_what_is_rolled_back(engine: Engine, root: int, heard: Callable[[], int]) -> None:
    rest(engine)
    with engine.connection.transaction(force_rollback=True):
        write(engine.connection, root)
    assert heard() == 0
    write(engine.connection, root)
    assert heard() == 1


def test_a_transaction_that_keeps_its_snapshot_wakes_and_does_not_fail(
    engine: Engine, engines: Callable[..., Engine], root: int, heard: Callable[[], int]
) -> None:
    for level in (psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE):
        rest(engine)
        other = engines().connection
        other.isolation_level = level
        with other.transaction():
            other.execute("select 1 from pgflow.idle")
            write(engine.connection, root)  # takes the row away
            assert heard() == 1
            rest(engine)
            write(other, root)
        assert heard() == 1
        write(engine.connection, root)
        heard()


def test_two_at_once_do_not_wait_for_each_other(
    engine: Engine, engines: Callable[..., Engine], root: int, heard: Callable[[], int]
) -> None:
    rest(engine)
    one, other = engines().connection, engines().connection
    other.execute("set lock_timeout = '1s'")
    with one.transaction():
        write(one, root)
        write(other, root)
    assert heard() == 1


def test_attention_is_raised_by_who_waits_and_lowered_when_nobody_does(engine: Engine, root: int) -> None:
    assert attention(engine) is None
    sweep(engine)
    assert attention(engine) == 1
    rest(engine)
    assert attention(engine) == 2
    sweep(engine)
    assert attention(engine) == 2
    write(engine.connection, root)  # consumes the row
    sweep(engine)
    assert attention(engine) == 1


def test_a_subscription_raises_it_for_as_long_as_it_is_enabled(engine: Engine, root: int) -> None:
    sweep(engine)
    engine.connection.execute(SUBSCRIBED)
    assert attention(engine) == 2
    sweep(engine)
    assert attention(engine) == 2
    engine.connection.execute("update pgflow.subscription set disabled_at = now(), disabled_why = 'x'")
    sweep(engine)
    assert attention(engine) == 1
    engine.connection.execute("update pgflow.subscription set disabled_at = null, disabled_why = null")
    assert attention(engine) == 2


def test_it_is_not_lowered_under_who_is_just_about_to_wait(
    engine: Engine, engines: Callable[..., Engine], root: int
) -> None:
    sweeper = engines()
    sweeper.connection.execute("set lock_timeout = '200ms'")
    with engine.connection.transaction():
        engine.connection.execute(SUBSCRIBED)
        sweep(sweeper)
        assert attention(sweeper) == 2
    sweep(sweeper)
    assert attention(sweeper) == 2
    engine.connection.execute("delete from pgflow.subscription")
    with engine.connection.transaction():
        engine.run(events.heed())
        sweep(sweeper)  # waits for the end of that transaction, but not for ever
        assert attention(sweeper) == 2


def test_it_is_raised_again_where_it_was_lost(engine: Engine) -> None:
    engine.connection.execute(SUBSCRIBED)
    engine.connection.execute("select setval('pgflow.attention', 1)")
    sweep(engine)
    assert attention(engine) == 2


def test_a_worker_and_only_a_worker_may_ask_for_it(engine: Engine) -> None:
    engine.connection.execute("set role pgflow_worker")
    rest(engine)
    sweep(engine)
    assert attention(engine) == 2
    engine.connection.execute("set role pgflow_reader")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine.connection.execute("select pgflow.relax()")
