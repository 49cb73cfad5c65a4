from __future__ import annotations

import pytest

from tests.cli.conftest import Cli, invoke
from tests.fixtures.database import Engine


@pytest.fixture(autouse=True)
def orders(engine: Engine) -> None:
    engine.connection.execute("create table orders (id int primary key, status text, amount numeric)")


def test_it_is_installed_shown_listed_and_removed(cli: Cli, engine: Engine) -> None:
    assert "there are no table triggers" in cli("trigger", "table").err
    options = [
        "--table", "orders", "--on", "insert, update", "--columns", "status,amount", "--when", "new.status = 'paid'",
        "--task", "handle_order", "--input", '{"order_id": "${new.id}"}', "--key", "order-${row.id}", "--hold", "1h",
        "--slot", "${row.status}", "--queue", "shop", "--priority", "high", "--tag", "a=b", "--direct",
        "--runs", "none", "--on-error", "warn",
    ]  # fmt: skip
    installed = cli("trigger", "table", "paid", *options)
    assert (installed.code, installed.out) == (0, "")
    assert installed.err == "paid created; changes of orders start handle_order\n"
    assert cli("trigger", "table", "paid", *options, "--json").json == {"name": "paid", "done": "unchanged"}
    engine.connection.execute("insert into orders values (1, 'new'), (2, 'paid')")
    assert engine.query("select name, queue, priority, key, slot, tags, input from pgflow.task") == [
        ("handle_order", "shop", 1, "order-2", "paid", {"a": "b"}, {"order_id": 2})
    ]
    (row,) = cli("trigger", "table", "--json").json
    assert cli("trigger", "table", "paid", "--json").json == row
    assert row["input"] == {"order_id": "${new.id}"}
    assert (row["on"], row["columns"], row["hold"], row["direct"]) == (
        ["insert", "update"],
        ["amount", "status"],
        3600,
        True,
    )
    header, line = cli("trigger", "table").out.splitlines()
    assert header.split() == ["name", "table", "on", "columns", "when", "task", "state"]
    assert line.split()[:2] == ["paid", "public.orders"]
    assert "order-${row.id}" in cli("trigger", "table", "paid").out
    assert "paid removed" in cli("trigger", "table", "paid", "--remove").err
    assert cli("trigger", "table", "paid").code != 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--task", "t"], "it needs --table and --task"),
        (["--table", "orders"], "it needs --table and --task"),
        (["--table", "orders", "--task", "t", "--on", "insert,truncate"], "--on truncate is no kind of change"),
        (["--table", "orders", "--task", "t", "--input", "{"], "--input is no JSON"),
        (["--table", "orders", "--task", "t", "--input", "[]"], "--input is no JSON object"),
        (["--table", "orders", "--task", "t", "--columns", "nothing"], "table orders has no column nothing"),
        (["--table", "orders", "--task", "t", "--when", "true; drop table orders"], "the condition makes no sense"),
        (["--remove"], "there is no table trigger paid"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_and_a_hint(cli: Cli, options: list[str], why: str) -> None:
    answer = cli("trigger", "table", "paid", *options)
    assert answer.code != 0
    assert why in answer.err
    assert "Traceback" not in answer.err


def test_the_input_can_be_piped(cli: Cli, engine: Engine) -> None:
    answer = invoke(
        "trigger", "table", "p", "--table", "orders", "--task", "t", "--input", "-", input='{"a": "${new.id}"}'
    )
    assert answer.code == 0, answer.err
    engine.connection.execute("insert into orders values (1)")
    assert engine.query("select input from pgflow.task") == [({"a": 1},)]
