from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pgflow.config import Settings
from pgflow.sdk.client import Client
from tests.cli.conftest import Cli
from tests.fixtures.database import Engine
from tests.fixtures.hooks import SECRET, Hooks

ORDERS = ("trigger", "webhook", "orders", "--path", "shop/orders", "--task", "fulfil", "--secret", "SHOP")
MAPPED = ("--input", '{"order": "${body.order}"}', "--filter", "body.paid")


def test_a_webhook_is_made_shown_changed_and_removed(cli: Cli) -> None:
    made = cli(*ORDERS, *MAPPED, "--queue", "mail", "--priority", "high", "--tag", "a=b", "--header", "X-Event")
    assert (made.code, made.err) == (0, "orders created; it listens at /hooks/shop/orders\n")
    shown = cli("trigger", "show", "orders", "--json").json
    expected = {
        "name": "orders", "kind": "webhook", "listens": "/hooks/shop/orders", "state": "active", "task": "fulfil",
        "queue": "mail", "priority": 1, "tags": {"a": "b"}, "input": {"order": "${body.order}"}, "filter": "body.paid",
        "signature": "standard", "secrets": ["SHOP"], "delivery": ["webhook-id"], "keep": 259200.0,
        "headers": ["content-type", "user-agent", "x-event"], "revision": 1,
    }  # fmt: skip
    assert {name: shown[name] for name in expected} == expected
    assert "@" in shown["actor"]
    assert cli(*ORDERS, *MAPPED, "--json").json == {"name": "orders", "done": "changed"}
    assert "unchanged" in cli(*ORDERS, *MAPPED).err
    header, line = cli("trigger", "list").out.splitlines()
    assert header.split() == ["name", "kind", "listens", "task", "filter", "state"]
    assert line.split() == ["orders", "webhook", "/hooks/shop/orders", "fulfil", "body.paid", "active"]
    assert "keep" in cli("trigger", "show", "orders").out
    assert cli("trigger", "remove", "orders", "--json").json == {"removed": ["orders"], "left": []}
    assert "there are no triggers" in cli("trigger", "list").err
    assert cli("trigger", "show", "orders").code == 3


def test_every_way_of_signing_can_be_given(cli: Cli) -> None:
    named = ("--signature-header", "X-Sig", "--signature-form", "token", "--signature-prefix", "Bearer ")
    assert cli(*ORDERS, "--signature", "header", *named, "--tolerance", "1m").code == 0
    shown = cli("trigger", "show", "orders", "--json").json
    assert (shown["signature"], shown["signature_header"], shown["signature_form"], shown["signature_prefix"]) == (
        "header", "X-Sig", "token", "Bearer "
    )  # fmt: skip
    for signature, delivery in (("github", ["x-github-delivery"]), ("stripe", "body.id")):
        assert cli(*ORDERS, "--signature", signature).code == 0
        assert cli("trigger", "show", "orders", "--json").json["delivery"] == delivery
    assert cli(*ORDERS, "--id", "body.event.id", "--keep", "7d", "--limit", "1000").code == 0
    shown = cli("trigger", "show", "orders", "--json").json
    assert (shown["delivery"], shown["keep"], shown["limit"]) == ("body.event.id", 7 * 86400, 1000)
    assert cli(*ORDERS, "--id-header", "X-One", "--id-header", "X-Two").code == 0
    assert cli("trigger", "show", "orders", "--json").json["delivery"] == ["x-one", "x-two"]
    assert cli(*ORDERS[:-2], "--signature", "none").code == 0
    assert cli("trigger", "show", "orders", "--json").json["signature"] == "none"


def test_what_makes_no_sense_is_refused_with_a_hint(cli: Cli) -> None:
    for more in (
        ("--input", "{"), ("--input", "[1]"), ("--filter", "payload.paid"), ("--signature-header", "X-Sig"),
        ("--id", "body.id", "--id-header", "X-Id"), ("--secret", SECRET), ("--priority", "soon"), ("--keep", "soon"),
        ("--signature", "header"), ("--signature", "none"), ("--queue", "a b"), ("--input", '{"a": "${secrets.B}"}'),
    ):  # fmt: skip
        answer = cli(*ORDERS, *more)
        assert answer.code == 2, more
        assert "->" in answer.err
        assert SECRET not in answer.err
    assert cli(*ORDERS[:-2]).code == 2
    for command in ("pause", "resume", "remove", "show"):
        assert cli("trigger", command, "orders").code == 3
    assert cli("trigger", "rotate", "orders", "NEXT").code == 3


def test_an_event_trigger_is_made(cli: Cli) -> None:
    input = '{"order": "${event.payload.order}"}'
    made = cli("trigger", "event", "paid", "--event", "order/*", "--task", "ship", "--input", "-", input=input)
    assert (made.code, made.err) == (0, "paid created; it is started by order/*\n")
    (row,) = cli("trigger", "list", "--kind", "event", "--json").json
    assert (row["listens"], row["task"], row["input"]) == ("order/*", "ship", {"order": "${event.payload.order}"})
    assert cli("trigger", "list", "--kind", "webhook", "--json").json == []


def test_triggers_are_paused_and_resumed(cli: Cli) -> None:
    cli(*ORDERS)
    assert cli("trigger", "pause", "orders").err == "paused orders\n"
    assert cli("trigger", "list", "--json").json[0]["state"] == "paused"
    assert cli("trigger", "pause", "orders").err == "orders was not to be paused\n"
    assert cli("trigger", "resume", "orders", "--json").json == {"resumed": ["orders"], "left": []}


def test_secrets_are_rotated(cli: Cli) -> None:
    cli(*ORDERS)
    assert cli("trigger", "rotate", "orders", "NEXT").err == "orders is signed with NEXT or SHOP\n"
    assert cli("trigger", "rotate", "orders", "NEXT", "--keep", "0", "--json").json["secrets"] == ["NEXT"]


def test_a_body_is_tried_without_starting_anything(cli: Cli, engine: Engine, tmp_path: Path) -> None:
    cli(*ORDERS, *MAPPED, "--header", "X-Event", "--id", "body.order")
    body = tmp_path / "body.json"
    body.write_text('{"order": 42, "paid": true}')
    tried = cli("trigger", "test", "orders", body, "--json").json
    assert (tried["start"]["name"], tried["start"]["input"], tried["delivery"]) == ("fulfil", {"order": 42}, "42")
    assert "42" in cli("trigger", "test", "orders", input='{"order": 42, "paid": true}').out
    assert "does not let it through" in cli("trigger", "test", "orders", input='{"order": 42, "paid": false}').err
    failed = cli("trigger", "test", "orders", input='{"paid": true, "order": {}}')
    assert failed.code == 0, "any JSON can be an argument"
    assert "the input" in cli("trigger", "test", "orders", input='{"paid": true}').err
    assert cli("trigger", "test", "orders", "--header", "no header", input="{}").code == 2
    assert cli("trigger", "test", "orders", "--header", "content-type: application/json", input="{").code == 2
    cli("trigger", "event", "paid", "--event", "order/paid", "--task", "ship", "--filter", "event.payload.total > 1")
    tried = cli("trigger", "test", "paid", "--json", input='{"total": 5}').json
    assert tried["start"]["input"]["event"]["payload"] == {"total": 5}
    assert engine.query("select count(*) from pgflow.task") == [(0,)]


@pytest.fixture
def served(
    cli: Cli, database: Settings, serve: Callable[[Client], Hooks], monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Where a server takes requests for the triggers of `cli`."""
    monkeypatch.setenv("PGFLOW_SECRET_SHOP", SECRET)
    with Client(database) as client:
        yield f"http://127.0.0.1:{serve(client).port}"


@pytest.mark.parametrize("signature", ["standard", "github", "stripe"])
def test_a_signed_request_is_sent(cli: Cli, engine: Engine, served: str, signature: str) -> None:
    cli(*ORDERS, "--signature", signature)
    body = json.dumps({"id": "evt_1", "order": 42})
    first = cli("trigger", "send", "orders", "--to", served, "--id", "one", "--json", input=body).json
    again = cli("trigger", "send", "orders", "--to", served, "--id", "one", "--json", input=body).json
    assert (first["status"], again["status"], again["answer"]["duplicate"]) == (202, 200, True)
    assert engine.query("select input->'body' from pgflow.task") == [({"id": "evt_1", "order": 42},)]


def test_what_is_not_taken_is_told(cli: Cli, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cli(*ORDERS)
    cli("trigger", "pause", "orders")
    answer = cli("trigger", "send", "orders", "--to", served, input="{}")
    assert answer.code == 1
    assert "paused" in answer.out
    assert cli("trigger", "send", "orders", "--to", "ftp://host", input="{}").code == 2
    assert "does not answer" in cli("trigger", "send", "orders", "--to", "http://127.0.0.1:9", input="{}").err
    monkeypatch.delenv("PGFLOW_SECRET_SHOP")
    assert "secrets" in cli("trigger", "send", "orders", "--to", served, input="{}").err
