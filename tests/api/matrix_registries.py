"""The entries of the routes about what starts runs, who is told, who decides, and what else stands beside runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from pgflow.engine import approvals, control, limits, schedules, subscriptions, table_triggers, triggers
from pgflow.sdk.registry import bulk as bulks
from pgflow.sdk.registry.schedules import schedule_of
from pgflow.sdk.registry.subscriptions import slot_of, subscription_of
from pgflow.sdk.registry.table_triggers import config_of
from pgflow.sdk.registry.triggers import trigger_of
from tests.api.matrix import Entry, Made, World

START: Made = {"task": "orders.ship", "queue": "orders"}


class Path(str):
    """A path's parameter that holds slashes."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return str(self)


def schedule(world: World, **body: Any) -> Made:
    name = world.fresh("schedule")
    world.engine.run(schedules.put(schedule_of(name, "orders.ship", queue="orders", every=3600)))
    return {"name": name, **({"body": body} if body else {})}


def backfill(world: World) -> Made:
    past = datetime(2026, 1, 1, tzinfo=UTC)
    input = orjson.dumps({"schedule": schedule(world)["name"], "start": past, "end": past})
    (id,) = world.engine.enqueue(name="pgflow.backfill", queue="pgflow", input=input)
    return {"id": str(id)}


def hook(world: World, **body: Any) -> Made:
    name = world.fresh("hook")
    made = trigger_of(name, "orders.ship", queue="orders", path=name, secrets=["SHOP"])
    world.engine.run(triggers.put(made))
    return {"name": name, **({"body": body} if body else {})}


def open_hook(world: World) -> Made:
    name = world.fresh("open")
    world.engine.run(triggers.put(trigger_of(name, "orders.ship", queue="orders", path=f"a/{name}", signature="none")))
    return {"path": Path(f"a/{name}"), "body": {"order": 1}}


def table(world: World, *, installed: bool = False) -> Made:
    name = world.fresh("changed")
    world.engine.connection.execute("create table if not exists public.parcel (id bigint)")
    body = {**START, "table": "public.parcel", "on": ["insert"]}
    if installed:
        config = config_of(name, "orders.ship", table="public.parcel", on=["insert"], queue="orders")
        assert world.engine.run(table_triggers.install(config)).done
        return {"name": name}
    return {"name": name, "body": body}


def keyed(world: World) -> Made:
    key = world.fresh("key")
    world.engine.enqueue(name="orders.ship", queue="orders", key=key)
    return {"body": {"workflow": "orders.ship", "key": key, "name": "go"}}


def subscription(world: World, **body: Any) -> Made:
    made = subscription_of(world.fresh("told"), "https://example.com/hook")
    world.engine.run(subscriptions.put(made, slot_of(made)))
    return {"name": made.name, **({"body": body} if body else {})}


def question(world: World, **body: Any) -> Made:
    id = int(world.run())
    asked = world.engine.run(approvals.ask(approvals.Place(id, id, "ask"), "orders.ship", approvals.Question("Ship?")))
    return {"id": str(asked.id), **({"body": body} if body else {})}


def limited(world: World) -> Made:
    world.engine.run(limits.set_limit("orders", limits.Limit(concurrency=1000)))
    return {"name": "orders"}


def secret(world: World) -> Made:
    name = world.fresh("MADE_")
    world.engine.query(
        "insert into pgflow.secret (name, sealed, key_id, created_at, changed_at) "
        "values (%s, '\\x00', 'old', now(), now()) returning name",
        name,
    )
    return {"name": name}


def bulk(world: World, *, done: bool = False) -> Made:
    """A bulk of somebody with the scopes of who is limited."""
    input = {
        "action": "cancel", "which": {"workflow": "orders.ship"}, "upto": 1, "count": 0, "rate": 100, "actor": None,
        "names": ["orders.%"], "queues": ["orders"],
    }  # fmt: skip
    (id,) = world.engine.enqueue(name="pgflow.bulk", queue="pgflow", input=orjson.dumps(input))
    if done:
        world.engine.run(control.cancel([id]))
    return {"id": str(id)}


def confirmed(world: World) -> Made:
    which = {"workflow": world.fresh("orders.many")}
    steps = bulks.preview(bulks.Asked(action="cancel", which=which, actor=None), datetime.now(UTC))
    call = next(steps)
    while True:
        try:
            call = steps.send(world.engine.run(call))
        except StopIteration as end:
            return {"body": {"action": "cancel", "filter": which, "confirmation": end.value.confirmation}}


ENTRIES: dict[str, Entry] = {
    "GET /api/v1/schedules": Entry("viewer", scoped=True, foreign=200),
    "POST /api/v1/schedules": Entry(
        "operator", 201, scoped=True,
        make=lambda world: {"body": {**START, "name": world.fresh("new"), "cron": "0 6 * * *"}},
    ),
    "GET /api/v1/schedules/{name}": Entry("viewer", scoped=True, foreign=404, make=schedule),
    "PUT /api/v1/schedules/{name}": Entry(
        "operator", scoped=True, make=lambda world: schedule(world, **START, every="5m")
    ),
    "DELETE /api/v1/schedules/{name}": Entry("operator", 204, scoped=True, foreign=404, make=schedule),
    "POST /api/v1/schedules/{name}/pause": Entry("operator", scoped=True, foreign=404, make=schedule),
    "POST /api/v1/schedules/{name}/resume": Entry("operator", scoped=True, foreign=404, make=schedule),
    "POST /api/v1/schedules/{name}/trigger": Entry("operator", 201, scoped=True, foreign=404, make=schedule),
    "POST /api/v1/schedules/{name}/backfill": Entry(
        "operator", 202, scoped=True, foreign=404, make=lambda world: schedule(world, start="2026-01-01T00:00:00Z")
    ),
    "GET /api/v1/schedules/{name}/next": Entry("viewer", scoped=True, foreign=404, make=schedule),
    "GET /api/v1/schedules/{name}/firings": Entry("viewer", scoped=True, foreign=404, make=schedule),
    "GET /api/v1/backfills/{id}": Entry("viewer", scoped=True, foreign=404, make=backfill),
    "GET /api/v1/cron/explain": Entry(
        "viewer", scoped=True, foreign=200, make=lambda world: {"query": {"expression": "@daily"}}
    ),
    "GET /api/v1/triggers": Entry("viewer", scoped=True, foreign=200),
    "POST /api/v1/triggers": Entry(
        "operator", 201, scoped=True,
        make=lambda world: {"body": {**START, "name": (name := world.fresh("new")), "path": name, "secrets": ["SHOP"]}},
    ),
    "GET /api/v1/triggers/{name}": Entry("viewer", scoped=True, foreign=404, make=hook),
    "PUT /api/v1/triggers/{name}": Entry(
        "operator", scoped=True, make=lambda world: hook(world, **START, path=world.fresh("moved"), secrets=["SHOP"])
    ),
    "DELETE /api/v1/triggers/{name}": Entry("operator", 204, scoped=True, foreign=404, make=hook),
    "POST /api/v1/triggers/{name}/pause": Entry("operator", scoped=True, foreign=404, make=hook),
    "POST /api/v1/triggers/{name}/resume": Entry("operator", scoped=True, foreign=404, make=hook),
    "POST /api/v1/triggers/{name}/rotate": Entry("admin", make=lambda world: hook(world, secret="SHOP_2")),
    "POST /api/v1/triggers/{name}/test": Entry(
        "operator", scoped=True, foreign=404, make=lambda world: hook(world, body={"order": 1})
    ),
    "GET /api/v1/table-triggers": Entry("viewer"),
    "GET /api/v1/table-triggers/{name}": Entry("viewer", make=lambda world: table(world, installed=True)),
    "PUT /api/v1/table-triggers/{name}": Entry("admin", 201, make=table),
    "DELETE /api/v1/table-triggers/{name}": Entry("admin", 204, make=lambda world: table(world, installed=True)),
    "POST /hooks/{path:path}": Entry(None, 202, make=open_hook),
    "POST /api/v1/events": Entry("operator", 201, make=lambda world: {"body": {"name": "order/paid"}}),
    "GET /api/v1/emissions": Entry("viewer"),
    "POST /api/v1/signals": Entry("operator", 202, scoped=True, foreign=404, make=keyed),
    "GET /api/v1/subscriptions": Entry("viewer"),
    "POST /api/v1/subscriptions": Entry(
        "admin", 201, make=lambda world: {"body": {"name": world.fresh("new"), "url": "https://example.com/hook"}}
    ),
    "GET /api/v1/subscriptions/{name}": Entry("viewer", make=subscription),
    "PUT /api/v1/subscriptions/{name}": Entry(
        "admin", make=lambda world: subscription(world, url="https://example.com/other")
    ),
    "DELETE /api/v1/subscriptions/{name}": Entry("admin", 204, make=subscription),
    "POST /api/v1/subscriptions/{name}/enable": Entry("operator", make=subscription),
    "POST /api/v1/subscriptions/{name}/disable": Entry("operator", make=subscription),
    "POST /api/v1/subscriptions/{name}/test": Entry("operator", 202, make=subscription),
    "GET /api/v1/subscriptions/{name}/deliveries": Entry("viewer", make=subscription),
    "POST /api/v1/subscriptions/{name}/redeliver": Entry(
        "operator", 202, make=lambda world: subscription(world, since="2026-01-01T00:00:00Z")
    ),
    "GET /api/v1/workers": Entry("viewer"),
    "GET /api/v1/approvals": Entry("viewer", scoped=True, foreign=200),
    "GET /api/v1/approvals/{id}": Entry("viewer", scoped=True, foreign=404, make=question),
    "POST /api/v1/approvals/{id}/decide": Entry(
        "operator", scoped=True, foreign=404, make=lambda world: question(world, approved=True)
    ),
    "GET /api/v1/node-types": Entry("viewer", scoped=True, foreign=200),
    "GET /api/v1/node-types/{name}": Entry("viewer", scoped=True, foreign=200, make=lambda world: {"name": "http"}),
    "GET /api/v1/secrets": Entry("operator"),
    "GET /api/v1/secrets/check": Entry("admin"),
    "POST /api/v1/secrets/rotate": Entry("admin"),
    "PUT /api/v1/secrets/{name}": Entry(
        "admin", make=lambda world: {**secret(world), "body": {"value": "correct horse"}}
    ),
    "DELETE /api/v1/secrets/{name}": Entry("admin", 204, make=secret),
    "GET /api/v1/limits": Entry("viewer", scoped=True, foreign=200),
    "GET /api/v1/queues/{name}/limit": Entry("viewer", scoped=True, make=limited),
    "PUT /api/v1/queues/{name}/limit": Entry(
        "operator", scoped=True, make=lambda world: {**limited(world), "body": {"concurrency": 500}}
    ),
    "DELETE /api/v1/queues/{name}/limit": Entry("operator", 204, scoped=True, make=limited),
    "PUT /api/v1/queues/{name}/ageing": Entry(
        "operator", scoped=True, make=lambda world: {"name": "orders", "body": {"every": "10m"}}
    ),
    "DELETE /api/v1/queues/{name}/ageing": Entry("operator", 204, scoped=True, make=lambda world: {"name": "orders"}),
    "GET /api/v1/bulk": Entry("viewer", scoped=True, foreign=200),
    "POST /api/v1/bulk": Entry("operator", 202, scoped=True, foreign=202, make=confirmed),
    "POST /api/v1/bulk/preview": Entry(
        "operator", scoped=True, foreign=200, make=lambda world: {"body": {"action": "cancel", "filter": {}}}
    ),
    "GET /api/v1/bulk/{id}": Entry("viewer", scoped=True, foreign=404, make=bulk),
    "POST /api/v1/bulk/{id}/cancel": Entry("operator", scoped=True, foreign=404, make=bulk),
    "POST /api/v1/bulk/{id}/undo": Entry(
        "operator", 202, scoped=True, foreign=404, make=lambda world: bulk(world, done=True)
    ),
    "GET /api/v1/timers": Entry("viewer", scoped=True, foreign=200),
}  # fmt: skip
