"""Many runs changed at once: looked at first, then changed in the background, cancelled, undone."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.sdk.context import Context
from pgflow.sdk.registry import bulk as verbs
from pgflow.tasks import bulk as tasks
from tests.api.conftest import Api, Askers
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing, leading

app = App()


@app.workflow(name="orders.parent", queue="nobody")
async def parent(ctx: Context) -> str:
    return str(await ctx.run("orders.child"))


@app.task(name="orders.child", queue="later")
def child() -> str:
    return "done"


@app.task(name="orders.bad", queue="bad", retry=1)
def bad() -> None:
    raise ValueError("no")


async def previewed(api: Api, action: str, token: str = "", **which: Any) -> dict[str, Any]:
    answer = await api.post("/api/v1/bulk/preview", {"action": action, "filter": which}, token=token)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


async def started(api: Api, action: str, token: str = "", rate: int = 2000, **which: Any) -> str:
    seen = await previewed(api, action, token, **which)
    body = {"action": action, "filter": which, "confirmation": seen["confirmation"], "rate": rate}
    answer = await api.post("/api/v1/bulk", body, token=token)
    assert answer.status_code == 202, answer.json
    return str(answer.json["id"])


async def ended(api: Api, id: str) -> dict[str, Any]:
    for _ in range(400):
        found: dict[str, Any] = (await api.get(f"/api/v1/bulk/{id}")).json
        if found["finished_at"] is not None:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def settled(engine: Engine, ids: list[int], state: str) -> None:
    await eventually(lambda: {engine.state(one) for one in ids} == {state})


async def test_a_preview_counts_exactly_and_what_is_started_is_what_was_looked_at(api: Api, engine: Engine) -> None:
    engine.enqueue(23, name="orders.ship", queue="orders")
    engine.enqueue(2, name="mail.send", queue="mail")
    seen = await previewed(api, "cancel", workflow="orders.ship")
    assert (seen["count"], len(seen["sample"]), seen["reversible"]) == (23, 10, True)
    assert {one["name"] for one in seen["sample"]} == {"orders.ship"}
    assert (await previewed(api, "cancel"))["count"] == 25
    assert (await previewed(api, "cancel", queue="mail", states=["running"]))["count"] == 0
    assert (await previewed(api, "cancel", ids=[seen["sample"][0]["id"]]))["count"] == 1
    assert (await previewed(api, "cancel", until="2026-01-01T00:00:00Z"))["count"] == 0
    assert (await previewed(api, "redrive"))["count"] == 0
    body = {"action": "cancel", "filter": {"workflow": "mail.send"}, "confirmation": seen["confirmation"]}
    other = await api.post("/api/v1/bulk", body)
    assert (other.status_code, other.json["code"]) == (422, "invalid")
    wrong = await api.post("/api/v1/bulk/preview", {"action": "cancel", "filter": {"states": ["failed"]}})
    assert wrong.status_code == 422
    body["filter"] = {"workflow": "orders.ship"}
    first, again = await api.post("/api/v1/bulk", body), await api.post("/api/v1/bulk", body)
    assert (first.status_code, again.status_code, again.json["existed"]) == (202, 200, True)
    assert first.json["id"] == again.json["id"]


async def test_it_leaves_alone_what_came_later_and_refuses_what_has_grown(api: Api, engine: Engine) -> None:
    engine.enqueue(3, name="orders.ship")
    seen = await previewed(api, "cancel", workflow="orders.ship")
    engine.enqueue(50, name="orders.ship")
    body = {"action": "cancel", "filter": {"workflow": "orders.ship"}, "confirmation": seen["confirmation"]}
    answer = await api.post("/api/v1/bulk", body)
    assert answer.status_code == 202
    assert (await api.get(f"/api/v1/bulk/{answer.json['id']}")).json["count"] == 3
    failing = await previewed(api, "rerun", workflow="orders.bad")
    old = engine.enqueue(40, name="orders.bad")
    assert old
    body = {"action": "rerun", "filter": {"workflow": "orders.bad"}, "confirmation": failing["confirmation"]}
    assert (await api.post("/api/v1/bulk", body)).status_code == 202  # all of them came later


async def test_runs_are_cancelled_page_by_page_and_revived_by_an_undo(
    api: Api, database: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PAGE", 4)
    monkeypatch.setattr(tasks, "STEPS", 2)  # it starts over with a fresh history on the way
    made = engine.enqueue(10, name="orders.ship", queue="nobody")
    other = engine.enqueue(2, name="mail.send", queue="nobody")
    (lost,) = engine.enqueue(name="orders.ship", queue="nobody")
    await api.post(f"/api/v1/runs/{lost}/cancel")
    async with leading(database), executing(database, app.tasks, pgflow=1):
        id = await started(api, "cancel", workflow="orders.ship")
        done = await ended(api, id)
        assert (done["state"], done["changed"], done["met"], done["progress"]) == ("completed", 10, 10, 1.0), done
        assert {engine.state(one) for one in made} == {"cancelled"}
        assert {engine.state(one) for one in other} == {"queued"}
        undone = await api.post(f"/api/v1/bulk/{id}/undo")
        assert undone.status_code == 202, undone.json
        assert (await api.post(f"/api/v1/bulk/{id}/undo")).json == {"id": undone.json["id"], "existed": True}
        back = await ended(api, undone.json["id"])
        assert (back["action"], back["of"], back["changed"], back["failed"]) == ("undo", id, 10, 0)
        assert {engine.state(one) for one in made} == {"queued"}
        assert engine.state(lost) == "cancelled"  # it was before
    listed = (await api.get("/api/v1/bulk")).json["items"]
    assert [one["id"] for one in listed] == [id]
    ((actor,),) = engine.query("select actor from pgflow.event where task_id = %s and type = 'task.cancelled'", made[0])
    assert actor == "token:tester"


async def test_what_is_below_a_cancelled_run_comes_back_with_it(api: Api, database: Settings, engine: Engine) -> None:
    async with leading(database), executing(database, app.tasks, pgflow=1, nobody=1):
        (run,) = engine.enqueue(name="orders.parent", queue="nobody")
        await settled(engine, [run], "waiting")
        ((below,),) = engine.query("select id from pgflow.task where parent_id = %s", run)
        id = await started(api, "cancel", ids=[str(run)])
        assert (await ended(api, id))["changed"] == 1
        assert (engine.state(run), engine.state(below)) == ("cancelled", "cancelled")
        undone = await api.post(f"/api/v1/bulk/{id}/undo")
        assert (await ended(api, undone.json["id"]))["changed"] == 1
        assert engine.state(below) == "queued"
    async with leading(database), executing(database, app.tasks, nobody=1, later=1):
        await settled(engine, [run], "completed")


async def test_dead_letters_are_redriven_runs_are_rerun_paused_and_resumed(
    api: Api, database: Settings, engine: Engine
) -> None:
    async with leading(database), executing(database, app.tasks, pgflow=1, bad=1):
        dead = engine.enqueue(5, name="orders.bad", queue="bad", input=json.dumps({}).encode())
        await settled(engine, dead, "failed")
        await api.post("/api/v1/queues/bad/pause")
        done = await ended(api, await started(api, "redrive", workflow="orders.bad"))
        assert (done["changed"], done["undo_until"]) == (5, None)
        assert (await api.post(f"/api/v1/bulk/{done['id']}/undo")).status_code == 409
        waiting = engine.enqueue(3, name="orders.ship", queue="nobody2")
        paused = await started(api, "pause", workflow="orders.ship")
        assert (await ended(api, paused))["changed"] == 3
        assert {engine.state(one) for one in waiting} == {"paused"}
        assert (await previewed(api, "pause", workflow="orders.ship"))["count"] == 0
        assert (await previewed(api, "resume", workflow="orders.ship"))["count"] == 3
        back = await api.post(f"/api/v1/bulk/{paused}/undo")
        assert (await ended(api, back.json["id"]))["changed"] == 3
        assert {engine.state(one) for one in waiting} == {"queued"}
        await ended(api, await started(api, "cancel", workflow="orders.ship"))
        again = await ended(api, await started(api, "rerun", workflow="orders.ship", states=["cancelled"]))
        assert again["changed"] == 3
        assert (await previewed(api, "cancel", workflow="orders.ship"))["count"] == 3  # the new ones


async def test_a_throttled_bulk_can_be_cancelled_on_its_way(api: Api, database: Settings, engine: Engine) -> None:
    made = engine.enqueue(50, name="orders.ship", queue="nobody")
    async with leading(database), executing(database, app.tasks, pgflow=1):
        seen = await previewed(api, "cancel", workflow="orders.ship")
        body = {
            "action": "cancel", "filter": {"workflow": "orders.ship"}, "confirmation": seen["confirmation"], "rate": 2,
        }  # fmt: skip
        id = (await api.post("/api/v1/bulk", body)).json["id"]
        async with asyncio.timeout(60):
            while not (await api.get(f"/api/v1/bulk/{id}")).json["changed"]:
                await asyncio.sleep(0.02)
        assert (await api.post("/api/v1/bulk", body)).json == {"id": id, "existed": True}
        assert (await api.post(f"/api/v1/bulk/{id}/undo")).status_code == 409
        answer = await api.post(f"/api/v1/bulk/{id}/cancel")
        assert answer.json["state"] == "cancelled"
        changed = [one for one in made if engine.state(one) == "cancelled"]
        assert 0 < len(changed) < 50
        back = await ended(api, (await api.post(f"/api/v1/bulk/{id}/undo")).json["id"])
        assert back["changed"] == len(changed)
        assert {engine.state(one) for one in made} == {"queued"}


async def test_who_is_limited_changes_only_what_is_theirs(
    api: Api, askers: Askers, database: Settings, engine: Engine
) -> None:
    token = askers.token("operator", "workflow:orders.*")
    theirs, others = engine.enqueue(2, name="orders.ship"), engine.enqueue(2, name="mail.send")
    assert (await previewed(api, "cancel", token))["count"] == 2
    everything = await previewed(api, "cancel")
    assert everything["count"] == 4
    body = {"action": "cancel", "filter": {}, "confirmation": everything["confirmation"]}
    async with leading(database), executing(database, app.tasks, pgflow=1):
        answer = await api.post("/api/v1/bulk", body, token=token)
        assert (await ended(api, answer.json["id"]))["changed"] == 2
    assert {engine.state(one) for one in theirs} == {"cancelled"}
    assert {engine.state(one) for one in others} == {"queued"}
    whole = await started(api, "pause")
    assert (await api.get(f"/api/v1/bulk/{whole}", token=token)).status_code == 404
    direct = await api.post("/api/v1/runs", {"name": "pgflow.bulk", "queue": "orders", "input": {}}, token=token)
    assert direct.status_code == 403


def test_a_confirmation_holds_for_some_minutes_and_for_nothing_else() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    asked = verbs.Asked(action="cancel", which={"workflow": "a"}, actor=None)
    made = f"{int(now.timestamp())}.10.3"
    good = f"{made}.{verbs._digest(asked, made)}"
    assert verbs.confirmed(asked, good, now) == (10, 3)
    late = now + timedelta(seconds=verbs.CONFIRM_SECONDS + 1)
    for wrong, at in ((good, late), (good.replace(".10.", ".99."), now), ("x", now)):
        with pytest.raises(verbs.ArgumentError):
            verbs.confirmed(asked, wrong, at)
