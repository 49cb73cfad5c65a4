"""SQL nodes, against real databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.db.statements import statement
from pgflow.engine import secrets
from pgflow.errors import TaskFailed
from pgflow.nodes import connections
from pgflow.nodes.connections import named
from pgflow.nodes.sql import Sql
from pgflow.sealing import Keyring, new_key
from pgflow.testing.database import database
from tests.nodes.conftest import Graphs, Make


@pytest.fixture
def warehouse(pgflow_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Another database, which the operator has called warehouse."""
    with database(pgflow_server) as settings:
        url = settings.require_url()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create table sales (id int primary key, day date, total numeric, who text)")
            connection.execute(
                "insert into sales select n, '2026-05-01', n * 1.10, 'c' || n from generate_series(1, 5) n"
            )
        monkeypatch.setenv("PGFLOW_SQL_WAREHOUSE", url)
        yield url


def node(query: str, *parameters: Any, **config: Any) -> dict[str, Any]:
    return {
        "type": "sql",
        "config": {"connection": "warehouse", "query": query, "parameters": list(parameters), **config},
        "retry": {"max_attempts": 3, "base": "1ms"},
    }


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        (found,) = connection.execute("select count(*) from sales").fetchone() or (0,)
        return int(found)


async def test_rows_come_as_objects(graphs: Make, warehouse: str) -> None:
    given = await graphs().one(
        node("select id, day, total, who from sales where day = $1 and id <= $2 order by id", "${input.day}", 2),
        day="2026-05-01",
    )
    assert given == {
        "rows": [
            {"id": 1, "day": "2026-05-01", "total": 1.1, "who": "c1"},
            {"id": 2, "day": "2026-05-01", "total": 2.2, "who": "c2"},
        ],
        "count": 2,
        "more": False,
    }


VALUES = """select 1::bigint << 60 as big, 12345678901234567890.5 as exact, 0.1::float8 as float,
        'NaN'::float8 as nan,
        true as yes, null as none, '{"a": [1]}'::jsonb as json, '{1,2}'::int[] as list, '\\x0001'::bytea as bytes,
        '1 day'::interval as span, '2026-05-01 12:00+00'::timestamptz as at, int4range(1, 3) as range,
        '10.0.0.1'::inet as address, '7f1c7d43-38a3-4c07-9d8b-7a4e5f1f4a55'::uuid as id, '50%' as percent"""


async def test_values_of_all_kinds_become_json(graphs: Make, warehouse: str) -> None:
    (row,) = (await graphs().one(node(VALUES)))["rows"]
    assert row == {
        "big": str(1 << 60), "exact": "12345678901234567890.5", "float": 0.1, "nan": "nan", "yes": True, "none": None,
        "json": {"a": [1]}, "list": [1, 2], "bytes": "AAE=", "span": 86400.0, "at": "2026-05-01T12:00:00+00:00",
        "range": "[1, 3)", "address": "10.0.0.1", "id": "7f1c7d43-38a3-4c07-9d8b-7a4e5f1f4a55", "percent": "50%",
    }  # fmt: skip


@pytest.mark.parametrize("value", ["'; drop table sales; --", "${input.evil}", {"a": ["'"]}, ["x", "it's"]])
async def test_a_parameter_is_never_part_of_the_query(graphs: Make, warehouse: str, value: Any) -> None:
    cast = {str: "text", dict: "jsonb", list: "text[]"}[type(value)]
    given = await graphs().one(node(f"select $1::{cast} as it", value), evil="' or true; drop table sales")
    assert given["rows"] == [{"it": "' or true; drop table sales" if value == "${input.evil}" else value}]
    assert count(warehouse) == 5


def test_an_expression_in_a_query_is_a_problem_of_the_definition() -> None:
    (problem,) = Sql().problems({"connection": "warehouse", "query": "select ${input.what}"})
    assert problem.path == "query"
    assert "$1" in str(problem.hint)
    assert Sql().problems({"connection": "warehouse", "query": "select $${1,2}$$::int[], $1"}) == []


CHANGING = (
    "insert into sales values (9)",
    "delete from sales",
    "with gone as (delete from sales returning *) select * from gone",
    "select 1; delete from sales",
    "commit; delete from sales",
    "do $$ begin delete from sales; end $$",
    "select set_config('transaction_read_only', 'off', false)",
    "set transaction read write",
    "select 1 from sales for update",
    "create table other (id int)",
    "truncate sales",
    "explain analyze delete from sales",
    "select nextval('counting')",
    "call nothing()",
    "copy sales to stdout",
)


@pytest.mark.parametrize("writable", [False, True])
async def test_a_node_that_reads_changes_nothing(graphs: Make, warehouse: str, writable: bool) -> None:
    """Not even where the connection would allow it."""
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute("create sequence counting")
    made = graphs(sql_writable=["warehouse"] if writable else [])
    nodes = {f"n{number}": node(query) for number, query in enumerate(CHANGING)}
    with pytest.raises(TaskFailed, match=f"and {len(CHANGING) - 1} more failed"):
        await made.run({"nodes": nodes})
    assert count(warehouse) == 5
    tried = made.query("select attempt from pgflow.outcome where task_id <> root_id")
    assert tried == [(1,)] * len(CHANGING), "for good"


async def test_a_connection_that_allows_it_is_written_to(graphs: Make, warehouse: str) -> None:
    made = graphs(sql_writable=["warehouse"])
    insert = "insert into sales (id, total) values ($1, $2) on conflict (id) do nothing"
    assert await made.one(node(insert, 9, 4.5, write=True)) == {"rows": [], "count": 1, "more": False}
    given = await made.one(node("update sales set total = 0 where id > $1 returning id", 4, write=True))
    assert given == {"rows": [{"id": 5}, {"id": 9}], "count": 2, "more": False}
    assert count(warehouse) == 6


async def test_one_that_does_not_is_not(graphs: Make, warehouse: str) -> None:
    with pytest.raises(TaskFailed, match="PGFLOW_SQL_WRITABLE does not name warehouse"):
        await graphs().one(node("delete from sales", write=True))
    assert count(warehouse) == 5


async def test_more_rows_than_allowed_fail_and_undo_what_was_written(graphs: Make, warehouse: str) -> None:
    made = graphs(sql_writable=["warehouse"])
    with pytest.raises(TaskFailed, match="more than 3 rows"):
        await made.one(node("select id from sales", limit=3))
    with pytest.raises(TaskFailed, match="more than 3 rows"):
        await made.one(node("delete from sales returning id", limit=3, write=True))
    assert count(warehouse) == 5
    cut = await made.one(node("select id from sales order by id", limit=3, more="cut"))
    assert cut == {"rows": [{"id": 1}, {"id": 2}, {"id": 3}], "count": 3, "more": True}


async def test_columns_of_one_name_are_an_error(graphs: Make, warehouse: str) -> None:
    with pytest.raises(TaskFailed, match="several columns are called id"):
        await graphs().one(node("select a.id, b.id from sales a join sales b using (id)"))


async def test_a_statement_that_takes_too_long_is_tried_again(graphs: Make, warehouse: str) -> None:
    made = graphs()
    with pytest.raises(TaskFailed, match=r"longer than 0\.05 s"):
        await made.one(node("select pg_sleep(20)", timeout=0.05))
    assert made.query("select attempt from pgflow.outcome where task_id <> root_id") == [(3,)]


async def test_a_wrong_query_fails_at_once_and_says_why(graphs: Make, warehouse: str) -> None:
    made = graphs()
    with pytest.raises(TaskFailed, match=r'column "nothing" does not exist'):
        await made.one(node("select nothing from sales"))
    assert made.query("select attempt from pgflow.outcome where task_id <> root_id") == [(1,)]


async def test_a_database_that_is_not_there_is_tried_again(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SQL_GONE", "postgresql://ann:hunter22-secret@127.0.0.1:1/x")
    made = graphs()
    with pytest.raises(TaskFailed, match="refused"):
        await made.one(node("select 1", connection="gone"))
    assert made.query("select attempt from pgflow.outcome where task_id <> root_id") == [(3,)]
    assert "hunter22" not in made.stored()


async def test_a_password_is_not_shown_when_the_url_is_wrong(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SQL_BAD", "postgresql://ann:hunter22-secret@127.0.0.1:port/x?nonsense=1")
    made = graphs()
    with pytest.raises(TaskFailed):
        await made.one(node("select 1", connection="bad"))
    assert "hunter22" not in made.stored()


async def test_an_unknown_connection_fails_and_names_those_there_are(graphs: Make, warehouse: str) -> None:
    with pytest.raises(TaskFailed, match="engine, warehouse"):
        await graphs().one(node("select 1", connection="house"))


def test_connections_are_named_by_the_environment(database: Settings, warehouse: str) -> None:
    assert named(database) == ["engine", "warehouse"]


async def test_the_engine_itself_can_be_looked_at(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = graphs(sql_writable=["engine"])
    query = "select count(*) as runs from pgflow.run where name = 'graph'"
    assert (await made.one(node(query, connection="engine")))["rows"] == [{"runs": 1}]
    with pytest.raises(TaskFailed, match="only read"):
        await made.one(node("delete from pgflow.task", connection="engine", write=True))


async def test_the_engine_shows_no_secrets(graphs: Make) -> None:
    made = graphs()
    ring = Keyring([new_key()])
    await made.engine.call(secrets.put("TOKEN", ring.seal("hunter22", "pgflow", "TOKEN")))
    with pytest.raises(TaskFailed, match="permission denied for table secret"):
        await made.one(node("select * from pgflow.secret", connection="engine"))


AS_READER = "select current_user::text as it"
WRAPPED = "select word as it from ts_stat(case when set_config('role', 'none', true) is not null then $q${}$q$ end)"
SEALED = "select array_to_tsvector(array[encode(sealed, 'hex')]) from pgflow.secret"
LEAVING = (
    WRAPPED.format(SEALED),
    WRAPPED.replace("'none'", "'postgres'").format(SEALED),
    WRAPPED.replace("'role', 'none'", "'session_authorization', 'postgres'").format(SEALED),
    """select query_to_xml(case when set_config('role', 'none', false) is not null then
        'select sealed from pgflow.secret' end, true, false, '')::text as it""",
    "select set_config('role', session_user, true) as it",
    "with off as materialized (select set_config('role', 'none', true)) select sealed as it from off, pgflow.secret",
    "select done('set role none'), done('select sealed from pgflow.secret') as it",
    "select done('set local role none') as it",
    "select done('reset role') as it",
    "select done('set session authorization default') as it",
    "select done('reset session authorization') as it",
    "select done('execute pgflow_look') as it",
    "select sealed as it from pgflow.secret",
    "select password as it from pgflow.user",
    "select hash as it from pgflow.token",
    "select hash as it from pgflow.session",
    "set role none",
    "reset role",
    "do $$ begin set local role none; end $$",
    "select 1 as it; set role none",
    "delete from pgflow.secret returning sealed as it",
    "select done('set transaction read write'), done('delete from pgflow.secret') as it",
    "explain analyze delete from pgflow.secret",
    "show role",
    "select * from pgflow.look('set role none', '{}', '{}', 1) as it",
    "select * from pgflow.look('select 1; set role none', '{}', '{}', 1) as it",
    "select * from pgflow.look('select sealed from pgflow.secret', '{}', '{}', 1) as it",
)


async def test_no_query_leaves_the_reader_role_to_look_at_secrets(graphs: Make) -> None:
    made = graphs()
    ring = Keyring([new_key()])
    sealed = ring.seal("hunter22", "pgflow", "TOKEN")
    await made.engine.call(secrets.put("TOKEN", sealed))
    with psycopg.connect(made.engine.settings.require_url(), autocommit=True) as connection:
        connection.execute(
            """create function done(what text) returns text language plpgsql as $$
            declare given text; begin
                if what like 'select %' then execute what into given; else execute what; end if;
                return given;
            end $$"""
        )
    nodes = {f"n{at}": node(query, connection="engine") for at, query in enumerate(LEAVING)}
    with pytest.raises(TaskFailed, match=f"and {len(LEAVING) - 1} more failed"):
        await made.run({"nodes": nodes})
    assert made.query("select attempt from pgflow.outcome where task_id <> root_id") == [(1,)] * len(LEAVING), (
        "for good"
    )
    assert made.query("select name from pgflow.secret") == [("TOKEN",)]
    assert sealed.data.hex() not in made.stored()
    assert (await made.one(node(AS_READER, connection="engine")))["rows"] == [{"it": "pgflow_reader"}]


async def test_what_a_query_leaves_open_in_the_engine_is_not_gone_on_with(graphs: Make) -> None:
    """A cursor that outlives its transaction is read when that commits, outside of the function that keeps the role."""
    made = graphs()
    with psycopg.connect(made.engine.settings.require_url(), autocommit=True) as connection:
        connection.execute(
            """create function peek() returns text language plpgsql as $$ begin
                raise exception 'read as %', current_user;
            end $$;
            create function leave() returns text language plpgsql as $$ begin
                execute 'declare later cursor with hold for select peek()';
                return 'left';
            end $$"""
        )
    given = await made.one(node("select leave() as it", connection="engine"))
    assert given["rows"] == [{"it": "left"}]


async def test_the_engine_gives_values_as_other_databases_do(graphs: Make, warehouse: str) -> None:
    made = graphs()
    same = (
        node("select name, id > $1 as above, $2 as what from pgflow.task where name = $3", 0, "x", "graph"),
        node("select $1 as n, $2 + 1 as m, $3::jsonb as o, $4 as none, $5::text[] as l, $6 as f, $7 as b, $8::int[] e",
             5, 2**40, {"a": [1, {"b": "ä\\\""}]}, None, ["x", 'it"s,', None, "\\", "()"], 0.1, True, []),
        node(VALUES),
        node("select"),
        node("select null::text as it union all select '' union all select '(,)' union all select '\"ä\n'"),
        node("select n, row(n, 'a b', null) as pair, array[row(n, n)]::text[] as more from generate_series(1, 3) n"),
        node("select n as it from generate_series(1, 30) n", limit=20, more="cut"),
        node("select $q$ '1' $q$ || $1 as \"a \"\"b\"", "'; --"),
        node("values ($1::date, $2::interval)", "2026-05-01", "1 day"),
    )  # fmt: skip
    for one in same[1:]:
        elsewhere = await made.one(one)
        one["config"]["connection"] = "engine"
        assert await made.one(one) == elsewhere
    same[0]["config"]["connection"] = "engine"
    rows = (await made.one(same[0]))["rows"]
    assert rows
    assert rows[0] == {"name": "graph", "above": True, "what": "x"}


async def test_a_query_of_the_engine_fails_as_one_elsewhere_does(graphs: Make) -> None:
    made = graphs()
    wrong = {
        "select nothing from pgflow.task": 'column "nothing" does not exist',
        "select id, id from pgflow.task": "several columns are called id",
        "select generate_series(1, 3) as n": "more than 2 rows",
        "select 1; select 2": "multiple commands",
        "select $1::int + $2": "wrong number of parameters",
    }
    for query, said in wrong.items():
        with pytest.raises(TaskFailed, match=said):
            await made.one(node(query, connection="engine", limit=2))
    with pytest.raises(TaskFailed, match=r"longer than 0\.05 s"):
        await made.one(node("select pg_sleep(20)", connection="engine", timeout=0.05))


async def test_without_the_function_of_the_readers_the_engine_is_not_looked_at(graphs: Make) -> None:
    made = graphs()
    look = node("select 1 as it", connection="engine")
    with psycopg.connect(made.engine.settings.require_url(), autocommit=True) as connection:
        connection.execute("alter function pgflow.look owner to pgflow_owner")
        with pytest.raises(TaskFailed, match=r"`alter function pgflow\.look owner to pgflow_reader`"):
            await made.one(look)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="does not belong to the reader role"):
            connection.execute("select pgflow.look('select 1', '{}', '{}', 1)")
        connection.execute("alter function pgflow.look owner to pgflow_reader")
        assert (await made.one(look))["rows"] == [{"it": 1}]
        connection.execute("drop function pgflow.look")
        with pytest.raises(TaskFailed, match="pgflow migrate"):
            await made.one(look)


async def test_a_statement_ends_with_its_run(graphs: Make, warehouse: str) -> None:
    made = graphs()
    run = await made.start({"nodes": {"it": node("select pg_sleep(60)")}})
    working = asyncio.create_task(made.engine.outcome(run))
    await _sleeping(made, warehouse, 1)
    await made.engine.client.cancel(run)
    assert (await working).state == "cancelled"
    await _sleeping(made, warehouse, 0)


async def test_a_statement_is_sent_again_when_its_worker_dies(graphs: Make, warehouse: str) -> None:
    made = graphs()
    with psycopg.connect(warehouse, autocommit=True) as lock:
        lock.execute("select pg_advisory_lock(1)")
        wait = node("select pg_advisory_lock_shared(1)::text as it, (select count(*) from sales) as n")
        run = await made.start({"nodes": {"it": wait}, "output": "${nodes.it.output.rows[0].n}"})
        working = asyncio.create_task(made.engine.outcome(run))
        await _sleeping(made, warehouse, 1)
        made.kill()
        lock.execute("select pg_advisory_unlock_all()")
        assert (await working).output == 5


async def _sleeping(made: Graphs, url: str, wanted: int) -> None:
    """Wait until so many statements of nodes are at work there."""
    query = (
        "select count(*) from pg_stat_activity where application_name = 'pgflow sql' and datname = current_database()"
    )
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(60):
            while True:
                row = await (
                    await connection.execute(query + " and state = 'active' and wait_event is not null")
                ).fetchone()
                if row == (wanted,):
                    return
                await asyncio.sleep(0.01)


async def test_a_node_that_writes_says_one_statement(graphs: Make, warehouse: str) -> None:
    made = graphs(sql_writable=["warehouse"])
    with pytest.raises(TaskFailed, match="multiple commands"):
        await made.one(node("delete from sales where id = 1; delete from sales", write=True))
    assert count(warehouse) == 5


def chain(*nodes: dict[str, Any]) -> dict[str, Any]:
    """One node after the other; gives what each gave."""
    names = [f"n{number}" for number in range(len(nodes))]
    edges = [{"from": before, "to": after} for before, after in pairwise(names)]
    output = [f"${{nodes.{name}.output.rows[0].it}}" for name in names]
    return {"nodes": dict(zip(names, nodes, strict=True)), "edges": edges, "output": output}


PID = "select pg_backend_pid() as it"


async def test_a_connection_is_kept_from_one_node_to_the_next(graphs: Make, warehouse: str) -> None:
    made = graphs(sql_writable=["warehouse"])
    pids = await made.run(chain(node(PID), node(PID), node(PID, write=True), node(PID)))
    assert len(set(pids)) == 1


async def test_what_a_node_leaves_in_its_session_is_not_seen_by_the_next(graphs: Make, warehouse: str) -> None:
    made = graphs(sql_writable=["warehouse"])
    left = (
        "select set_config('search_path', 'elsewhere', false) as it",
        "select pg_advisory_lock(5)::text as it",
        "create temp table mine (id int)",
        "set statement_timeout = 500",
        "set default_transaction_read_only = on",
    )
    for query in left:
        document = chain(node(PID), node(query, write=True), node(PID))
        document["output"] = [document["output"][0], document["output"][2]]
        first, last = await made.run(document)
        assert first == last
    seen = """select current_setting('search_path') || coalesce(to_regclass('mine')::text, '') || (
        select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())
        || current_setting('default_transaction_read_only') as it, pg_sleep(0.6)::text as slept"""
    assert (await made.run(chain(node(seen))))[0] == '"$user", public0off'


async def test_a_kept_connection_that_the_server_has_closed_is_replaced(graphs: Make, warehouse: str) -> None:
    made = graphs()
    (pid,) = await made.run(chain(node(PID)))
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s, 5000)", (pid,))
    (other,) = await made.run(chain(node(PID)))
    assert other != pid
    assert made.query("select attempt from pgflow.outcome where task_id <> root_id") == [(1,), (1,)]


async def test_what_is_committed_stays_done_when_its_connection_is_lost_then(
    graphs: Make, warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killing = "select pg_terminate_backend(pg_backend_pid())"
    monkeypatch.setattr(
        connections, "statement", lambda name, *more: killing if name == "connection/reset" else statement(name, *more)
    )
    made = graphs(sql_writable=["warehouse"])
    given = await made.one(node("insert into sales (id) values (9)", write=True))
    assert given["count"] == 1
    assert count(warehouse) == 6
    assert made.query("select attempt from pgflow.outcome where task_id <> root_id") == [(1,)]
    assert (await made.one(node("select count(*) as n from sales")))["rows"] == [{"n": 6}]


async def test_a_connection_that_nobody_uses_is_closed(
    graphs: Make, warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgflow.nodes.connections.IDLE", 0.05)
    await graphs().run(chain(node(PID)))
    async with asyncio.timeout(60):
        while open_ones(warehouse):
            await asyncio.sleep(0.01)


async def test_many_nodes_share_a_few_connections(
    graphs: Make, warehouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgflow.nodes.connections.AT_ONCE", 2)
    nodes = {f"n{number}": node("select pg_backend_pid() as it, pg_sleep(0.02)::text") for number in range(12)}
    found = await graphs().run({"nodes": nodes, "output": [f"${{nodes.{name}.output.rows[0].it}}" for name in nodes]})
    assert len(set(found)) == 2 == open_ones(warehouse)


def open_ones(url: str) -> int:
    """How many connections of nodes there are."""
    query = (
        "select count(*) from pg_stat_activity where application_name = 'pgflow sql' and datname = current_database()"
    )
    with psycopg.connect(url) as connection:
        (found,) = connection.execute(query).fetchone() or (0,)
        return int(found)
