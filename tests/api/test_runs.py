"""Runs over HTTP: started once, listed, steered, waited for."""

from __future__ import annotations

import asyncio

from pgflow.config import Settings
from tests.api.conftest import Api, Askers
from tests.fixtures.database import Engine
from tests.fixtures.workers import executing
from tests.runtime import apps


async def test_a_key_starts_one_run_and_refuses_another_input(api: Api, engine: Engine) -> None:
    key = {"Idempotency-Key": "order-17"}
    first = await api.post("/api/v1/runs", {"name": "orders.ship", "input": {"a": 1}}, headers=key)
    again = await api.post("/api/v1/runs", {"name": "orders.ship", "input": {"a": 1}}, headers=key)
    other = await api.post("/api/v1/runs", {"name": "orders.ship", "input": {"a": 2}}, headers=key)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json == {"id": first.json["id"], "existed": True}
    assert other.json["code"] == "key_reused"
    assert engine.query("select action, target from pgflow.audit_entry") == [("run.start", f"run:{first.json['id']}")]
    differing = await api.post("/api/v1/runs", {"name": "orders.ship", "key": "x"}, headers=key)
    assert (differing.status_code, differing.json["code"]) == (422, "invalid")


async def test_a_burst_with_one_key_starts_one_run(api: Api, engine: Engine) -> None:
    asked = [api.post("/api/v1/runs", {"name": "orders.ship"}, headers={"Idempotency-Key": "k"}) for _ in range(20)]
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200, 201}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert engine.query("select count(*) from pgflow.task") == [(1,)]


async def test_how_a_run_is_started_is_all_kept(api: Api, engine: Engine) -> None:
    answer = await api.post(
        "/api/v1/runs",
        {"name": "orders.ship", "input": {"a": [1, {"b": None}]}, "queue": "orders", "priority": "high",
         "delay": "1h30m", "tags": {"customer": "17"}, "key": "k"},
    )  # fmt: skip
    shown = (await api.get(f"/api/v1/runs/{answer.json['id']}")).json
    assert shown["input"] == {"a": [1, {"b": None}]}
    assert (shown["queue"], shown["priority"], shown["state"], shown["key"]) == ("orders", "high", "scheduled", "k")
    assert shown["tags"] == {"customer": "17"}
    assert shown["actor"] == "token:tester"
    assert shown["due_at"].endswith("Z")
    assert shown["created_at"] < shown["due_at"]


async def test_lists_go_page_by_page_and_by_every_filter(api: Api, engine: Engine) -> None:
    for number in range(7):
        body = {"name": "orders.ship" if number % 2 else "orders.bill", "tags": {"n": str(number)}}
        assert (await api.post("/api/v1/runs", body)).status_code == 201
    found: list[str] = []
    after = None
    while True:
        page = (await api.get("/api/v1/runs", params={"limit": 3} | ({"after": after} if after else {}))).json
        found += [one["tags"]["n"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert found == list("6543210")

    async def named(**query: object) -> list[str]:
        return [one["tags"]["n"] for one in (await api.get("/api/v1/runs", params=query)).json["items"]]

    assert await named(workflow="orders.ship") == list("531")
    assert await named(tag="n=3") == ["3"]
    assert await named(tag=["n=3", "n=4"]) == ["4"]  # the last one counts: a run has one value a tag
    assert await named(state="queued", workflow="orders.bill") == list("6420")
    assert await named(state="failed") == []
    assert await named(until="2020-01-01T00:00:00Z") == []
    assert await named(since="2020-01-01T00:00:00Z", queue="default", limit=2) == list("65")
    claimed = sorted(engine.claim(limit=2), key=lambda one: one.task_id)
    engine.settle(claimed[1])
    engine.settle(claimed[0])
    assert await named(order="finished") == ["0", "1"]


async def test_a_page_that_never_was_is_refused(api: Api) -> None:
    for after in ("x", "MTcgYWJj", "LTE=", "%00", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5"):
        answer = await api.get("/api/v1/runs", params={"after": after})
        assert (answer.status_code, answer.json["code"]) == (422, "invalid"), after


async def test_a_result_is_waited_for(api: Api, database: Settings) -> None:
    name = "add" if "add" in apps.app.tasks else next(iter(apps.app.tasks))
    arguments = {"a": 2, "b": 3} if name == "add" else {}
    started = await api.post("/api/v1/runs", {"name": name, "input": arguments})
    path = f"/api/v1/runs/{started.json['id']}/result"
    none_yet = await api.get(path)
    assert (none_yet.status_code, none_yet.json["state"]) == (202, "queued")
    waiting = asyncio.create_task(api.get(path, params={"wait": 20}))
    async with executing(database, apps.app.tasks):
        got = await waiting
    assert got.status_code == 200
    assert got.json["state"] in {"completed", "failed"}


async def test_runs_are_paused_resumed_cancelled_and_redriven(api: Api) -> None:
    id = (await api.post("/api/v1/runs", {"name": "orders.ship"})).json["id"]
    assert (await api.post(f"/api/v1/runs/{id}/pause")).json == {"id": id, "changed": True}
    assert (await api.post(f"/api/v1/runs/{id}/pause")).json == {"id": id, "changed": False}
    assert (await api.get(f"/api/v1/runs/{id}")).json["state"] == "paused"
    assert (await api.get(f"/api/v1/runs/{id}/standing")).json["items"][0]["what"] == "paused"
    assert (await api.post(f"/api/v1/runs/{id}/resume")).json["changed"] is True
    assert (await api.post(f"/api/v1/runs/{id}/cancel")).json == {"cancelled": [id]}
    assert (await api.post(f"/api/v1/runs/{id}/cancel")).json == {"cancelled": []}
    assert (await api.post(f"/api/v1/tasks/{id}/redrive")).json == {"redriven": [id]}
    audit = (await api.get("/api/v1/audit", params={"limit": 10})).json["items"]
    assert [one["action"] for one in audit] == [
        "task.redrive", "run.cancel", "run.resume", "run.pause", "run.start",
    ]  # fmt: skip
    assert audit[1]["before"] == {"state": "queued"}
    assert {one["actor"] for one in audit} == {"token:tester"}
    history = (await api.get(f"/api/v1/runs/{id}/history")).json["items"]
    assert [one["type"] for one in history] == [
        "task.enqueued", "task.paused", "task.resumed", "task.cancelled", "task.redriven",
    ]  # fmt: skip
    assert history[0]["id"] is None
    assert (await api.get(f"/api/v1/runs/{id}/tasks")).json["items"][0]["root_id"] == id


async def test_many_tasks_are_enqueued_together_or_not_at_all(api: Api, engine: Engine) -> None:
    bad = {"items": [{"name": "a"}, {"name": "b", "delay": 1, "at": "2030-01-01T00:00:00Z"}]}
    assert (await api.post("/api/v1/tasks", bad)).status_code == 422
    assert engine.query("select count(*) from pgflow.task") == [(0,)]
    done = await api.post("/api/v1/tasks", {"items": [{"name": "a"}, {"name": "b"}]})
    assert (done.status_code, len(done.json["items"])) == (201, 2)
    assert engine.query("select action, after ->> 'count' from pgflow.audit_entry") == [("task.enqueue", "2")]


async def test_who_is_limited_sees_and_starts_only_theirs(api: Api, askers: Askers) -> None:
    theirs = (await api.post("/api/v1/runs", {"name": "orders.ship"})).json["id"]
    queued = (await api.post("/api/v1/runs", {"name": "other", "queue": "orders"})).json["id"]
    foreign = (await api.post("/api/v1/runs", {"name": "payroll.pay"})).json["id"]
    token = askers.token("operator", "workflow:orders.*", "queue:orders")
    listed = (await api.get("/api/v1/runs", token=token)).json["items"]
    assert [one["id"] for one in listed] == [queued, theirs]
    assert (await api.get("/api/v1/runs", params={"workflow": "payroll.pay"}, token=token)).json["items"] == []
    assert (await api.get(f"/api/v1/runs/{foreign}", token=token)).status_code == 404
    absent = await api.get("/api/v1/runs/999999", token=token)
    hidden = await api.get(f"/api/v1/runs/{foreign}", token=token)
    assert absent.json["detail"].replace("999999", foreign) == hidden.json["detail"]
    assert (await api.post("/api/v1/runs", {"name": "payroll.pay"}, token=token)).status_code == 403
    assert (await api.post("/api/v1/runs", {"name": "payroll.pay", "queue": "default"}, token=token)).status_code == 403
    assert (await api.get(f"/api/v1/runs/{theirs}/diff", params={"with": foreign}, token=token)).status_code == 404


async def test_a_workflow_is_published_looked_at_compared_and_triggered(api: Api) -> None:
    one = {"name": "tidy", "nodes": {"rest": {"type": "delay", "config": {"time": "1h"}}}}
    two = {"name": "tidy", "nodes": {"rest": {"type": "delay", "config": {"time": "2h"}}}}
    first = await api.post("/api/v1/workflows", one, headers={"If-Match": '"0"'})
    assert (first.status_code, first.json["version"], first.headers["etag"]) == (201, 1, '"1"')
    assert (await api.post("/api/v1/workflows", one)).status_code == 200
    late = await api.post("/api/v1/workflows", two, headers={"If-Match": '"0"'})
    assert (late.status_code, late.json["code"]) == (412, "precondition_failed")
    assert (await api.post("/api/v1/workflows", two, headers={"If-Match": '"1"'})).json["version"] == 2
    assert (await api.get("/api/v1/workflows/tidy")).json["document"]["nodes"]["rest"]["config"]["time"] == "2h"
    assert [one["version"] for one in (await api.get("/api/v1/workflows/tidy/versions")).json["items"]] == [2, 1]
    differing = (await api.get("/api/v1/workflows/tidy/diff", params={"old": 1})).json
    assert "rest" in differing["nodes"]["changed"]
    assert "time: 2h" in (await api.get("/api/v1/workflows/tidy/yaml")).text
    run = await api.post("/api/v1/workflows/tidy/trigger", {"key": "k"})
    assert run.status_code == 201
    graph = (await api.get(f"/api/v1/runs/{run.json['id']}/graph")).json
    assert (graph["nodes"]["rest"]["state"], graph["id"]) == ("waiting", run.json["id"])
    assert (await api.post("/api/v1/workflows/nope/trigger")).status_code == 404


async def test_a_definition_is_told_all_that_is_wrong_with_it(api: Api) -> None:
    bad = {"name": "x", "nodes": {"a": {"type": "delay", "config": {}}, "b": {"type": "nothing"}}}
    verdict = (await api.post("/api/v1/workflows/validate", bad)).json
    assert verdict["valid"] is False
    assert len(verdict["problems"]) >= 2
    refused = await api.post("/api/v1/workflows", bad)
    assert (refused.status_code, refused.json["code"]) == (422, "invalid")
    assert {one["path"] for one in refused.json["errors"]} == {one["path"] for one in verdict["problems"]}


async def test_a_draft_is_saved_by_who_has_seen_the_last_one(api: Api) -> None:
    path = "/api/v1/workflows/tidy/draft"
    one = {"name": "tidy", "nodes": {"rest": {"type": "delay", "config": {"time": "1h"}}}}
    assert (await api.get(path)).status_code == 404
    first = await api("PUT", path, {"nodes": "nonsense"}, headers={"If-Match": '"0"'})
    assert (first.status_code, first.headers["etag"].partition(".")[0]) == (200, '"1')
    second = await api("PUT", path, one, headers={"If-Match": first.headers["etag"]})
    assert second.json["revision"] == 2
    late = await api("PUT", path, {}, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json["code"]) == (412, "precondition_failed")
    assert (await api.get(path)).json["document"] == one
    assert (await api.post(f"{path}/publish", headers={"If-Match": '"1"'})).status_code == 412
    assert (await api.post(f"{path}/publish", headers={"If-Match": '"2"'})).json["version"] == 1
    assert (await api.get(path)).status_code == 404
    await api("PUT", path, {"name": "tidy", "nodes": {}})
    assert (await api.post(f"{path}/publish")).status_code == 422
    assert (await api("DELETE", path)).status_code == 204
