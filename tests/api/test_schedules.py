"""Schedules over HTTP: all that the command line can do, with ETags, and backfills that tell how far they are."""

from __future__ import annotations

import asyncio
from typing import Any

from pgflow import App
from pgflow.config import Settings
from tests.api.conftest import Api, Askers
from tests.fixtures.database import Engine
from tests.fixtures.workers import executing, leading

app = App()
SCHEDULES = "/api/v1/schedules"
REPORT: dict[str, Any] = {
    "task": "orders.report", "cron": "0 6 * * MON-FRI", "timezone": "Europe/Berlin", "overlap": "skip",
    "queue": "orders", "input": {"day": "${trigger.fire_date}"},
    "tags": {"team": "<script>alert(1)</script>"}, "priority": "low",
}  # fmt: skip
SENSELESS: list[dict[str, Any]] = [
    {"cron": "61 * * * *"}, {"cron": "* * * * *\u0000"}, {"timezone": "Mars/Olympus"}, {"every": "5m"},
    {"cron": None}, {"cron": None, "every": -1}, {"cron": None, "every": 2**63}, {"catch_up": 101},
    {"overlap": "fight"}, {"at": "2026-05-01"}, {"cron": None, "at": "2026-05-01T00:00:00"}, {"more": 1},
    {"input": {"day": "${trigger.nothing"}}, {"input": {"day": 2**63}}, {"tags": {"a": 1}},
    {"task": "no name"}, {"queue": ""}, {"priority": "soon"}, {"task": "pgflow.bulk"},
]  # fmt: skip


@app.task(name="orders.report", queue="orders")
def report(day: str) -> str:
    return day


async def test_a_schedule_is_made_looked_at_paused_triggered_and_removed(api: Api, engine: Engine) -> None:
    made = await api.post(SCHEDULES, {"name": "daily", **REPORT})
    assert (made.status_code, made.headers["location"]) == (201, f"{SCHEDULES}/daily")
    one = made.json
    assert (one["state"], one["task"], one["queue"], one["priority"]) == ("active", "orders.report", "orders", "low")
    assert one["tags"] == REPORT["tags"]
    assert "06:00" in one["explanation"]
    assert one["next_at"].endswith("Z")
    assert one["source"] == "api"
    taken = await api.post(SCHEDULES, {"name": "daily", **REPORT})
    assert (taken.status_code, taken.json["code"]) == (409, "name_taken")
    assert [each["name"] for each in (await api.get(SCHEDULES)).json["items"]] == ["daily"]
    coming = (await api.get(f"{SCHEDULES}/daily/next", params={"count": "3"})).json["items"]
    assert len(coming) == 3
    assert (await api.post(f"{SCHEDULES}/daily/pause")).json == {"paused": True, "changed": True}
    assert (await api.post(f"{SCHEDULES}/daily/pause")).json == {"paused": True, "changed": False}
    assert (await api.get(f"{SCHEDULES}/daily")).json["state"] == "paused"
    assert (await api.get(f"{SCHEDULES}/daily/next")).json["items"] == []
    assert (await api.post(f"{SCHEDULES}/daily/resume")).json == {"paused": False, "changed": True}
    run = (await api.post(f"{SCHEDULES}/daily/trigger")).json["run"]
    shown = (await api.get(f"/api/v1/runs/{run}")).json
    assert (shown["name"], shown["tags"]["schedule"], shown["tags"]["team"]) == (
        "orders.report", "daily", "<script>alert(1)</script>",
    )  # fmt: skip
    (firing,) = (await api.get(f"{SCHEDULES}/daily/firings")).json["items"]
    assert (firing["kind"], firing["state"], firing["run"]) == ("manual", "started", run)
    page = (await api.get(f"{SCHEDULES}/daily/firings", params={"limit": "1"})).json
    older = (await api.get(f"{SCHEDULES}/daily/firings", params={"limit": "1", "after": page["next"]})).json
    assert older == {"items": [], "next": None}
    assert (await api("DELETE", f"{SCHEDULES}/daily")).status_code == 204
    assert (await api.get(f"{SCHEDULES}/daily")).status_code == 404
    told = engine.query("select action, before is null, after is null from pgflow.audit_entry order by id")
    assert told == [
        ("schedule.create", True, False), ("schedule.pause", False, False), ("schedule.pause", False, False),
        ("schedule.resume", False, False), ("schedule.trigger", True, False), ("schedule.remove", False, True),
    ]  # fmt: skip


async def test_a_change_is_done_only_to_what_was_seen(api: Api, engine: Engine) -> None:
    path = f"{SCHEDULES}/daily"
    unseen = await api("PUT", path, REPORT, headers={"If-Match": '"1-1"'})
    assert (unseen.status_code, unseen.json["code"]) == (412, "precondition_failed")
    made = await api("PUT", path, REPORT, headers={"If-None-Match": "*"})
    assert made.status_code == 201
    assert (await api("PUT", path, REPORT, headers={"If-None-Match": "*"})).status_code == 412
    same = await api("PUT", path, REPORT, headers={"If-Match": made.headers["etag"]})
    assert (same.status_code, same.headers["etag"]) == (200, made.headers["etag"])
    changed = await api("PUT", path, REPORT | {"cron": "0 7 * * *"}, headers={"If-Match": made.headers["etag"]})
    assert (changed.status_code, changed.json["revision"]) == (200, 2)
    assert changed.headers["etag"] != made.headers["etag"]
    late = await api("PUT", path, REPORT, headers={"If-Match": made.headers["etag"]})
    assert (late.status_code, late.json["code"]) == (412, "precondition_failed")
    assert (await api("DELETE", path, headers={"If-Match": made.headers["etag"]})).status_code == 412
    assert (await api("DELETE", path, headers={"If-Match": changed.headers["etag"]})).status_code == 204
    again = await api("PUT", path, REPORT)
    assert again.json["revision"] == 1
    assert again.headers["etag"] != made.headers["etag"]  # what bears the same name is another one
    ((before, after),) = engine.query(
        "select before ->> 'cron', after ->> 'cron' from pgflow.audit_entry where before ->> 'cron' <> after ->> 'cron'"
    )
    assert (before, after) == ("0 6 * * MON-FRI", "0 7 * * *")


async def test_two_who_change_the_same_version_do_not_both_win(api: Api) -> None:
    path = f"{SCHEDULES}/daily"
    seen = {"If-Match": (await api("PUT", path, REPORT)).headers["etag"]}
    answers = await asyncio.gather(
        *(api("PUT", path, REPORT | {"cron": f"{minute} 6 * * *"}, headers=seen) for minute in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]


async def test_a_backfill_runs_in_the_background_and_tells_how_far_it_is(api: Api, database: Settings) -> None:
    await api("PUT", f"{SCHEDULES}/daily", REPORT | {"cron": "0 6 * * *"})
    future = {"start": "2026-01-01T00:00:00Z", "end": "2199-01-01T00:00:00Z"}
    assert (await api.post(f"{SCHEDULES}/daily/backfill", future)).status_code == 422
    none = {"start": "2026-01-01T12:00:00Z", "end": "2026-01-01T13:00:00Z"}
    assert "no instant" in (await api.post(f"{SCHEDULES}/daily/backfill", none)).json["detail"]
    async with leading(database), executing(database, app.tasks, pgflow=1, orders=1):
        asked = {"start": "2026-01-01T00:00:00+01:00", "end": "2026-01-11T00:00:00+01:00"}
        begun = await api.post(f"{SCHEDULES}/daily/backfill", asked)
        assert begun.status_code == 202, begun.text
        where = begun.headers["location"]
        async with asyncio.timeout(60):
            while (found := (await api.get(where)).json)["state"] != "completed":
                await asyncio.sleep(0.02)
        assert (found["schedule"], found["instants"], found["started"], found["progress"]) == ("daily", 10, 10, 1.0)
        assert found["start"] == "2025-12-31T23:00:00.000000Z"
    assert (await api.get(f"/api/v1/backfills/{int(found['id']) + 1}")).status_code == 404


async def test_a_cron_expression_is_explained_without_a_schedule(api: Api) -> None:
    asked = {"expression": "30 2 * * SUN#1", "timezone": "Europe/Berlin", "after": "2026-05-01T00:00:00Z", "count": "2"}
    found = (await api.get("/api/v1/cron/explain", params=asked)).json
    assert "02:30" in found["explanation"]
    assert found["next"] == ["2026-05-03T00:30:00.000000Z", "2026-06-07T00:30:00.000000Z"]
    assert found["follows_the_clock"] is False


async def test_what_makes_no_sense_is_refused_with_its_reason(api: Api) -> None:
    for change in SENSELESS:
        answer = await api("PUT", f"{SCHEDULES}/daily", REPORT | change)
        assert answer.status_code in {400, 403, 422}, (change, answer.text)
        assert answer.json["detail"]
        assert "Traceback" not in answer.text
    assert (await api.get(f"{SCHEDULES}/daily")).status_code == 404


async def test_who_is_limited_sees_and_changes_only_their_own(api: Api, askers: Askers) -> None:
    token = askers.token("operator", "workflow:orders.*")
    await api("PUT", f"{SCHEDULES}/mail", REPORT | {"task": "mail.send", "queue": "mail"})
    mine = await api("PUT", f"{SCHEDULES}/mine", REPORT, token=token)
    assert mine.status_code == 201
    assert [one["name"] for one in (await api.get(SCHEDULES, token=token)).json["items"]] == ["mine"]
    for method, path in (("GET", "mail"), ("DELETE", "mail"), ("POST", "mail/trigger"), ("GET", "mail/next")):
        assert (await api(method, f"{SCHEDULES}/{path}", token=token)).status_code == 404, path
    taken = await api("PUT", f"{SCHEDULES}/mail", REPORT, token=token)
    assert taken.status_code == 404
    away = await api("PUT", f"{SCHEDULES}/mine", REPORT | {"task": "mail.send"}, token=token)
    assert away.status_code == 403
