"""Every example of docs/nodes.md does what its page says, with the real thing that it talks to."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import orjson
import psycopg
import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.engine import secrets
from pgflow.nodes.kit import node_types
from pgflow.sealing import Keyring, new_key
from pgflow.signature import Kind, Scheme, verify
from pgflow.testing.database import database
from tests.nodes.conftest import Graphs, Make
from tests.outbound.mailbox import mailbox
from tests.outbound.servers import Request, respond, serving

TRIED = {
    "approval", "condition", "delay", "email", "http", "loop", "map", "noop", "signal", "sql", "switch", "task",
    "transform", "wait_until", "webhook", "workflow",
}  # fmt: skip
DAY = "2026-05-01"


def app() -> App:
    made = App()

    @made.task(name="reports.publish")
    async def publish(day: str) -> str:
        return f"published {day}"

    @made.task(name="reports.enrich")
    async def enrich(row: int) -> int:
        return row + 1

    @made.task(name="exports.look")
    async def look(export: str) -> dict[str, Any]:
        looks.append(export)
        return {"ready": len(looks) == 3}

    looks: list[str] = []
    return made


def graph(kind: str, before: Mapping[str, Any] = {}, /, **changes: Any) -> dict[str, Any]:
    """The example of that type, after nodes that give what it reads."""
    example = orjson.loads(orjson.dumps(node_types()[kind].example))
    example.setdefault("config", {}).update(changes)
    nodes = {name: {"type": "transform", "config": {"value": value}} for name, value in before.items()}
    edges = [{"from": name, "to": "it"} for name in nodes]
    return {"nodes": {**nodes, "it": example}, "edges": edges, "output": "${nodes.it.output}"}


def test_none_is_forgotten() -> None:
    """Those of agents have tests of their own."""
    built_in = {name for name, kind in node_types().items() if type(kind).__module__.startswith("pgflow.nodes")}
    assert built_in - {"agent"} == TRIED


async def test_nodes_that_wait_and_decide(graphs: Make) -> None:
    made = graphs(app())
    assert await made.run(graph("condition"), amount=2000) is True
    assert await made.run(graph("condition"), amount=1000) is False
    assert [(await made.run(graph("switch"), country=country))["branch"] for country in ("DE", "IT", "US")] == [
        "home", "eu", "abroad",
    ]  # fmt: skip
    assert await made.run(graph("transform", {"fetch": {"prices": [1, 2.5]}})) == {"total": 3.5}
    assert await made.run(graph("noop")) is None

    before = await made.engine.now()
    assert await made.run(graph("delay")) is None
    after = await made.engine.now()
    assert 3600 <= (after - before).total_seconds() < 3700
    assert await made.run(graph("wait_until"), not_before="2020-01-01T00:00:00+01:00") is None
    assert (await made.engine.now() - after).total_seconds() < 60
    later = after + timedelta(days=365)
    assert await made.run(graph("wait_until"), not_before=later.isoformat()) is None
    assert await made.engine.now() >= later

    run = await made.start(graph("signal"))
    await made.engine.client.signal(run, "paid", {"by": "ann"})
    assert await made.engine.result(run) == {"received": True, "payload": {"by": "ann"}}
    assert await made.run(graph("signal")) == {"received": False, "payload": None}

    run = await made.start(graph("approval"), day=DAY)
    await made.engine.advance("4h")
    (question,) = await made.engine.client.approvals.list(assignee="desk@example.com")
    assert question.title == f"Publish the report of {DAY}?"
    await made.engine.client.approvals.decide(question.id, True, form={"edition": "evening"}, actor="desk@example.com")
    assert (await made.engine.result(run))["form"] == {"edition": "evening"}


async def test_nodes_that_have_something_done(graphs: Make) -> None:
    made = graphs(app())
    assert await made.run(graph("task"), day=DAY) == f"published {DAY}"
    assert await made.run(graph("map", {"fetch": [1, 2, 3]})) == [2, 3, 4]
    assert await made.run(graph("loop"), export="e1") == {"output": {"ready": True}, "iterations": 3, "done": True}
    shipped = {"type": "transform", "config": {"value": "shipped ${input.order}"}}
    await made.publish({"nodes": {"a": shipped}, "output": "${nodes.a.output}"}, "ship_order")
    assert await made.run(graph("workflow"), order=7) == "shipped 7"


@pytest.fixture
def warehouse(pgflow_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with database(pgflow_server) as settings:
        with psycopg.connect(settings.require_url(), autocommit=True) as connection:
            connection.execute("create table orders (customer text, day date, total numeric)")
            connection.execute(
                "insert into orders select 'c' || n % 2, '2026-05-01'::date - n / 4, n from generate_series(0, 5) n"
            )
        monkeypatch.setenv("PGFLOW_SQL_WAREHOUSE", settings.require_url())
        yield


async def keep(made: Graphs, keys: Keyring, name: str, value: str) -> None:
    await made.engine.call(secrets.put(name, keys.seal(value, made.engine.settings.schema_name, name)))


async def test_nodes_that_talk_to_others(graphs: Make, pgflow_database: Settings, warehouse: None) -> None:
    key = new_key()
    async with mailbox() as box, serving(orders) as shop:
        made = graphs(app(), secret_keys=[key], smtp_url=f"smtp://127.0.0.1:{box.port}", mail_from="pgflow@example.org")
        await keep(made, Keyring([key]), "API_TOKEN", "token of the shop")
        await keep(made, Keyring([key]), "SHOP_KEY", "key of the shop")

        rows = (await made.run(graph("sql"), day=DAY))["rows"]
        assert sorted(rows, key=str) == [{"customer": "c0", "total": 2}, {"customer": "c1", "total": 4}]

        assert await made.run(graph("http", url=f"{shop.url}/orders"), day=DAY) == [{"id": 1}, {"id": 2}, {"id": 3}]
        assert [request.target for request in shop.requests] == [
            f"/orders?day={DAY}", f"/orders?day={DAY}&after=2",
        ]  # fmt: skip
        assert {request.headers["authorization"] for request in shop.requests} == {"Bearer token of the shop"}

        assert (await made.run(graph("webhook", url=f"{shop.url}/hooks"), order=7))["status"] == 200
        hook = shop.requests[-1]
        assert orjson.loads(hook.body) == {"type": "order.shipped", "order": 7}
        assert verify(Scheme(Kind.STANDARD), hook.headers, hook.body, ["key of the shop"], now=time.time()).id

        file = base64.b64encode(b"a,b\n").decode()
        await made.run(
            graph("email", {"total": {"sum": 12}, "file": file}),
            day=DAY,
            recipients=["ann@example.com", "Bob <b@c.de>"],
        )
        (letter,) = box.letters
        assert (letter["Subject"], letter["To"]) == (f"Sales of {DAY}", "ann@example.com, Bob <b@c.de>")
        body = letter.get_body()
        assert body is not None
        assert body.get_content().strip() == "12 in all."
        (attached,) = letter.iter_attachments()
        assert (attached.get_filename(), attached.get_content()) == ("sales.csv", "a,b\n")


async def orders(request: Request, writer: Any) -> None:
    """Two pages of orders; what is posted is taken."""
    pages: dict[bool, Any] = {
        False: {"orders": [{"id": 1}, {"id": 2}], "next": "2"},
        True: {"orders": [{"id": 3}], "next": None},
    }
    body = {"taken": True} if request.method == "POST" else pages["after=" in request.target]
    await respond(200, orjson.dumps(body), content_type="application/json")(request, writer)
