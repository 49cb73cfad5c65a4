"""Triggers over HTTP, and webhooks that come in: believed or not, once, within bounds."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.signature import sign
from tests.api.conftest import Api, Askers
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing, leading

TRIGGERS = "/api/v1/triggers"
SHOP: dict[str, Any] = {
    "task": "orders.ship", "queue": "orders", "path": "shop/orders", "secrets": ["SHOP"], "filter": "body.paid",
    "input": {"order": "${body.order}"},
}  # fmt: skip
KEY = "whsec_c2VjcmV0IG9mIHRoZSBzaG9wLi4uLi4="
app = App()
SENSELESS: list[dict[str, Any]] = [
    {"path": "../etc"}, {"path": None}, {"event": "order/paid"}, {"secrets": []}, {"secrets": ["not a name"]},
    {"filter": "body."}, {"filter": "secrets.X"}, {"input": {"a": "${nothing}"}}, {"headers": ["authorization"]},
    {"keep": 1}, {"limit": -1}, {"signature": {"kind": "none"}}, {"signature": {"kind": "header"}},
    {"path": "a\u0000"}, {"task": "pgflow.webhook"}, {"delivery": "body.["},
]  # fmt: skip


@app.task(name="orders.ship", queue="orders")
def ship(order: int) -> str:
    return f"order {order}"


def signed(body: bytes, id: str = "msg_1", key: str = KEY) -> dict[str, str]:
    return {"Content-Type": "application/json", **sign([key], id, int(time.time()), body)}


async def hook(api: Api, body: bytes, headers: dict[str, str], path: str = "shop/orders") -> Any:
    return await api("POST", f"/hooks/{path}", token=None, body=body, headers=headers)


async def test_a_trigger_is_made_tried_changed_paused_and_removed(api: Api, engine: Engine) -> None:
    made = await api.post(TRIGGERS, {"name": "shop", **SHOP})
    assert made.status_code == 201, made.text
    one = made.json
    assert (one["kind"], one["url"], one["signature"]["kind"]) == ("webhook", "/hooks/shop/orders", "standard")
    assert (one["secrets"], one["keep"], one["state"]) == (["SHOP"], 259200.0, "active")
    tried = await api.post(f"{TRIGGERS}/shop/test", {"body": {"order": 7, "paid": True}})
    assert tried.json["start"]["input"] == {"order": 7}
    assert (await api.post(f"{TRIGGERS}/shop/test", {"body": {"order": 7, "paid": False}})).json["start"] is None
    wrong = await api.post(f"{TRIGGERS}/shop/test", {"body": {}})
    assert (wrong.status_code, "the filter" in wrong.json["detail"]) == (422, True)
    stale = await api("PUT", f"{TRIGGERS}/shop", SHOP, headers={"If-Match": '"9-9"'})
    assert stale.status_code == 412
    header = {"kind": "header", "header": "X-Sig", "form": "base64", "prefix": "v1="}
    changed = await api(
        "PUT", f"{TRIGGERS}/shop", SHOP | {"signature": header, "limit": 10}, headers={"If-Match": made.headers["etag"]}
    )
    assert changed.status_code == 200, changed.text
    assert changed.json["signature"]["header"].lower() == "x-sig"
    await api.post(TRIGGERS, {"name": "paid", "task": "orders.ship", "event": "order/*", "queue": "orders"})
    events = await api.get(TRIGGERS, params={"kind": "event"})
    assert [(one["name"], one["event"], one["signature"]) for one in events.json["items"]] == [
        ("paid", "order/*", None)
    ]
    taken = await api.post(TRIGGERS, {"name": "thief", **SHOP})
    assert (taken.status_code, "is that of the trigger shop" in taken.json["detail"]) == (422, True)
    assert (await api.post(f"{TRIGGERS}/shop/pause")).json == {"paused": True, "changed": True}
    assert (await api.post(f"{TRIGGERS}/shop/resume")).json == {"paused": False, "changed": True}
    assert (await api("DELETE", f"{TRIGGERS}/shop")).status_code == 204
    assert (await api.get(f"{TRIGGERS}/shop")).status_code == 404
    assert engine.query("select action from pgflow.audit_entry where before is not null and after is null") == [
        ("trigger.remove",)
    ]


async def test_a_webhook_starts_one_run_for_each_delivery_it_believes(
    api: Api, database: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.post(TRIGGERS, {"name": "shop", **SHOP, "limit": 1000})
    body = json.dumps({"order": 42, "paid": True, "note": "<script>"}).encode()
    absent = await hook(api, body, signed(body))
    assert (absent.status_code, absent.headers["retry-after"]) == (503, "30")
    assert absent.json["errors"] == [{"path": "reason", "message": "no_secret"}]
    assert (await api("PUT", "/api/v1/secrets/SHOP", {"value": KEY})).status_code == 201
    first, again = await hook(api, body, signed(body)), await hook(api, body, signed(body))
    assert (first.status_code, again.status_code) == (202, 200), first.text
    assert (again.json["duplicate"], again.json["delivery"]) == (True, first.json["delivery"])
    forged = body.replace(b"42", b"43")
    reasons = {
        "wrong_signature": await hook(api, forged, signed(body)),
        "missing_header": await hook(api, body, {}),
        "old_timestamp": await hook(api, body, sign([KEY], "msg_1", 1, body)),
        "no_trigger": await hook(api, body, signed(body), "shop/orders/x"),
        "body_too_large": await hook(api, b" " * 1001, signed(b"")),
        "malformed_body": await hook(api, b"{", signed(b"{", "msg_3")),
    }
    statuses = {reason: (answer.status_code, answer.json["errors"][0]["message"]) for reason, answer in reasons.items()}
    assert statuses == {
        "wrong_signature": (401, "wrong_signature"), "missing_header": (401, "missing_header"),
        "old_timestamp": (401, "old_timestamp"), "no_trigger": (404, "no_trigger"),
        "body_too_large": (413, "body_too_large"), "malformed_body": (400, "malformed_body"),
    }  # fmt: skip
    assert not any(KEY[6:] in answer.text for answer in reasons.values())
    for path in ("a%00b", "a%ffb", "..", "a" * 5000):
        assert (await hook(api, body, {}, path)).status_code == 404
    nul = b'{"order": 1, "paid": true, "x": "\\u0000"}'
    assert (await hook(api, nul, signed(nul, "msg_4"))).status_code == 400
    big = await hook(api, b"x" * (database.payload_limit + 1), {})
    assert (big.status_code, big.json["code"]) == (413, "too_large")
    asked = await api("POST", "/hooks/shop/orders?a=1", token=None, body=body, headers=signed(body, "msg_5"))
    assert asked.status_code == 202
    await api.post(f"{TRIGGERS}/shop/pause")
    assert (await hook(api, body, signed(body, "msg_6"))).json["errors"][0]["message"] == "paused"
    async with leading(database), executing(database, app.tasks, pgflow=1, orders=1):
        await eventually(lambda: engine.query("select count(*) from pgflow.task where name = 'orders.ship'") == [(2,)])
    received = (await api.get("/api/v1/runs", params={"tag": "trigger=shop"})).json["items"]
    assert sorted(one["name"] for one in received) == [*["orders.ship"] * 2, *["pgflow.webhook"] * 2]
    assert engine.query("select action from pgflow.audit_entry where actor = 'anonymous'") == []


async def test_webhooks_are_limited_by_address(api_settings: Settings, askers: Askers) -> None:
    from falcon.testing import ASGIConductor

    from pgflow.api.app import create_app

    few = api_settings.model_copy(update={"api_address_rate": "3/minute"})
    async with ASGIConductor(create_app(few)) as conductor:
        answers = [await conductor.simulate_request("POST", "/hooks/nowhere", body=b"{}") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
    assert int(answers[3].headers["retry-after"]) > 0


async def test_a_secret_is_rotated_and_a_new_one_shown_once(api: Api, engine: Engine) -> None:
    await api.post(TRIGGERS, {"name": "shop", **SHOP, "filter": None, "input": None})
    await api("PUT", "/api/v1/secrets/SHOP", {"value": KEY})
    rotated = await api.post(f"{TRIGGERS}/shop/rotate", {"secret": "SHOP_2", "generate": True})
    assert rotated.json["secrets"] == ["SHOP_2", "SHOP"]
    new = rotated.json["value"]
    assert new.startswith("whsec_")
    again = await api.post(f"{TRIGGERS}/shop/rotate", {"secret": "SHOP_2", "generate": True})
    assert (again.status_code, again.json["code"]) == (409, "conflict")
    body = b'{"order": 1}'
    assert (await hook(api, body, signed(body, "msg_1", new))).status_code == 202
    assert (await hook(api, body, signed(body, "msg_2", KEY))).status_code == 202
    only = await api.post(f"{TRIGGERS}/shop/rotate", {"secret": "SHOP_2", "keep": 0})
    assert only.json == {"secrets": ["SHOP_2"], "value": None}
    assert (await hook(api, body, signed(body, "msg_3", KEY))).status_code == 401
    ((told,),) = engine.query("select string_agg(after::text, ' ') from pgflow.audit_entry")
    assert new not in told
    assert KEY not in told
    ((direct,),) = engine.query("select input from pgflow.task where name = 'orders.ship' order by id limit 1")
    assert direct["body"] == {"order": 1}


async def test_what_makes_no_sense_is_refused(api: Api) -> None:
    for change in SENSELESS:
        answer = await api("PUT", f"{TRIGGERS}/shop", SHOP | change)
        assert answer.status_code in {400, 403, 422}, (change, answer.text)
        assert "Traceback" not in answer.text


async def test_a_table_trigger_is_installed_shown_and_removed(api: Api, engine: Engine) -> None:
    engine.connection.execute("create table public.parcel (id bigint primary key, status text)")
    path = "/api/v1/table-triggers/shipped"
    wanted = {
        "task": "orders.ship", "queue": "orders", "table": "public.parcel", "on": ["update"], "columns": ["status"],
        "when": "new.status = 'sent'", "input": {"order": "${new.id}"},
    }  # fmt: skip
    made = await api("PUT", path, wanted)
    assert made.status_code == 201, made.text
    assert (made.json["table"], made.json["on"], made.json["enabled"]) == ("public.parcel", ["update"], True)
    assert (await api("PUT", path, wanted)).status_code == 200
    engine.connection.execute("insert into public.parcel values (7, 'new'); update public.parcel set status = 'sent'")
    assert engine.query("select input from pgflow.task where name = 'orders.ship'") == [({"order": 7},)]
    assert [one["name"] for one in (await api.get("/api/v1/table-triggers")).json["items"]] == ["shipped"]
    for wrong in ({"when": "exists (select from pgflow.secret)"}, {"table": "nowhere"}, {"columns": ["nothing"]}):
        answer = await api("PUT", path, wanted | wrong)
        assert answer.status_code == 422, answer.text
    assert (await api("DELETE", path)).status_code == 204
    assert (await api("DELETE", path)).status_code == 404
