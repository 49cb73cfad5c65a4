"""`client.triggers`: what is stored, and what is refused."""

from __future__ import annotations

import asyncio
import inspect
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.engine import triggers, workflows
from pgflow.errors import ArgumentError, NotFound, PgflowError
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.registry.triggers import AsyncTriggers, Triggers, trigger_of
from pgflow.signature import Form, Kind, Scheme
from tests.fixtures.database import Engine
from tests.fixtures.hooks import SECRET
from tests.runtime import apps

app = App()


@app.task(name="on_order", queue="orders")
def on_order(body: Any, headers: dict[str, str]) -> None: ...


@app.task(name="on_event")
def on_event(event: dict[str, Any]) -> None: ...


@app.workflow(name="ship", queue="shipping")
async def ship(ctx: Any, order: int) -> None: ...


def public(cls: type) -> dict[str, list[str]]:
    return {
        name: [f"{p.name}:{p.kind}:{p.annotation}:{p.default}" for p in inspect.signature(method).parameters.values()]
        for name, method in vars(cls).items()
        if not name.startswith("_") and callable(method)
    }


def test_both_colours_have_the_same_verbs_and_signatures() -> None:
    assert public(Triggers) == public(AsyncTriggers)
    assert {"create", "put", "list", "get", "pause", "resume", "remove", "rotate", "receive"} == set(public(Triggers))


def test_a_trigger_comes_back_as_it_was_given(shop: Client) -> None:
    scheme = Scheme(Kind.HEADER, header="X-Sig", form=Form.BASE64, prefix="v0=", tolerance=60)
    made = shop.triggers.create(
        "orders", on_order.options(priority="high", tags={"from": "shop"}, timeout="1m"), path="shop/orders",
        signature=scheme, secrets=["B", "A"], filter="body.paid", headers=["X-Event", "content-type"],
        delivery=["X-Id", "X-Other"], keep="1d", limit=1000,
    )  # fmt: skip
    assert made == shop.triggers.get("orders")
    assert (made.kind, made.path, made.filter, made.revision, made.actor) == (
        "webhook", "shop/orders", "body.paid", 1, "ann"
    )  # fmt: skip
    assert made.start == {
        "name": "on_order", "queue": "orders", "priority": 1, "timeout": 60, "tags": {"from": "shop"},
        "input": {"body": "${body}", "headers": "${headers}"},
    }  # fmt: skip
    assert made.settings == {
        "signature": {"kind": "header", "header": "X-Sig", "form": "base64", "prefix": "v0=", "tolerance": 60},
        "secrets": ["B", "A"], "headers": ["content-type", "user-agent", "x-event"], "delivery": ["x-id", "x-other"],
        "keep": 86400, "limit": 1000,
    }  # fmt: skip


async def test_an_async_client_does_the_same(shop: Client, database: Settings) -> None:
    async with AsyncClient(database) as client:
        made = await client.triggers.create("orders", on_order, path="orders", secrets=["SHOP"])
        assert await client.triggers.list() == shop.triggers.list() == [made]
        assert await client.triggers.put("orders", on_order, path="orders", secrets=["SHOP"]) == "unchanged"
        assert (await client.triggers.receive("orders", {}, b"{}")).reason == "missing_header"
        assert await client.triggers.pause("orders") == ["orders"]
        assert await client.triggers.resume("orders") == ["orders"]
        assert await client.triggers.rotate("orders", "NEXT") == ["NEXT", "SHOP"]
        assert await client.triggers.remove("orders") == ["orders"]


def test_putting_the_same_changes_nothing_and_something_else_does(shop: Client) -> None:
    given: dict[str, Any] = {"path": "orders", "secrets": ["SHOP"], "input": {"body": "${body}", "headers": {}}}
    assert shop.triggers.put("orders", on_order, **given) == "created"
    first = shop.triggers.get("orders")
    assert shop.triggers.put("orders", on_order, **given) == "unchanged"
    assert shop.triggers.get("orders") == first
    shop.triggers.pause("orders")
    assert shop.triggers.put("orders", on_order, **given | {"filter": "body.paid"}) == "changed"
    changed = shop.triggers.get("orders")
    assert (changed.revision, changed.filter, changed.created_at) == (2, "body.paid", first.created_at)
    assert (changed.paused_by, changed.paused_at is None) == ("ann", False), "a pause outlasts a change"
    with pytest.raises(ArgumentError, match="already"):
        shop.triggers.create("orders", on_order, **given)
    assert shop.triggers.put("orders", on_event, event="order/paid") == "changed"
    assert (shop.triggers.get("orders").kind, shop.triggers.get("orders").path) == ("event", None)


def test_a_pause_ends_that_was_made_because_code_declared_it_no_more(shop: Client, engine: Engine) -> None:
    shop.triggers.put("orders", "t", event="orders")
    engine.run(triggers.pause(["orders"], actor="@code"))
    assert shop.triggers.put("orders", "t", event="orders") == "changed"
    assert (shop.triggers.get("orders").paused_at, shop.triggers.get("orders").paused_by) == (None, None)


def test_a_path_belongs_to_one_trigger(shop: Client) -> None:
    shop.triggers.create("orders", on_order, path="orders", secrets=["SHOP"])
    for path in ("orders", "/orders/", "/hooks/orders"):
        with pytest.raises(ArgumentError, match="that of the trigger orders"):
            shop.triggers.put("others", on_order, path=path, secrets=["SHOP"])
    with pytest.raises(NotFound):
        shop.triggers.get("others")


def test_a_path_that_many_want_at_once_is_given_to_one(shop: Client, engine: Engine) -> None:
    def want(number: int) -> str:
        try:
            return shop.triggers.put(f"t{number}", "on_order", path="orders", secrets=["SHOP"])
        except PgflowError:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(want, range(8))) == ["created"] + ["refused"] * 7
    assert engine.query("select count(*) from pgflow.trigger") == [(1,)]


def test_events_start_runs_too(shop: Client) -> None:
    made = shop.triggers.create(
        "paid", ship, event="order/*", input={"order": "${event.payload.order}"}, filter="event.payload.total > 1.0"
    )
    assert (made.kind, made.event, made.path) == ("event", "order/*", None)
    assert made.start == {
        "name": "ship", "queue": "shipping", "priority": 2, "input": {"order": "${event.payload.order}"}
    }  # fmt: skip
    shop.triggers.create("any", on_event, event="any")
    shop.triggers.create("hook", on_order, path="hook", secrets=["SHOP"])
    assert [one.name for one in shop.triggers.list()] == ["any", "hook", "paid"]
    assert [one.name for one in shop.triggers.list("event")] == ["any", "paid"]
    assert shop.triggers.get("any").start["input"] == {"event": "${event}"}


def test_triggers_are_paused_resumed_and_removed_together_or_not_at_all(shop: Client) -> None:
    for name in ("a", "b"):
        shop.triggers.create(name, on_event, event=name)
    assert sorted(shop.triggers.pause("a", "b")) == ["a", "b"]
    assert shop.triggers.pause("a") == []
    assert shop.triggers.get("a").paused_by == "ann"
    assert shop.triggers.resume("a") == ["a"]
    for verb in (shop.triggers.pause, shop.triggers.resume, shop.triggers.remove):
        with pytest.raises(NotFound, match="no trigger c"):
            verb("a", "c")
    assert shop.triggers.get("a").paused_at is None
    assert shop.triggers.remove("a", "b", "a") in (["a", "b"], ["b", "a"])
    assert shop.triggers.list() == []


def test_a_target_that_is_only_named_waits_where_its_definition_says(shop: Client, engine: Engine) -> None:
    engine.run(workflows.define([ship.definition()]))
    assert shop.triggers.create("a", "ship", event="a").start["queue"] == "shipping"
    assert shop.triggers.create("b", "unheard_of", event="b").start["queue"] == "default"
    made = shop.triggers.create("c", "ship", event="c", queue="other", priority="low", tags={"x": "y"})
    assert (made.start["queue"], made.start["priority"], made.start["tags"]) == ("other", 3, {"x": "y"})


def test_a_worker_may_do_all_of_it(shop: Client, engine: Engine) -> None:
    engine.connection.execute("set role pgflow_worker")
    engine.run(triggers.put(trigger_of("orders", "t", path="orders", secrets=["SHOP"])))
    assert engine.run(triggers.at("orders"))[1] == []
    assert engine.run(triggers.rotate("orders", "NEXT", 1)) == ["NEXT", "SHOP"]
    assert engine.run(triggers.pause(["orders"])) == engine.run(triggers.resume(["orders"])) == ["orders"]
    assert engine.run(triggers.remove(["orders"])) == ["orders"]


HOOK: dict[str, Any] = {"path": "orders", "secrets": ["SHOP"]}


@pytest.mark.parametrize(
    ("task", "when", "expected"),
    [
        ("t", {}, "a path to listen at, or an event"),
        ("t", HOOK | {"event": "e"}, "not both"),
        ("no name", HOOK, "no name for a task"),
        ("t", HOOK | {"path": ""}, "no path"),
        ("t", HOOK | {"path": "a//b"}, "no path"),
        ("t", HOOK | {"path": "../etc"}, "no path"),
        ("t", HOOK | {"path": "a b"}, "no path"),
        ("t", HOOK | {"path": "a?b=c"}, "no path"),
        ("t", HOOK | {"path": "ä"}, "no path"),
        ("t", HOOK | {"path": "x" * 201}, "no path"),
        ("t", HOOK | {"secrets": []}, "needs a secret"),
        ("t", HOOK | {"signature": "none"}, "needs no secret"),
        ("t", HOOK | {"signature": "md5"}, "no signature 'md5'"),
        ("t", HOOK | {"signature": "header"}, "no signature 'header'"),
        ("t", HOOK | {"secrets": [SECRET]}, "no secret's name"),
        ("t", HOOK | {"headers": ["Authorization"]}, "not kept"),
        ("t", HOOK | {"headers": ["cookie"]}, "not kept"),
        ("t", HOOK | {"headers": ["Webhook-Signature"]}, "not kept"),
        ("t", HOOK | {"headers": ["two words"]}, "no name for a header"),
        ("t", HOOK | {"delivery": []}, "there is no header"),
        ("t", HOOK | {"delivery": ["a:b"]}, "no name for a header"),
        ("t", HOOK | {"delivery": "payload.id"}, "id: there is no name 'payload'"),
        ("t", HOOK | {"keep": 599}, "remembered"),
        ("t", HOOK | {"keep": "1h", "signature": Scheme(Kind.STRIPE, tolerance=3600)}, "remembered"),
        ("t", HOOK | {"keep": "91d"}, "remembered"),
        ("t", HOOK | {"limit": -1}, "at most -1"),
        ("t", HOOK | {"filter": "payload.paid"}, "the filter: there is no name 'payload'"),
        ("t", HOOK | {"filter": "event.paid"}, "there is no name 'event'"),
        ("t", HOOK | {"input": {"a": "${secrets.TOKEN}"}}, "the input: $.a: there"),
        ("t", HOOK | {"queue": "a b"}, "no name for a queue"),
        ("t", HOOK | {"priority": "soon"}, "no priority"),
        (on_order, HOOK | {"queue": "other"}, "the task's own"),
        (on_order, HOOK | {"input": {"order": "${body.order}"}}, "unexpected 'order'"),
        (apps.add, HOOK, "unexpected 'body'"),
        ("t", {"event": "order paid"}, "no name for an event"),
        ("t", {"event": "e", "secrets": ["A"]}, "secrets is for webhooks"),
        ("t", {"event": "e", "limit": 5}, "limit is for webhooks"),
        ("t", {"event": "e", "filter": "body.paid"}, "there is no name 'body'"),
    ],
)
def test_what_makes_no_sense_is_refused_whole(task: Any, when: Any, expected: str) -> None:
    with pytest.raises(PgflowError) as caught:
        trigger_of("orders", task, **when)
    assert expected in caught.value.message
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("when", "place"),
    [
        ({"filter": "body.paid &&"}, "the filter: the expression ends .* (line 1, column 13)"),
        ({"input": {"a": ["${body.}"]}}, "the input: $.a[0]: the expression ends .* (line 1, column 6)"),
        ({"delivery": "body.id +"}, "the delivery's id: the expression ends .* (line 1, column 10)"),
        ({"filter": "boddy.paid"}, "the filter: there is no name 'boddy' here (line 1, column 1)"),
    ],
)
def test_an_expression_that_is_none_is_told_with_its_place(when: Any, place: str) -> None:
    with pytest.raises(ArgumentError, match="trigger orders: " + re.escape(place).replace(r"\.\*", ".*")):
        trigger_of("orders", "t", **HOOK | when)


def test_a_trigger_needs_a_name() -> None:
    for name in ("", "two words", "a/b", "a#b", "x" * 201):
        with pytest.raises(ArgumentError, match="no name for a trigger"):
            trigger_of(name, "t", **HOOK)


def test_only_signed_webhooks_have_secrets_to_rotate(shop: Client) -> None:
    shop.triggers.create("event", "t", event="e")
    shop.triggers.create("open", "t", path="open", signature="none")
    shop.triggers.create("signed", "t", path="signed", secrets=["A", "B", "C"])
    with pytest.raises(NotFound):
        shop.triggers.rotate("event", "NEXT")
    with pytest.raises(ArgumentError, match="not signed"):
        shop.triggers.rotate("open", "NEXT")
    with pytest.raises(ArgumentError) as caught:
        shop.triggers.rotate("signed", SECRET)
    assert SECRET not in str(caught.value)
    assert shop.triggers.rotate("signed", "C", keep=2) == ["C", "A", "B"]
    assert shop.triggers.rotate("signed", "D") == ["D", "C"]
    assert shop.triggers.rotate("signed", "D", keep=0) == ["D"]
    assert shop.triggers.get("signed").revision == 4


async def test_rotations_at_once_all_count(database: Settings) -> None:
    async with AsyncClient(database) as client:
        await client.triggers.create("hook", "t", path="hook", secrets=["A"])
        await asyncio.gather(*(client.triggers.rotate("hook", f"S{number}", keep=10) for number in range(5)))
        kept = (await client.triggers.get("hook")).settings["secrets"]
    assert sorted(kept) == ["A", "S0", "S1", "S2", "S3", "S4"]
