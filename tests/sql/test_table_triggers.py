"""Table triggers: what a change of a row starts, in the same commit, whoever makes it and in whatever way."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors as pg
from psycopg import sql

from pgflow.config import Settings
from pgflow.db import connect, migrations
from pgflow.db.call import Session
from pgflow.embedded.binaries import find_binaries
from pgflow.engine import limits
from pgflow.engine import table_triggers as verbs
from pgflow.errors import PermissionDenied, SchemaError
from pgflow.sdk.registry.table_triggers import config_of
from pgflow.testing import database as databases
from tests.fixtures.database import Engine

Started = dict[str, Any]


class Shop:
    """A user's own tables and who changes them, beside an engine."""

    def __init__(self, engine: Engine, connection: psycopg.Connection[Any]) -> None:
        self.engine, self.connection = engine, connection
        self.run("create table orders (id int primary key, status text, amount numeric, note text)")

    def run(self, text: str, *params: Any) -> None:
        self.connection.execute(text, params or None)

    def trigger(self, name: str = "watch", /, **change: Any) -> verbs.Installed:
        installed: verbs.Installed = self.engine.run(
            verbs.install(config_of(name, "noop", **{"table": "orders"} | change))
        )
        return installed

    def started(self) -> list[Started]:
        """The inputs of what was started since the last time."""
        rows = self.engine.query(
            "select t.input from pgflow.task t left join seen s using (id) where s.id is null order by t.id"
        )
        self.engine.query("insert into seen select id from pgflow.task on conflict do nothing returning 1")
        return [input for (input,) in rows]

    def changes(self) -> list[tuple[str, Any, Any]]:
        """The same, as op and the ids in old and new."""
        return [(s["op"], (s["old"] or {}).get("id"), (s["new"] or {}).get("id")) for s in self.started()]


@pytest.fixture
def shop(engine: Engine, database: Settings) -> Iterator[Shop]:
    engine.connection.execute("create table seen (id bigint primary key)")
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        yield Shop(engine, connection)


def test_every_kind_of_change_starts_a_run_that_is_given_the_row(shop: Shop) -> None:
    assert shop.trigger().done == "created"
    shop.run("insert into orders values (1, 'new', 1.50, 'ä \"''\\')")
    shop.run("update orders set status = 'paid'")
    shop.run("delete from orders")
    insert, update, delete = shop.started()
    new = {"id": 1, "status": "new", "amount": 1.5, "note": "ä \"'\\"}
    paid = new | {"status": "paid"}
    assert insert | {"at": 0} == {"table": "public.orders", "op": "insert", "old": None, "new": new, "at": 0}
    assert update | {"at": 0} == {"table": "public.orders", "op": "update", "old": new, "new": paid, "at": 0}
    assert delete | {"at": 0} == {"table": "public.orders", "op": "delete", "old": paid, "new": None, "at": 0}
    assert insert["at"] < update["at"] < delete["at"]
    assert shop.engine.query("select distinct name, queue, priority, actor from pgflow.task") == [
        ("noop", "default", 2, "table trigger watch")
    ]
    assert len(shop.engine.claim()) == 3


def test_a_run_starts_with_the_commit_or_not_at_all(shop: Shop) -> None:
    shop.trigger()
    shop.connection.autocommit = False
    shop.run("insert into orders values (1)")
    shop.connection.rollback()
    shop.run("insert into orders values (2)")
    assert shop.changes() == []
    shop.connection.commit()
    assert shop.changes() == [("insert", None, 2)]


def test_only_the_changes_that_were_asked_for_count(shop: Shop) -> None:
    shop.trigger(on=["update"], columns=["status", "amount"])
    shop.run("insert into orders values (1, 'new', 1.0), (2, 'new', 1.0)")
    shop.run("update orders set note = 'x'")
    shop.run("update orders set status = 'new', amount = 1.00")
    assert shop.changes() == [], "no other value"
    shop.run("update orders set status = null where id = 2")
    shop.run("create function own() returns trigger language plpgsql as $$ begin new.amount := 5; return new; end $$")
    shop.run("create trigger own before update on orders for each row execute function own()")
    shop.run("update orders set note = 'y' where id = 1")
    shop.run("delete from orders")
    assert shop.changes() == [("update", 2, 2), ("update", 1, 1)], "what another trigger sets on the way counts, too"


def test_a_condition_selects_rows(shop: Shop) -> None:
    shop.trigger(on=["update"], when="new.status = 'paid' and (old.status is distinct from 'paid')")
    shop.run("insert into orders select i, 'paid' from generate_series(1, 4) i")
    shop.run("update orders set status = case when id < 3 then 'paid' else 'sent' end")
    shop.run("update orders set status = 'paid'")
    assert shop.changes() == [("update", 3, 3), ("update", 4, 4)]


def test_arguments_key_and_slot_are_made_of_the_row(shop: Shop) -> None:
    shop.run('alter table orders add "Odd ""}name" jsonb')
    given = {
        "id": "${row.id}", "odd": '${row["Odd \\"}name"]}', "was": "${old.status}", "deep": [{"op": "${op}"}, 7, "x"],
        "text": "${row.status}/${row.note}!", "whole": "${new}", "where": "${ table }",
    }  # fmt: skip
    shop.trigger(input=given, key="order-${row.id}", slot="${row.status}", tags={"a": "b"}, priority="high", queue="q")
    shop.run("""insert into orders values (1, 'new', null, null, '{"a": [1, 2.50]}')""")
    (made,) = shop.started()
    whole = {"id": 1, "status": "new", "amount": None, "note": None, 'Odd "}name': {"a": [1, 2.5]}}
    assert made == {
        "id": 1, "odd": {"a": [1, 2.5]}, "was": None, "deep": [{"op": "insert"}, 7, "x"], "text": "new/!",
        "whole": whole, "where": "public.orders",
    }  # fmt: skip
    columns = "key, slot, tags, priority, queue"
    assert shop.engine.query(f"select {columns} from pgflow.task") == [("order-1", "new", {"a": "b"}, 1, "q")]


def test_while_a_key_is_held_a_row_starts_nothing_more(shop: Shop) -> None:
    shop.trigger(key="order-${row.id}")
    shop.run("insert into orders values (1), (2)")
    shop.run("update orders set status = 'paid'")
    assert [change[0] for change in shop.changes()] == ["insert", "insert"]
    shop.engine.settle(*shop.engine.claim(1))
    shop.run("update orders set status = 'sent'")
    assert shop.changes() == [("update", 1, 1)], "the run of row 1 is over"
    shop.run("insert into orders select 3, repeat('x', 600)")
    shop.trigger("long", key="${row.status}")
    shop.run("update orders set note = 'y' where id = 3")
    shop.run("update orders set note = 'z' where id = 3")
    keys = shop.engine.query("select key from pgflow.task where actor = 'table trigger long'")
    assert [len(key) for (key,) in keys] == [464]


def test_a_run_does_not_start_itself(shop: Shop) -> None:
    for runs in ("all", "others", "none"):
        shop.trigger(runs, runs=runs, input={"of": runs, "id": "${row.id}"})
    shop.run("insert into orders values (1)")
    assert sorted(made["of"] for made in shop.started()) == ["all", "none", "others"]
    ids = dict(shop.engine.query("select input->>'of', id from pgflow.task"))

    def changed_by(origin: object) -> list[str]:
        with shop.connection.transaction():
            shop.run("select set_config('pgflow.origin', %s, true)", str(origin))
            shop.run("update orders set amount = coalesce(amount, 0) + 1")
        return sorted(made["of"] for made in shop.started())

    assert changed_by(ids["others"]) == ["all"]
    assert changed_by(ids["all"]) == ["all", "others"]
    assert changed_by(10**17) == ["all", "others"], "a run that is gone by now"
    assert changed_by("no run") == ["all"]
    assert changed_by("") == ["all", "none", "others"]


def test_what_other_triggers_change_counts_unless_only_direct_changes_do(shop: Shop) -> None:
    shop.run("create table parts (id int primary key, order_id int references orders on delete cascade)")
    shop.run(
        """create function sell() returns trigger language plpgsql as
           $$ begin insert into parts values (new.id * 10, new.id); return null; end $$"""
    )
    shop.run("create trigger sell after insert on orders for each row execute function sell()")
    for when in ({}, {"when": "true"}):
        shop.trigger("all", table="parts", on=["insert", "delete"], input={"all": "${row.id}"}, **when)
        shop.trigger(
            "direct", table="parts", on=["insert", "delete"], direct=True, input={"direct": "${row.id}"}, **when
        )
        shop.run("insert into orders values (1)")
        assert shop.started() == [{"all": 10}]
        shop.run("insert into parts values (11, 1)")
        assert shop.started() == [{"all": 11}, {"direct": 11}]
        shop.run("delete from orders")
        assert sorted(shop.started(), key=str) == [{"all": 10}, {"all": 11}, {"direct": 10}, {"direct": 11}], (
            "Postgres does not tell a cascade from a statement"
        )


def test_a_change_fails_when_nothing_can_be_started_or_is_warned_of(shop: Shop) -> None:
    shop.run("insert into orders values (1)")
    for on_error in ("fail", "warn"):
        shop.trigger(on_error, on=["insert", "update"], input={"note": "${new.note}"}, on_error=on_error)
    shop.run("alter table orders rename note to remark")
    with pytest.raises(pg.UndefinedColumn, match="has no column note any more"):
        shop.run("update orders set status = 'paid'")
    assert shop.engine.run(verbs.remove(["fail"])) == ["fail"]
    said: list[str] = []
    shop.connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    shop.run("update orders set status = 'paid'")
    shop.run("insert into orders select i from generate_series(2, 1000) i")
    assert shop.started() == []
    assert said[0] == "table trigger warn started nothing: table public.orders has no column note any more"
    assert len(said) == 1 + 5


def test_changes_without_a_partition_for_their_runs_fail_and_say_what_to_do(shop: Shop) -> None:
    shop.trigger()
    shop.engine.query("select setval('pgflow.task_id_seq', 1000000000000000)")
    with pytest.raises(pg.CheckViolation, match="no partition"):
        shop.run("insert into orders values (1)")


# ------------------------------------------------------------------------------------------- ways to change rows


def test_however_rows_come_each_starts_one_run(shop: Shop) -> None:
    shop.trigger()
    with shop.connection.cursor() as cursor, cursor.copy("copy orders (id) from stdin") as copy:
        for id in range(450):
            copy.write_row([id])
    assert sorted(change[2] for change in shop.changes()) == list(range(450))
    shop.run("insert into orders values (1, 'a'), (1000, 'a') on conflict (id) do update set status = excluded.status")
    assert sorted(shop.changes()) == [("insert", None, 1000), ("update", 1, 1)]
    shop.run(
        """merge into orders o using (values (1), (2), (2000)) n(id) on o.id = n.id
             when matched and n.id = 1 then delete when matched then update set status = 'm'
             when not matched then insert values (n.id)"""
    )
    assert sorted(shop.changes()) == [("delete", 1, None), ("insert", None, 2000), ("update", 2, 2)]
    shop.run("insert into orders select 1 where false")
    shop.run("delete from orders where false")
    assert shop.started() == []


@pytest.mark.parametrize("when", [None, "true"])
def test_ten_thousand_rows_of_one_statement_start_ten_thousand_runs(shop: Shop, when: str | None) -> None:
    shop.trigger(on=["insert"], **{"when": when} if when else {})
    shop.run("insert into orders select i, 'new', i, 'row ' || i from generate_series(1, 10000) i")
    found = shop.engine.query(
        """select count(*), count(distinct input->'new'->>'id'), bool_and((input->'new'->>'id')::int = n)
             from (select input, row_number() over (order by id) as n from pgflow.task) x"""
    )
    assert found == [(10_000, 10_000, True)], "in the order of the rows"
    assert shop.engine.query("select count(*) from pgflow.ready") == [(10_000,)]


def test_partitions_and_heirs_count_however_they_are_changed(shop: Shop) -> None:
    shop.run("create table sales (id int, region text) partition by list (region)")
    for region in ("north", "south"):
        shop.run(f"create table sales_{region} partition of sales for values in ('{region}')")
    shop.run("create table base (id int); create table heir () inherits (base)")
    shop.trigger("sales", table="sales")
    shop.trigger("heir", table="heir")
    shop.run("create table sales_west partition of sales for values in ('west')")
    shop.run("insert into sales values (1, 'north')")
    shop.run("insert into sales_south values (2, 'south')")
    shop.run("insert into sales_west values (3, 'west')")
    inserted = shop.started()
    assert [(made["table"], made["new"]["id"]) for made in inserted] == [("public.sales", n) for n in (1, 2, 3)]
    shop.run("update sales set region = 'south' where id = 1")
    moved = shop.started()
    assert [(made["op"], (made["old"] or made["new"])["id"]) for made in moved] == [("delete", 1), ("insert", 1)], (
        "a row that moves is deleted here and inserted there"
    )
    shop.run("insert into heir values (5)")
    shop.run("delete from base")
    assert shop.changes() == [("insert", None, 5), ("delete", 5, None)]
    (listed,) = shop.engine.run(verbs.listed(["sales"]))
    assert listed.triggers == ["pgflow_sales_delete", "pgflow_sales_insert", "pgflow_sales_update"]


def test_it_holds_at_every_isolation_level_and_whatever_the_session_has_set(shop: Shop) -> None:
    shop.run(
        'create schema "Sh op"; create table "Sh op"."Or\'d""ers" ("I d" int, at timestamptz, raw bytea, span interval)'
    )
    shop.trigger(table='"Sh op"."Or\'d""ers"', on=["insert"])
    for name, value in {
        "search_path": '"Sh op"', "timezone": "Asia/Kathmandu", "datestyle": "german, dmy", "bytea_output": "escape",
        "intervalstyle": "sql_standard", "default_transaction_isolation": "serializable", "plan_cache_mode":
        "force_custom_plan", "standard_conforming_strings": "off", "check_function_bodies": "off",
    }.items():  # fmt: skip
        shop.connection.execute("select set_config(%s, %s, false)", (name, value))
    shop.run(
        "insert into \"Or'd\"\"ers\" values (1, '2026-01-01 00:00+00', decode('00ff', 'hex'), interval '1 day 2 h')"
    )
    (made,) = shop.started()
    assert made["table"] == '"Sh op"."Or\'d""ers"'
    assert made["new"] == {"I d": 1, "at": "2026-01-01T00:00:00+00:00", "raw": "\\x00ff", "span": "P1DT2H"}


def test_a_limited_queue_throttles_what_a_change_starts(shop: Shop) -> None:
    shop.engine.run(limits.set_limit("few", limits.Limit(concurrency=1), actor=None))
    shop.trigger(queue="few")
    shop.run("insert into orders values (1), (2)")
    assert shop.engine.query("select count(*) from pgflow.throttled") == [(2,)]


# ------------------------------------------------------------------------------------------------ installation


def test_it_is_listed_from_the_catalog_and_changed_and_removed(shop: Shop) -> None:
    change = {"on": ["insert"], "when": "new.id > 0", "key": "${row.id}", "hold": 60, "slot": "${row.note}"}
    assert shop.trigger(**change).done == "created"
    assert shop.trigger(**change).done == "unchanged"
    (one,) = shop.engine.run(verbs.listed())
    assert one == verbs.TableTrigger(
        name="watch", table="public.orders", on=["insert"], columns=[], when="new.id > 0",
        start={"name": "noop", "hold": 60.0}, input=None, key="${row.id}", slot="${row.note}", direct=False,
        runs="others", on_error="fail", enabled=True, triggers=["pgflow_watch_insert"],
    )  # fmt: skip
    assert shop.trigger(on=["update", "delete"], columns=["id"]).done == "changed"
    shop.run("alter table orders rename to purchases; alter table purchases disable trigger pgflow_watch_delete")
    (one,) = shop.engine.run(verbs.listed())
    assert (one.table, one.on, one.enabled) == ("public.purchases", ["update", "delete"], False)
    assert one.triggers == ["pgflow_watch_delete", "pgflow_watch_update"]
    assert shop.trigger(table="purchases", on=["delete"]).done == "changed"
    assert shop.engine.run(verbs.listed())[0].enabled
    assert shop.engine.run(verbs.remove(["watch", "nobody"])) == ["watch"]
    assert shop.engine.run(verbs.listed()) == []
    shop.trigger(table="purchases")
    shop.run("drop table purchases")
    assert shop.engine.run(verbs.listed()) == []


def test_what_cannot_be_installed_is_told_and_nothing_has_changed(shop: Shop) -> None:
    shop.run("create view seen_orders as select * from orders; create table other (id int)")
    shop.run("create function own() returns trigger language plpgsql as $$ begin return null; end $$")
    shop.run("create trigger pgflow_mine_insert after insert on orders for each row execute function own()")
    shop.trigger()
    refused: list[tuple[dict[str, Any], str]] = [
        ({"table": "nowhere"}, "there is no table nowhere"),
        ({"table": "a b"}, "there is no table a b"),
        ({"table": "a.b.c.d"}, "there is no table a.b.c.d"),
        ({"table": "seen_orders"}, "there is no table seen_orders"),
        ({"table": "pgflow.task"}, "there is no table pgflow.task"),
        ({"table": "other"}, "there is one of that name on table orders"),
        ({"columns": ["id", 'a"b']}, 'table orders has no column "a""b"'),
        ({"input": {"x": "${new.nothing}"}}, "table orders has no column nothing"),
        ({"key": '${row["a;b"]}'}, 'table orders has no column "a;b"'),
        ({"when": "new.nothing = 1"}, "column new.nothing does not exist"),
        ({"when": "new.id"}, "argument of WHEN must be type boolean, not type integer"),
        ({"when": "(select true)"}, "cannot use subquery in trigger WHEN condition"),
        ({"when": "new.id ="}, "syntax error"),
        ({"when": "old.id = 1"}, "INSERT trigger's WHEN condition cannot reference OLD values"),
    ]
    for change, fault in refused:
        installed = shop.trigger(**change)
        assert installed.done is None
        assert fault in (installed.fault or ""), change
    assert shop.trigger("mine").fault == "table orders has a trigger of its own that is called so"
    shop.run("insert into orders values (1)")
    assert shop.changes() == [("insert", None, 1)], "it is as it was"


def test_a_table_that_others_hold_is_not_waited_for_long(shop: Shop, engines: Callable[..., Engine]) -> None:
    shop.connection.autocommit = False
    shop.run("insert into orders values (1)")
    installed = shop.trigger()
    assert installed.fault == "table orders is locked by others"
    shop.connection.rollback()
    shop.connection.autocommit = True
    assert shop.trigger().done == "created"


def test_it_survives_dump_and_restore(shop: Shop, database: Settings, server_url: str, tmp_path: Path) -> None:
    programs = find_binaries()
    if not (shutil.which("pg_dump", path=str(programs)) and shutil.which("psql", path=str(programs))):
        pytest.skip("this server comes without pg_dump")
    shop.trigger(on=["insert"], input={"id": "${row.id}", "words": 'a\'b\\c "${row.status}"'})
    shop.trigger("second", on=["update"], when="new.status = 'it''s'", columns=["status"])
    shop.run("insert into orders values (1, 'x')")
    before = shop.engine.run(verbs.listed())
    dump = tmp_path / "dump.sql"
    _program(programs / "pg_dump", "-d", database.require_url(), "-f", str(dump))
    with databases.database(server_url) as restored:
        _program(programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", restored.require_url(), "-f", str(dump))
        with connect.open_sync(restored, "test") as connection:
            again = Engine(connection)
            assert again.run(verbs.listed()) == before
            assert again.query("select count(*) from pgflow.task") == [(1,)], "restoring changes nothing"
            connection.execute("insert into orders values (2, 'y')")
            connection.execute("update orders set status = 'it''s' where id = 1")
            assert [input for (input,) in again.query("select input->>'words' from pgflow.task order by id")] == [
                "a'b\\c \"x\"", "a'b\\c \"y\"", None,
            ]  # fmt: skip


def _program(program: Path, *options: str) -> None:
    done = subprocess.run([str(program), *options], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------------------ rights


@pytest.fixture
def clerk(shop: Shop, database: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A user who may change orders, and knows nothing of the engine."""
    name = f"pgflow_clerk_{uuid.uuid4().hex[:8]}"
    shop.run(
        f"""create role {name} login password 'secret-word'; grant all on orders to {name};
            grant create on schema public to {name}"""
    )
    url = psycopg.conninfo.make_conninfo(database.require_url(), user=name, password="secret-word")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    shop.run(f"drop owned by {name}; drop role {name}")


def test_whoever_changes_a_row_needs_no_right_on_the_engine(shop: Shop, clerk: psycopg.Connection[Any]) -> None:
    shop.trigger("plain", key="${op}-${row.id}")
    shop.trigger("filtered", when="true", input={"id": "${row.id}"})
    clerk.execute("insert into orders values (1)")
    clerk.execute("update orders set status = 'x'")
    clerk.execute("delete from orders")
    assert len(shop.started()) == 6
    for forbidden in (
        "select * from pgflow.task",
        "select pgflow.enqueue('[]')",
        "select pgflow.install_table_trigger('{}')",
        "select pgflow.start_from_changes('{}', '', '', null, null)",
        "create trigger mine after insert on orders for each row execute function pgflow.start_from_row('{}')",
    ):
        with pytest.raises(pg.InsufficientPrivilege):
            clerk.execute(forbidden)


def test_what_a_user_brings_along_does_not_run_with_the_owners_rights(
    shop: Shop, clerk: psycopg.Connection[Any]
) -> None:
    shop.run("create table said (who text); grant all on said to public")
    shop.run(
        """create function asks(int) returns boolean language plpgsql as
           $$ begin insert into said values (current_user); return true; end $$"""
    )
    shop.trigger(when="asks(new.id)", on=["insert"])
    # Functions, operators and tables of the user's own, by the names that ours use.
    for name in ("to_jsonb(anyelement)", "lower(text)", "jsonb_typeof(jsonb)"):
        clerk.execute(
            f"""create function public.{name} returns text language plpgsql as
                $$ begin insert into said values ('shadow'); return null; end $$"""
        )
    clerk.execute("create temp table task (id int); create temp table ready (id int)")
    clerk.execute("set search_path = pg_temp, public, pg_catalog")
    clerk.execute("insert into orders values (1)")
    assert len(shop.started()) == 1
    assert shop.engine.query("select distinct who from said") == [(clerk.info.user,)]


def test_only_who_may_make_triggers_on_the_table_and_may_enqueue_installs_one(
    shop: Shop, clerk: psycopg.Connection[Any], database: Settings
) -> None:
    config = config_of("watch", "noop", table="orders")
    with pytest.raises((PermissionDenied, SchemaError)):
        Session(clerk).run(verbs.install(config))
    shop.run(f"grant pgflow_worker to {clerk.info.user}")
    installed: verbs.Installed = Session(clerk).run(verbs.install(config))
    assert installed.done == "created", "it has the right TRIGGER"
    shop.run(f"revoke trigger on orders from {clerk.info.user}")
    with pytest.raises(PermissionDenied):
        Session(clerk).run(verbs.install({**config, "direct": True}))
    with pytest.raises(PermissionDenied, match="owner"):
        Session(clerk).run(verbs.remove(["watch"]))


# --------------------------------------------------------------------------------------- nothing gets out of its place

NAME = st.text(
    st.sampled_from("aZ_ \"'`;-/*$\\()[]{}%.,:\néß表") | st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=NAME, column=NAME, value=NAME)
def test_any_identifier_and_any_literal_stays_in_its_place(shop: Shop, table: str, column: str, value: str) -> None:
    names = sql.Identifier("public", table), sql.Identifier(column)
    literal = sql.Literal(value).as_string().strip()
    with shop.engine.connection.transaction(force_rollback=True), shop.engine.connection.cursor() as cursor:
        cursor.execute(sql.SQL("create table {} ({} text)").format(*names))
        change: dict[str, Any] = {"table": names[0].as_string(), "columns": [column], "tags": {value: value}}
        quoted = column.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        change["input"] = {value: f'${{row["{quoted}"]}}'}
        installed = shop.trigger("any", **change)
        assert installed.done == "created"
        cursor.execute(sql.SQL("insert into {} values ({})").format(names[0], sql.Literal(value)))
        cursor.execute(sql.SQL("update {} set {} = ''").format(*names))
        cursor.execute("select input, tags from pgflow.task order by id")
        assert cursor.fetchall() == [({value: value}, {value: value}), ({value: ""}, {value: value})]
        condition = f"new.{names[1].as_string()} = {literal}"
        if "\\" not in condition:
            installed = shop.trigger("other", **change | {"on": ["update"], "when": condition})
            assert installed.done == "created"


TOKENS = st.sampled_from([
    "'", '"', "(", ")", "--", "/*", "*/", "$$", "$a$", ";", "\n", "E'", "U&'", "\\", "true", "new.id", "1", " ", "or",
    "=",
    ") execute function evil(", "; drop table orders", "'';", "x''y", '"a""b"', "N'", "b'1'", "::text", "[1]", ",",
])  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tokens=st.lists(TOKENS, min_size=1, max_size=9))
def test_a_condition_that_passes_is_one_expression_whatever_it_says(engine: Engine, tokens: list[str]) -> None:
    condition = "".join(tokens)
    ((fault,),) = engine.query("select pgflow.fault_of_condition(%s)", condition)
    if fault is not None:
        return
    # Sent as plain text, in which a second statement would run.
    text = f"select 'first' as a, (({condition}\n)) is null as b, 'last' as c from (values (1)) new(id)"
    with engine.connection.transaction(force_rollback=True):
        cursor = psycopg.ClientCursor(engine.connection)
        try:
            cursor.execute(text.encode())
        except psycopg.Error:
            return
        assert [column.name for column in cursor.description or ()] == ["a", "b", "c"]
        assert [(row[0], row[2]) for row in cursor.fetchall()] == [("first", "last")]
        assert not cursor.nextset()


MORE_THAN_ONE = [
    "", " \n", "x" * 2001, "true; drop table orders", "true) execute function f(", "(true", "true)", "true -- ",
    "true /*", "$$x$$ = 'x'", "E'\\'' = ''", "'open", 'new."open',
]  # fmt: skip


def test_a_condition_that_is_more_than_one_expression_is_refused(shop: Shop) -> None:
    for condition in MORE_THAN_ONE:
        fault = shop.trigger(when=condition).fault or ""
        assert fault.startswith("the condition makes no sense: it"), condition


def test_an_engine_of_another_name_has_its_own(server_url: str) -> None:
    with databases.database(server_url) as plain:
        own = plain.model_copy(update={"schema_name": "billing"})
        migrations.migrate(own)
        migrations.migrate(plain)
        with connect.open_sync(own, "test") as connection:
            connection.execute("create table orders (id int)")
            for schema in ("billing", "pgflow"):
                config = config_of("watch", f"of_{schema}", table="orders", on=["insert"])
                assert Session(connection, schema).run(verbs.install(config)).done == "created"
            connection.execute("insert into orders values (1)")
            for schema in ("billing", "pgflow"):
                rows = connection.execute(f"select name from {schema}.task".encode()).fetchall()
                assert rows == [(f"of_{schema}",)]
                (listed,) = Session(connection, schema).run(verbs.listed())
                assert listed.triggers == [f"{schema}_watch_insert"]
