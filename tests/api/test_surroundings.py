"""What stands beside runs: secrets, approvals, events, signals, workers, limits, timers, node types."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.engine import approvals
from pgflow.sdk.context import Context
from tests.api.conftest import Api, Askers
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing, leading

VALUE = "correct-horse-battery"
JSON = {"Content-Type": "application/json"}
app = App()


@app.workflow(name="orders.waits", queue="orders")
async def waits(ctx: Context) -> Any:
    return await ctx.signal("go")


@app.task(name="orders.ship", queue="orders")
def ship(event: Any = None) -> None: ...


async def test_a_secret_is_stored_and_removed_and_never_shown(
    api: Api, askers: Askers, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    path = "/api/v1/secrets/API_TOKEN"
    made, again = await api("PUT", path, {"value": VALUE}), await api("PUT", path, {"value": VALUE + "2"})
    assert (made.status_code, made.json) == (201, {"name": "API_TOKEN", "version": 1})
    assert (again.status_code, again.json["version"]) == (200, 2)
    (one,) = (await api.get("/api/v1/secrets", token=askers.token("operator"))).json["items"]
    assert (one["name"], one["version"], one["actor"]) == ("API_TOKEN", 2, "token:tester")
    (checked,) = (await api.get("/api/v1/secrets/check")).json["items"]
    assert (checked["name"], checked["state"]) == ("API_TOKEN", "fine")
    assert (await api.post("/api/v1/secrets/rotate")).json["failed"] == []
    answers = [
        await api("PUT", path, {"value": "abc"}),
        await api("PUT", "/api/v1/secrets/lower", {"value": VALUE}),
        await api("PUT", path, {"value": VALUE, "more": VALUE}),
        await api("PUT", path, {"value": [VALUE]}),
        await api("PUT", path, {"value": VALUE + "\u0000"}),
        await api("PUT", path, {"value": VALUE * 5000}),
        await api("PUT", path, body=b'{"value": "\\ud800' + VALUE.encode() + b'"}', headers=JSON),
    ]
    assert {answer.status_code for answer in answers} <= {400, 422}, [answer.text for answer in answers]
    said = [answer.text for answer in (made, again, *answers)]
    assert (await api("DELETE", path)).status_code == 204
    assert (await api("DELETE", path)).status_code == 404
    told = str(engine.query("select target, before, after from pgflow.audit_entry"))
    for text in (*said, told, caplog.text):
        assert VALUE not in text


async def test_an_event_is_emitted_once_and_starts_what_waits_for_it(
    api: Api, database: Settings, engine: Engine
) -> None:
    await api.post(
        "/api/v1/triggers", {"name": "paid", "task": "orders.ship", "event": "order/paid", "queue": "orders"}
    )
    event = {"name": "order/paid", "payload": {"note": "<script>alert(1)</script>"}, "key": "o-1", "id": "pay-7"}
    first, again = await api.post("/api/v1/events", event), await api.post("/api/v1/events", event)
    assert (first.status_code, again.status_code, again.json["existed"]) == (201, 200, True)
    other = await api.post("/api/v1/events", event | {"payload": 1})
    assert (other.status_code, other.json["code"]) == (409, "key_reused")
    assert (await api.post("/api/v1/events", {"name": "no name!"})).status_code == 422
    assert (await api.post("/api/v1/events", {"name": "a", "payload": 2**63})).status_code == 400
    (listed,) = (await api.get("/api/v1/emissions", params={"name": "order/paid", "limit": "5"})).json["items"]
    assert (listed["payload"], listed["given_id"]) == (event["payload"], "pay-7")
    async with leading(database), executing(database, app.tasks, pgflow=1, orders=1):
        await eventually(
            lambda: (
                engine.query("select input->'event'->'payload' from pgflow.task where name = 'orders.ship'")
                == [(event["payload"],)]
            )
        )


async def test_a_run_is_signalled_by_its_key(api: Api, database: Settings, engine: Engine) -> None:
    asked = {"workflow": "orders.waits", "key": "order-1", "name": "go", "payload": {"n": 1}}
    assert (await api.post("/api/v1/signals", asked)).status_code == 404
    (id,) = engine.enqueue(name="orders.waits", queue="orders", key="order-1")
    assert (await api.post("/api/v1/signals", asked)).json == {"run": str(id)}
    async with leading(database), executing(database, app.tasks, orders=1):
        await eventually(lambda: engine.state(id) == "completed")
    assert (await api.get(f"/api/v1/runs/{id}")).json["output"] == {"n": 1}
    assert (await api.post("/api/v1/signals", asked | {"name": "$go"})).status_code == 422
    ((told,),) = engine.query("select after from pgflow.audit_entry where action = 'run.signal'")
    assert told == {"signal": "go", "workflow": "orders.waits", "key": "order-1"}


async def test_a_question_is_decided_by_whom_it_is_for(api: Api, askers: Askers, engine: Engine) -> None:
    def ask(*assignees: str) -> str:
        (id,) = engine.enqueue(name="orders.ship", queue="orders")
        form = {"type": "object", "properties": {"edition": {"type": "string"}}, "required": ["edition"]}
        question = approvals.Question("Ship <b>it</b>?", form=form, assignees=assignees)
        return str(engine.run(approvals.ask(approvals.Place(id, id, "ask"), "orders.ship", question)).id)

    anybodys, anns, bots = ask(), ask("ann"), ask("token:bot")
    operator, bot = askers.token("operator", name="ann"), askers.token("operator", name="bot")
    listed = (await api.get("/api/v1/approvals", params={"limit": "2"}, token=bot)).json
    assert [(one["id"], one["yours"]) for one in listed["items"]] == [(bots, True), (anns, False)]
    rest = (await api.get("/api/v1/approvals", params={"after": listed["next"]}, token=bot)).json["items"]
    assert [(one["id"], one["title"]) for one in rest] == [(anybodys, "Ship <b>it</b>?")]
    path = f"/api/v1/approvals/{anybodys}/decide"
    unfilled = await api.post(path, {"approved": True}, token=operator)
    assert unfilled.status_code == 422
    assert any("edition" in fault["path"] + fault["message"] for fault in unfilled.json["errors"])
    done = await api.post(path, {"approved": True, "form": {"edition": "<script>"}, "comment": "fine"}, token=operator)
    assert (done.status_code, done.json["state"], done.json["answer"]) == (200, "approved", {"edition": "<script>"})
    assert done.json["decided_by"] == "token:ann"
    late = await api.post(path, {"approved": False}, token=operator)
    assert (late.status_code, late.json["code"]) == (409, "conflict")
    named = await api.post(f"/api/v1/approvals/{anns}/decide", {"approved": False}, token=operator)
    assert (named.status_code, named.json["code"]) == (403, "forbidden")  # a token is nobody but itself
    body = {"approved": False, "on_behalf": ["ann"]}
    assert (await api.post(f"/api/v1/approvals/{anns}/decide", body, token=operator)).status_code == 403
    assert (await api.post(f"/api/v1/approvals/{anns}/decide", body)).json["state"] == "rejected"
    assert (await api.post(f"/api/v1/approvals/{bots}/decide", {"approved": False}, token=bot)).status_code == 200
    entries = engine.query("select actor, after ->> 'state' from pgflow.audit_entry where action = 'approval.decide'")
    assert entries == [("token:ann", "approved"), ("token:tester", "rejected"), ("token:bot", "rejected")]


async def test_a_person_decides_under_the_name_they_sign_in_with(api: Api, engine: Engine) -> None:
    user = {"name": "ann", "role": "operator", "password": "correct horse battery"}
    assert (await api.post("/api/v1/users", user)).status_code == 201
    signed_in = await api.post("/api/v1/session", {"name": "ann", "password": user["password"]}, token=None)
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    (id,) = engine.enqueue(name="orders.ship", queue="orders")
    question = approvals.Question("Ship it?", assignees=["ann"])
    asked = engine.run(approvals.ask(approvals.Place(id, id, "ask"), "orders.ship", question)).id
    path = f"/api/v1/approvals/{asked}/decide"
    elsewhere = await api.post(path, {"approved": True}, token=None, headers={"Cookie": cookie})
    assert (elsewhere.status_code, elsewhere.json["code"]) == (403, "cross_site")
    ours = {"Cookie": cookie, "Origin": "http://falconframework.org"}
    done = await api.post(path, {"approved": True}, token=None, headers=ours)
    assert (done.status_code, done.json["decided_by"]) == (200, "user:ann")


async def test_workers_are_listed_with_their_load_and_who_leads(api: Api, database: Settings, engine: Engine) -> None:
    assert (await api.get("/api/v1/workers")).json == {"items": [], "leader": None}
    async with leading(database), executing(database, app.tasks, concurrency=4, orders=1):
        async with asyncio.timeout(60):
            while not ((crew := (await api.get("/api/v1/workers")).json)["leader"] or {}).get("leads"):
                await asyncio.sleep(0.02)
        (worker,) = crew["items"]
        assert (worker["state"], worker["concurrency"], worker["running"], worker["load"]) == ("alive", 4, 0, 0.0)
        assert "orders" in worker["queues"]
        assert crew["leader"]["leads"] is True
    engine.query("update pgflow.worker set closed_at = pgflow.now(), closed_why = 'drained' returning id")
    assert (await api.get("/api/v1/workers")).json["items"] == []
    (ended,) = (await api.get("/api/v1/workers", params={"ended": "true"})).json["items"]
    assert (ended["state"], ended["closed_why"]) == ("ended", "drained")


async def test_a_queue_is_limited_and_let_go_and_its_tasks_age(api: Api, askers: Askers, engine: Engine) -> None:
    path = "/api/v1/queues/orders/limit"
    engine.enqueue(5, name="orders.ship", queue="orders")
    assert (await api.get(path)).status_code == 404
    made = await api("PUT", path, {"concurrency": 2})
    assert (made.status_code, made.json["concurrency"], made.json["throttled"]) == (201, 2, 3)
    changed = (await api("PUT", path, {"rate": 10.5})).json
    assert (changed["concurrency"], changed["rate"]) == (None, 10.5)
    for wrong in ({}, {"concurrency": 0}, {"concurrency": 2**31}, {"rate": -1}, {"burst": 0}, {"rate": "5/s"}):
        assert (await api("PUT", path, wrong)).status_code == 422, wrong
    (one,) = (await api.get("/api/v1/limits")).json["items"]
    assert (one["queue"], one["set_by"]) == ("orders", "token:tester")
    foreign = askers.token("operator", "queue:mail")
    assert (await api.get("/api/v1/limits", token=foreign)).json["items"] == []
    assert (await api("DELETE", path)).status_code == 204
    assert (await api("DELETE", path)).status_code == 404
    assert engine.query("select count(*) from pgflow.throttled") == [(0,)]
    ageing = "/api/v1/queues/orders/ageing"
    assert (await api("PUT", ageing, {"every": "10m"})).json == {"queue": "orders", "every": 600.0}
    assert (await api("PUT", ageing, {"every": "2h"})).status_code == 422
    assert (await api("DELETE", ageing)).status_code == 204


async def test_timers_come_the_soonest_first_and_page_by_page(api: Api, askers: Askers, engine: Engine) -> None:
    ids = [str(engine.enqueue(name="orders.ship", queue="orders", delay=delay)[0]) for delay in (300, 100, 200, 100)]
    engine.enqueue(name="mail.send", queue="mail", delay=50)
    engine.enqueue(name="orders.ship", queue="orders")
    token = askers.token("viewer", "workflow:orders.*")
    first = (await api.get("/api/v1/timers", params={"limit": "3"}, token=token)).json
    rest = (await api.get("/api/v1/timers", params={"limit": "3", "after": first["next"]}, token=token)).json
    seen = [one["task_id"] for one in first["items"] + rest["items"]]
    assert (seen, rest["next"]) == ([ids[1], ids[3], ids[2], ids[0]], None)
    assert {one["state"] for one in first["items"]} == {"scheduled"}
    assert len((await api.get("/api/v1/timers")).json["items"]) == 5
    near = (await api.get("/api/v1/timers", params={"within": "1m"})).json["items"]
    assert [one["name"] for one in near] == ["mail.send"]
    far = "9999-12-31T23:59:59-23:59~1"
    for wrong in ("x", far, "2026-05-01T00:00:00~1", f"2026-05-01T00:00:00+00:00~{2**63}"):
        assert (await api.get("/api/v1/timers", params={"after": wrong})).status_code == 422


async def test_node_types_have_schemas_and_examples(api: Api) -> None:
    found = {one["name"]: one for one in (await api.get("/api/v1/node-types")).json["items"]}
    assert {"http", "approval", "agent", "switch"} <= found.keys()
    assert found["http"]["config"]["properties"]["url"]
    assert found["http"]["example"]["type"] == "http"
    assert (found["http"]["done_by"], found["condition"]["done_by"]) == ("worker", "run")
    assert (await api.get("/api/v1/node-types/http")).json == found["http"]
    assert (await api.get("/api/v1/node-types/nothing")).status_code == 404
