"""`client.table_triggers`, in both colours; and a real worker that runs what a change of a row has started."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pgflow import App, Context, SyncContext
from pgflow.config import Settings
from pgflow.errors import ArgumentError, NotFound
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.registry.table_triggers import AsyncTableTriggers, TableTriggers, config_of
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing, leading
from tests.sdk.test_client import public

app = App()
handled: list[dict[str, Any]] = []


@app.task(queue="shop", priority="high", retry=2, timeout=5)
async def handle(order_id: int, note: str = "") -> None:
    handled.append({"order_id": order_id, "note": note})


@app.task
async def look(table: str, op: str, at: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
    handled.append({"table": table, "op": op, "new": new})


@app.workflow(name="ship")
async def ship(ctx: Context, order_id: int) -> None:
    async def write(db: psycopg.AsyncConnection[Any]) -> None:
        await db.execute("update orders set status = status || '!' where id = %s", [order_id])

    await ctx.tx(write)


@app.workflow(name="pack")
def pack(ctx: SyncContext, order_id: int) -> None:
    def write(db: psycopg.Connection[Any]) -> None:
        db.execute("set transaction isolation level serializable")
        db.execute("update orders set status = status || '?' where id = %s", [order_id])

    ctx.tx(write)


def test_both_colours_have_the_same_verbs_and_signatures() -> None:
    assert public(TableTriggers) == public(AsyncTableTriggers)
    assert all(vars(TableTriggers)[name].__doc__ for name in public(TableTriggers))


async def test_a_change_of_a_row_is_handled_by_a_worker(database: Settings, engine: Engine) -> None:
    handled.clear()
    engine.connection.execute("create table orders (id int primary key, status text)")
    async with AsyncClient(database, app.tasks) as client, executing(database, app.tasks):
        installed = await client.table_triggers.install(
            "paid", handle, table="orders", on=["update"], when="new.status = 'paid'",
            input={"order_id": "${new.id}", "note": "order ${new.id}"},
        )  # fmt: skip
        assert installed == "created"
        assert await client.table_triggers.install("all", look, table="orders", on=["insert"]) == "created"
        assert [one.name for one in await client.table_triggers.list()] == ["all", "paid"]
        engine.connection.execute("insert into orders values (1, 'new')")
        engine.connection.execute("update orders set status = 'paid'")
        await eventually(lambda: len(handled) == 2)
        assert sorted(handled, key=len) == [
            {"order_id": 1, "note": "order 1"},
            {"table": "public.orders", "op": "insert", "new": {"id": 1, "status": "new"}},
        ]
        assert (await client.table_triggers.get("paid")).start == {
            "name": handle.name, "queue": "shop", "priority": 1, "timeout": 5.0,
        }  # fmt: skip
        assert await client.table_triggers.remove("paid", "all") == ["paid", "all"]


async def test_a_workflow_that_changes_the_row_it_was_started_for_does_not_start_itself(
    database: Settings, engine: Engine
) -> None:
    engine.connection.execute("create table orders (id int primary key, status text)")
    async with AsyncClient(database, app.tasks) as client, executing(database, app.tasks), leading(database):
        for workflow in (ship, pack):
            await client.table_triggers.install(
                workflow.name, workflow, table="orders", on=["insert", "update"], input={"order_id": "${new.id}"},
                when=f"new.status not like '%{'?' if workflow is ship else '!'}%'",
            )  # fmt: skip
        engine.connection.execute("insert into orders values (1, 'new')")
        await eventually(lambda: len(engine.query("select from pgflow.outcome where task_id = root_id")) == 2)
    assert engine.query("select name from pgflow.task where name in ('ship', 'pack') order by name") == [
        ("pack",), ("ship",),
    ]  # fmt: skip
    ((status,),) = engine.query("select status from orders")
    assert sorted(status) == sorted("new!?")


def test_a_sync_client_has_the_verbs_and_takes_part_in_a_transaction(database: Settings, engine: Engine) -> None:
    engine.connection.execute("create table orders (id int primary key)")
    with Client(database) as client:
        with engine.connection.transaction(force_rollback=True):
            assert client.on(engine.connection).table_triggers.install("one", "noop", table="orders") == "created"
        assert client.table_triggers.list() == []
        assert client.table_triggers.install("one", "noop", table="orders") == "created"
        assert client.table_triggers.install("one", "noop", table="orders") == "unchanged"
        assert client.table_triggers.get("one").table == "public.orders"
        with pytest.raises(NotFound, match="there is no table trigger two"):
            client.table_triggers.get("two")
        with pytest.raises(NotFound, match="there is no table trigger two"):
            client.table_triggers.remove("one", "two")
        with pytest.raises(ArgumentError, match="table trigger two: there is no table nowhere"):
            client.table_triggers.install("two", "noop", table="nowhere")
        assert client.table_triggers.remove("one") == ["one"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, "which table"),
        ({"on": []}, "no kinds of changes"),
        ({"on": "insert"}, "no kinds of changes"),
        ({"on": ["insert", "truncate"]}, "no kinds of changes"),
        ({"on": ["insert"], "columns": ["a"]}, "columns are for updates"),
        ({"hold": 5}, "hold needs a key"),
        ({"runs": "some"}, "runs cannot be 'some'"),
        ({"on_error": "ignore"}, "on_error cannot be 'ignore'"),
        ({"key": "k"}, "the key is the same for every row"),
        ({"input": {"a": "${neu.id}"}}, r"the input: \$\{neu.id\} is not there"),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_reaches_the_database(change: Any, why: str) -> None:
    table: Any = {"table": "orders"} if change else {}
    with pytest.raises(ArgumentError, match=why):
        config_of("one", "noop", **table, **change)


def test_names_and_targets_are_checked() -> None:
    for name in ("", "a b", "x" * 41, "1st", "a;b"):
        with pytest.raises(ArgumentError, match="no name for a table trigger"):
            config_of(name, "noop", table="orders")
    with pytest.raises(ArgumentError, match="no name for a task"):
        config_of("one", "no task", table="orders")
    with pytest.raises(ArgumentError, match="missing"):
        config_of("one", handle, table="orders", input={"note": "x"})
    with pytest.raises(ArgumentError, match="unexpected"):
        config_of("one", handle, table="orders")
    with pytest.raises(ArgumentError, match="queue is the task's own"):
        config_of("one", look, table="orders", queue="other")
