"""Subscriptions over HTTP, what became of deliveries, and delivering once more."""

from __future__ import annotations

import asyncio
from typing import Any

from pgflow import App
from pgflow.config import Settings
from tests.api.conftest import Api, Askers
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing, leading

PATH = "/api/v1/subscriptions"
WANTED: dict[str, Any] = {"url": "https://hooks.example.com/T0/secret-part", "types": ["workflow.*"], "format": "chat"}
app = App()


@app.task(name="orders.bad", queue="bad", retry=1)
def bad() -> None:
    raise ValueError("no")


async def test_a_subscription_is_made_changed_disabled_and_removed(api: Api, askers: Askers, engine: Engine) -> None:
    made = await api.post(PATH, {"name": "ops", **WANTED})
    assert made.status_code == 201, made.text
    assert (made.json["url"], made.json["state"], made.json["format"]) == (WANTED["url"], "enabled", "chat")
    viewer = askers.token("viewer")
    seen = await api.get(f"{PATH}/ops", token=viewer)
    assert seen.json["url"] == "https://hooks.example.com/..."
    assert "secret-part" not in (await api.get(PATH, token=viewer)).text
    assert (await api.post(PATH, {"name": "ops", **WANTED})).json["code"] == "name_taken"
    mail = {"url": "mailto:ann@example.com", "names": ["orders.*"]}
    assert (await api("PUT", f"{PATH}/ops", mail, headers={"If-Match": '"0-0"'})).status_code == 412
    changed = await api("PUT", f"{PATH}/ops", mail, headers={"If-Match": made.headers["etag"]})
    assert (changed.json["format"], changed.json["types"], changed.json["revision"]) == ("email", ["task.failed"], 2)
    assert (await api.post(f"{PATH}/ops/disable", {"why": "too <b>loud</b>"})).json == {
        "enabled": False,
        "changed": True,
    }
    assert (await api.get(f"{PATH}/ops")).json["disabled_why"] == "too <b>loud</b>"
    assert (await api.post(f"{PATH}/ops/enable")).json == {"enabled": True, "changed": True}
    assert (await api("DELETE", f"{PATH}/ops")).status_code == 204
    assert (await api.get(f"{PATH}/ops")).status_code == 404
    for wrong in ({"url": "gopher://x"}, {"url": "${secrets.a}"}, {"types": ["nothing.*"]}, {"url": "https://x\u0000"}):
        answer = await api("PUT", f"{PATH}/ops", WANTED | wrong)
        assert answer.status_code in {400, 422}, (wrong, answer.text)
    told = " ".join(str(row) for row in engine.query("select before, after from pgflow.audit_entry"))
    assert "secret-part" not in told


async def test_what_was_given_up_is_delivered_once_more(api: Api, database: Settings, engine: Engine) -> None:
    made = await api.post(PATH, {"name": "ops", "url": "http://127.0.0.1:9/hook", "types": ["task.failed"]})
    assert made.status_code == 201, made.text
    async with leading(database), executing(database, app.tasks, bad=1):
        engine.enqueue(3, name="orders.bad", queue="bad")
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while len(found) < 3 or not all(one["state"] in {"failed", "retrying"} for one in found):
                await asyncio.sleep(0.02)
                found = (await api.get(f"{PATH}/ops/deliveries")).json["items"]
    assert {one["type"] for one in found} == {"task.failed"}
    assert all(one["error"] for one in found), found
    page = (await api.get(f"{PATH}/ops/deliveries", params={"limit": "2"})).json
    rest = (await api.get(f"{PATH}/ops/deliveries", params={"limit": "2", "after": page["next"]})).json
    assert [one["id"] for one in page["items"] + rest["items"]] == [one["id"] for one in found]
    assert (await api.get(f"{PATH}/ops/deliveries", params={"after": "bm9uZQ=="})).status_code == 422
    for one in found:
        await api.post(f"/api/v1/tasks/{one['id']}/cancel")
    await eventually(lambda: engine.state(int(found[0]["id"])) == "cancelled")
    again = await api.post(f"{PATH}/ops/redeliver", {"deliveries": [found[0]["id"]]})
    assert (again.status_code, again.json) == (202, {"count": 1, "items": [found[0]["id"]]})
    everything = await api.post(f"{PATH}/ops/redeliver", {"since": "2026-01-01T00:00:00Z"})
    assert everything.json["count"] == 2
    assert (await api.post(f"{PATH}/ops/redeliver", {})).status_code == 422
    assert (await api.post(f"{PATH}/ops/redeliver", {"deliveries": ["9223372036854775807"]})).status_code == 404
    tested = await api.post(f"{PATH}/ops/test")
    assert tested.status_code == 202
    assert engine.state(int(tested.json["delivery"])) in {"queued", "throttled"}
