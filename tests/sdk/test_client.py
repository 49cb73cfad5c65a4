from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession as SqlAlchemyAsyncSession
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session as SqlAlchemySession

from pgflow.config import Settings
from pgflow.engine import timers
from pgflow.engine.enqueue import MAX_ROWS, Request, Spec
from pgflow.engine.limits import Limit
from pgflow.errors import (
    ArgumentError,
    ConfigError,
    IdempotencyConflict,
    NotFound,
    PayloadError,
    ResultTimeout,
    TaskCancelled,
)
from pgflow.model import State
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.run_control import AsyncRuns, Runs
from tests.fixtures.database import Engine
from tests.runtime import apps
from tests.runtime.processes import until


def public(cls: type) -> dict[str, list[str]]:
    return {
        name: [f"{p.name}:{p.kind}:{p.annotation}:{p.default}" for p in inspect.signature(method).parameters.values()]
        for name, method in vars(cls).items()
        if not name.startswith("_") and callable(method)
    }


def test_both_colours_have_the_same_verbs_and_signatures() -> None:
    assert public(Client) == public(AsyncClient)
    assert public(Runs) == public(AsyncRuns)
    assert all(vars(AsyncRuns)[name].__doc__ for name in public(AsyncRuns))
    assert all(vars(AsyncClient)[name].__doc__ for name in public(AsyncClient))


def test_one_task_and_many_come_back_in_order(sync_client: Client, engine: Engine) -> None:
    one = sync_client.enqueue(apps.add, 1, b=2)
    many = sync_client.enqueue_many(apps.add.request(n, n) for n in range(5000))
    assert one.id < many[0].id
    assert [handle.id for handle in many] == sorted(handle.id for handle in many)
    assert engine.query("select input from pgflow.task where id = %s", many[4321].id) == [({"a": 4321, "b": 4321},)]


def test_many_are_written_whole_or_not_at_all(sync_client: Client, engine: Engine) -> None:
    def requests() -> object:
        yield from (apps.add.request(n, n) for n in range(3000))
        raise RuntimeError("the caller's own trouble")

    with pytest.raises(RuntimeError):
        sync_client.enqueue_many(requests())  # type: ignore[arg-type]
    bad = [*(apps.add.request(n, n) for n in range(3000)), apps.add.options(key="k").request(1, 1)]
    sync_client.enqueue(apps.add.options(key="k"), 2, 2)
    with pytest.raises(IdempotencyConflict):
        sync_client.enqueue_many(bad)
    assert engine.query("select count(*) from pgflow.task") == [(1,)]


BAD = Request(Spec("add"), b'{"a": "\\u0000"}')
"""Only the database finds out: jsonb has no such character."""


def test_requests_are_sent_while_more_are_made(sync_client: Client, engine: Engine) -> None:
    def requests() -> Iterator[Request]:
        yield from (apps.noop.request() for _ in range(5 * MAX_ROWS))
        until(lambda: engine.query("select is_called from pgflow.task_id_seq") == [(True,)])
        assert engine.query("select count(*) from pgflow.task") == [(0,)], "one transaction"
        yield from (apps.noop.request() for _ in range(40 * MAX_ROWS))

    handles = sync_client.enqueue_many(requests())
    assert engine.query("select count(*), min(id), max(id) from pgflow.task") == [
        (45 * MAX_ROWS, handles[0].id, handles[-1].id)
    ]
    assert [handle.id for handle in handles] == sorted({handle.id for handle in handles})


@pytest.mark.parametrize("before", [0, 3 * MAX_ROWS])
def test_what_the_database_refuses_undoes_all(sync_client: Client, engine: Engine, before: int) -> None:
    good = [apps.noop.request()] * before
    with pytest.raises(psycopg.DataError):
        sync_client.enqueue_many([*good, BAD, *good])
    assert engine.query("select count(*) from pgflow.task") == [(0,)]
    assert sync_client.enqueue(apps.noop).id, "the client can still be used"


async def test_the_same_for_an_async_client_and_when_it_is_cancelled(client: AsyncClient, engine: Engine) -> None:
    many = [apps.noop.request()] * (3 * MAX_ROWS)
    with pytest.raises(psycopg.DataError):
        await client.enqueue_many([*many, BAD, *many])
    enqueueing = asyncio.create_task(client.enqueue_many(many * 20))
    while engine.query("select is_called and last_value > %s from pgflow.task_id_seq", 8 * MAX_ROWS) != [(True,)]:
        await asyncio.sleep(0)
    enqueueing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await enqueueing
    assert engine.query("select count(*) from pgflow.task") == [(0,)]
    assert len(await client.enqueue_many(many)) == len(many)
    assert engine.query("select count(*) from pgflow.task") == [(len(many),)]


def test_many_of_a_limited_queue_are_admitted_when_all_are_there(sync_client: Client, engine: Engine) -> None:
    sync_client.limit_queue("default", Limit(concurrency=5))
    sync_client.enqueue_many(apps.noop.request() for _ in range(MAX_ROWS + 1))
    assert engine.query("select count(*) from pgflow.ready") == [(5,)]
    assert engine.query("select count(*) from pgflow.throttled") == [(MAX_ROWS - 4,)]


def test_one_of_a_limited_queue_is_held_back(sync_client: Client) -> None:
    sync_client.limit_queue("default", Limit(concurrency=1))
    handles = [sync_client.enqueue(apps.noop) for _ in range(2)]
    assert [sync_client.show(handle.id)["state"] for handle in handles] == ["queued", "throttled"]


def test_options_travel_with_the_task(sync_client: Client, engine: Engine) -> None:
    at = datetime.now(UTC) + timedelta(days=1)
    options = apps.add.options(
        queue="mail", priority="high", timeout="5s", at=at, tags={"order": "7"}, retry=apps.QUICK
    )
    handle = sync_client.enqueue(options, 1, 2)
    row = sync_client.show(handle.id)
    assert (row["queue"], row["priority"], row["state"]) == ("mail", "high", "scheduled")
    assert (row["due_at"], row["tags"], row["timeout"]) == (at, {"order": "7"}, 5.0)
    assert row["retry"]["max_attempts"] == 3
    assert apps.add.queue == "default", "the task itself is as it was"


def test_a_key_starts_at_most_one(sync_client: Client) -> None:
    first = sync_client.enqueue(apps.add.options(key="order-7"), 1, 2)
    again = sync_client.enqueue(apps.add.options(key="order-7"), 1, 2)
    assert (again.id, first.existed, again.existed) == (first.id, False, True)
    with pytest.raises(IdempotencyConflict, match=str(first.id)):
        sync_client.enqueue(apps.add.options(key="order-7"), 1, 3)


def test_fifty_at_once_with_one_key_are_one_task(sync_client: Client, engine: Engine) -> None:
    ids: list[int] = []
    barrier = threading.Barrier(10)

    def start() -> None:
        barrier.wait(10)
        ids.extend(sync_client.enqueue(apps.add.options(key="k"), 1, 2).id for _ in range(5))

    threads = [threading.Thread(target=start) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(ids) == 50
    assert len(set(ids)) == 1
    assert engine.query("select count(*) from pgflow.task") == [(1,)]


def test_wrong_arguments_and_values_are_refused_at_the_door(sync_client: Client, engine: Engine) -> None:
    with pytest.raises(ArgumentError, match="add"):
        sync_client.enqueue(apps.add, 1)  # type: ignore[call-arg]
    with pytest.raises(PayloadError, match=r"\$\.text"):
        sync_client.enqueue(apps.big, "a\x00b")
    with pytest.raises(PayloadError, match="bytes"):
        sync_client.enqueue(apps.big, "x" * 1_100_000)
    assert engine.query("select count(*) from pgflow.task") == [(0,)]


def test_it_exists_if_and_only_if_the_callers_transaction_commits(
    sync_client: Client, database: Settings, engine: Engine
) -> None:
    with psycopg.connect(database.require_url()) as connection:
        connection.execute("create table orders (id int)")
        connection.commit()
        connection.execute("insert into orders values (1)")
        sync_client.on(connection).enqueue_many([apps.add.request(1, 1)] * 3)
        connection.rollback()
        assert engine.query("select count(*) from pgflow.task") == [(0,)]
        connection.execute("insert into orders values (1)")
        handle = sync_client.on(connection).enqueue(apps.add, 1, 1)
        assert engine.query("select count(*) from pgflow.task") == [(0,)]
    assert engine.query("select id from pgflow.task") == [(handle.id,)]


@pytest.mark.parametrize("count", [1, 2 * MAX_ROWS + 1])
def test_requests_may_be_made_with_the_callers_own_connection(
    sync_client: Client, database: Settings, engine: Engine, count: int
) -> None:
    with psycopg.connect(database.require_url()) as connection:
        with connection.cursor("numbers") as rows:
            rows.execute("select generate_series(1, %s)", [count])
            handles = sync_client.on(connection).enqueue_many(apps.add.request(number, 0) for (number,) in rows)
        assert engine.query("select count(*) from pgflow.task") == [(0,)]
        connection.commit()
    assert engine.query("select id, (input->>'a')::int from pgflow.task order by id") == [
        (handle.id, number) for number, handle in enumerate(handles, 1)
    ]


def test_many_are_written_whole_or_not_at_all_though_the_callers_connection_commits_by_itself(
    sync_client: Client, database: Settings, engine: Engine
) -> None:
    good = [apps.noop.request()] * (2 * MAX_ROWS)
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        with pytest.raises(psycopg.DataError):
            sync_client.on(connection).enqueue_many([*good, BAD])
        assert engine.query("select count(*) from pgflow.task") == [(0,)]
        assert len(sync_client.on(connection).enqueue_many(good)) == len(good)


def test_the_callers_connection_may_be_in_pipeline_mode(
    sync_client: Client, database: Settings, engine: Engine
) -> None:
    with psycopg.connect(database.require_url()) as connection, connection.pipeline():
        connection.execute("select 1")
        one = sync_client.on(connection).enqueue(apps.add, 1, 1)
        many = sync_client.on(connection).enqueue_many(apps.add.request(n, n) for n in range(MAX_ROWS + 1))
        connection.execute("select 1")
    assert engine.query("select min(id), max(id) from pgflow.task") == [(one.id, many[-1].id)]


async def test_the_same_for_an_async_connection(client: AsyncClient, database: Settings, engine: Engine) -> None:
    async with await psycopg.AsyncConnection.connect(database.require_url()) as connection:
        await client.on(connection).enqueue(apps.add, 1, 1)
        await connection.rollback()
        handle = await client.on(connection).enqueue(apps.add, 1, 1)
    assert engine.query("select id from pgflow.task") == [(handle.id,)]


def test_sqlalchemys_connections_and_sessions_will_do(sync_client: Client, database: Settings, engine: Engine) -> None:
    alchemy = sa.create_engine(database.require_url().replace("postgresql://", "postgresql+psycopg://"))
    try:
        with alchemy.connect() as connection:
            sync_client.on(connection).enqueue(apps.add, 1, 1)
            connection.rollback()
        assert engine.query("select id from pgflow.task") == []
        with alchemy.connect() as connection:
            first = sync_client.on(connection).enqueue(apps.add, 1, 1)
            connection.commit()
        assert engine.query("select id from pgflow.task") == [(first.id,)], "its commit commits ours"
        with SqlAlchemySession(alchemy) as session:
            handle = sync_client.on(session).enqueue(apps.add, 1, 1)
            assert engine.query("select id from pgflow.task") == [(first.id,)]
            session.commit()
        assert engine.query("select id from pgflow.task order by id") == [(first.id,), (handle.id,)]
    finally:
        alchemy.dispose()


async def test_sqlalchemys_async_ones_too(client: AsyncClient, database: Settings, engine: Engine) -> None:
    alchemy = create_async_engine(database.require_url().replace("postgresql://", "postgresql+psycopg://"))
    try:
        async with alchemy.begin() as connection:
            one = await client.on(connection).enqueue(apps.add, 1, 1)
        async with SqlAlchemyAsyncSession(alchemy) as session:
            two = await client.on(await session.connection()).enqueue(apps.add, 1, 1)
            await session.commit()
        async with alchemy.connect() as connection:
            three = await client.on(connection).enqueue(apps.add, 1, 1)
            await connection.commit()
    finally:
        await alchemy.dispose()
    assert engine.query("select id from pgflow.task order by id") == [(one.id,), (two.id,), (three.id,)]


def test_another_kind_of_connection_is_refused_with_what_to_do(sync_client: Client) -> None:
    with pytest.raises(ConfigError, match=r"postgresql\+psycopg"):
        sync_client.on(object())


def test_waiting_gives_up_when_told_to_and_the_task_goes_on(sync_client: Client) -> None:
    handle = sync_client.enqueue(apps.add, 1, 2)
    begun = time.monotonic()
    with pytest.raises(ResultTimeout, match="goes on"):
        sync_client.result(handle, timeout=0.2)
    assert time.monotonic() - begun < 30
    assert sync_client.show(handle.id)["state"] == "queued"


def test_cancel_redrive_and_result(sync_client: Client, engine: Engine) -> None:
    handle = sync_client.enqueue(apps.add, 1, 2)
    assert sync_client.cancel(handle.id) == [handle.id]
    with pytest.raises(TaskCancelled):
        sync_client.result(handle, timeout=60)
    assert sync_client.redrive(handle.id) == [handle.id]
    engine.settle(*engine.claim(), output=b"3")
    assert sync_client.result(handle, timeout=60) == 3
    assert [event["type"] for event in sync_client.history(handle.id)] == [
        "task.enqueued", "task.cancelled", "task.redriven", "task.started", "task.completed"
    ]  # fmt: skip


def test_a_limited_queue_is_respected_by_the_quick_way_too(sync_client: Client, engine: Engine) -> None:
    sync_client.limit_queue("default", Limit(concurrency=2))
    handles = sync_client.enqueue_many([apps.noop.request() for _ in range(5)])
    states = sorted(engine.state(handle.id) for handle in handles)
    assert states == ["queued", "queued", "throttled", "throttled", "throttled"]


def test_of_a_flurry_the_last_one_counts_once_it_is_quiet(sync_client: Client, engine: Engine) -> None:
    debounced = apps.add.options(key="page-7", debounce="30s")
    ids = [sync_client.enqueue(debounced, n, n).id for n in range(4)]
    assert [engine.state(task) for task in ids] == ["skipped", "skipped", "skipped", "scheduled"]
    assert engine.query("select input from pgflow.task where id = %s", ids[-1]) == [({"a": 3, "b": 3},)]
    with pytest.raises(TaskCancelled, match="skipped"):
        sync_client.result(ids[0], timeout=60)
    engine.shift_clock(31)
    engine.run(timers.fire(10))
    (claimed,) = engine.claim()
    after = sync_client.enqueue(debounced, 9, 9)
    assert (engine.state(ids[-1]), engine.state(after.id)) == ("running", "scheduled"), "what started goes on"
    engine.settle(claimed)
    with pytest.raises(ArgumentError, match="key"):
        sync_client.enqueue(apps.add.options(debounce=1), 1, 1)


def test_with_a_hold_the_first_of_a_flurry_counts(sync_client: Client, engine: Engine) -> None:
    throttled = apps.whoami.options(key="report", hold="1h")
    first = sync_client.enqueue(throttled)
    engine.settle(*engine.claim())
    assert [sync_client.enqueue(throttled).id for _ in range(3)] == [first.id] * 3


def test_cancelling_a_run_cancels_what_is_in_it(sync_client: Client, engine: Engine) -> None:
    from tests.engine.test_inbox import child_of, suspend

    (parent,) = engine.enqueue()
    (claimed,) = engine.claim()
    children = child_of(engine, parent, 2500)
    engine.run(suspend(claimed, 2500))
    assert sorted(sync_client.cancel(parent)) == [parent, *children]


def test_redrive_by_filter(sync_client: Client, engine: Engine) -> None:
    engine.enqueue(7, name="a")
    engine.enqueue(5, name="b")
    engine.settle(*engine.claim(), state=State.FAILED, error=b'{"type": "E"}')
    assert len(sync_client.redrive_where(name="a", limit=4)) == 4
    assert len(sync_client.redrive_where(name="a")) == 3
    assert len(sync_client.tasks(state="failed")) == 5


def test_what_does_not_exist_is_told(sync_client: Client) -> None:
    for act in (sync_client.show, sync_client.cancel, sync_client.redrive, sync_client.result):
        with pytest.raises(NotFound, match="999"):
            act(999)
    with pytest.raises(ArgumentError, match="no state"):
        sync_client.tasks(state="lost")


def test_a_task_that_runs_for_the_first_time_has_not_crashed(sync_client: Client, engine: Engine) -> None:
    engine.enqueue(1)
    engine.claim()
    assert [row["crashes"] for row in sync_client.tasks(state="running")] == [0]
    assert sync_client.show(1)["crashes"] == 0


def test_tasks_are_listed_newest_first_by_every_filter(sync_client: Client, engine: Engine) -> None:
    engine.enqueue(3, name="a", queue="x")
    engine.enqueue(3, name="b")
    ids = [row["id"] for row in sync_client.tasks()]
    assert ids == [6, 5, 4, 3, 2, 1]
    assert [row["id"] for row in sync_client.tasks(limit=2, before=5)] == [4, 3]
    assert [row["id"] for row in sync_client.tasks(name="a", state="queued", roots_only=True)] == [3, 2, 1]
    assert [row["id"] for row in sync_client.tasks(queue="x")] == [3, 2, 1]
    assert sync_client.tasks(state="failed") == []
    engine.enqueue(1_600, name="b")
    assert [row["id"] for row in sync_client.tasks(name="a", limit=2)] == [3, 2], "however far back it is"
    assert [row["id"] for row in sync_client.tasks(queue="x")] == [3, 2, 1]
    assert len(sync_client.tasks(name="b", limit=1_603)) == 1_603


async def test_an_async_client_waits_without_blocking(client: AsyncClient, engine: Engine) -> None:
    handle = await client.enqueue(apps.add, 1, 2)
    waiting = asyncio.create_task(client.result(handle, timeout=60))
    await asyncio.sleep(0.05)
    engine.settle(*engine.claim(), output=b"3")
    assert await waiting == 3
