"""Metrics and statistics: what they say, what they cost, who gets them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pgflow.api import metering
from pgflow.api.cached import Cached
from pgflow.api.metering import Meter
from pgflow.api.resources import metrics, stats
from pgflow.config import Settings
from pgflow.engine import measures
from pgflow.engine.measures import Span
from pgflow.model import State
from tests.api.conftest import Api, Askers
from tests.api.live.conftest import opened, watching
from tests.fixtures.database import Engine

Values = dict[tuple[str, ...], float]


def parsed(text: str) -> dict[str, Values]:
    """Each sample's values by what it is labelled with, in the order of the labels' names."""
    found: dict[str, Values] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


async def scraped(api: Api) -> dict[str, Values]:
    answer = await api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return parsed(answer.text)


async def test_metrics_tell_how_the_engine_stands(api: Api, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "KEPT", 0.0)
    engine.register(1)
    engine.enqueue(3, queue="mail", priority=1)
    engine.enqueue(2, delay=60.0)
    engine.enqueue(4)
    one, two, *_ = engine.claim(3)
    engine.settle(one)
    engine.settle(two, state=State.FAILED, error=b'{"type": "E", "message": "m"}')
    found = await scraped(api)
    assert found["pgflow_up"] == {(): 1.0}
    assert found["pgflow_queue_ready"] == {("high", "mail"): 3.0, ("normal", "default"): 1.0}
    assert 0 <= found["pgflow_queue_age_seconds"]["high", "mail"] < 60
    assert found["pgflow_tasks_running"] == {(): 1.0}
    assert found["pgflow_tasks_delayed"] == {("scheduled",): 2.0}
    assert found["pgflow_dead_letters"] == {(): 1.0}
    assert found["pgflow_workers"] == {("alive",): 1.0}
    assert found["pgflow_events_last_minute"]["task.started",] == 3.0
    assert found["pgflow_timer_late_seconds"] == {(): 0.0}


async def test_every_metric_is_described(api: Api) -> None:
    described = {called for called, _, _ in metrics.FAMILIES.values()}
    assert len(described) == len(metrics.FAMILIES)
    answer = await api.get("/api/v1/metrics")
    assert all(f"# HELP {name} " in answer.text for name in described)


async def test_requests_and_streams_are_counted(api: Api) -> None:
    for _ in range(3):
        await api.get("/api/v1/queues")
    await api.get("/api/v1/nowhere")
    async with watching(api):
        found = await scraped(api)
        assert found["pgflow_api_streams"] == {("sse",): 1.0}
    assert found["pgflow_api_requests_total"]["GET", "/api/v1/queues", "200"] == 3.0
    assert found["pgflow_api_requests_total"]["any", "none", "404"] == 1.0
    assert found["pgflow_api_request_seconds_count"]["/api/v1/queues",] == 3.0
    found = await scraped(api)
    assert found["pgflow_api_streams"] == {("sse",): 0.0}
    assert found["pgflow_api_streams_ended_total"] == {("gone",): 1.0}


def test_several_processes_are_added_up(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from prometheus_client import values

    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv(metering.SHARED, str(tmp_path))

    def process(pid: int) -> Meter:
        monkeypatch.setattr("os.getpid", lambda: pid)
        meter = Meter()
        meter.requests.labels("GET", "/x", "200").inc()
        meter.streams.labels("sse").inc()
        return meter

    process(101)
    meter = process(102)
    found = parsed(meter.text().decode())
    assert found["pgflow_api_requests_total"]["GET", "/x", "200"] == 2.0
    assert found["pgflow_api_streams"]["sse",] == 2.0
    metering.forget(str(tmp_path), 101)
    found = parsed(meter.text().decode())
    assert found["pgflow_api_requests_total"]["GET", "/x", "200"] == 2.0
    assert found["pgflow_api_streams"]["sse",] == 1.0


async def test_only_a_setting_opens_metrics_to_everybody(api: Api, api_settings: Settings) -> None:
    assert (await api.get("/metrics", token=None)).status_code == 401
    async with opened(api, api_settings.model_copy(update={"api_metrics_open": True})) as served:
        assert (await served.get("/metrics", token=None)).status_code == 200
        assert (await served.get("/api/v1/metrics", token=None)).status_code == 401


async def test_metrics_say_so_when_the_database_is_away(
    api: Api, api_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = api_settings.model_copy(update={"database_url": "postgresql://x@127.0.0.1:1/x", "api_metrics_open": True})
    monkeypatch.setattr(metrics, "WAIT", 0.2)
    async with opened(api, gone) as served:
        answer = await served.get("/metrics", token=None)
        assert answer.status_code == 200
        assert parsed(answer.text)["pgflow_up"] == {(): 0.0}


async def test_statistics_tell_what_happened_when_to_whom(
    api: Api, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "KEPT", 0.0)
    engine.enqueue(3, name="orders.ship", queue="orders")
    engine.enqueue(2, name="mail")
    engine.settle(*engine.claim(queue="orders"))
    one, two = engine.claim()
    engine.settle(one, state=State.FAILED, error=b'{"type": "E", "message": "m"}')
    engine.settle(two, state=State.RETRYING, error=b'{"type": "E", "message": "m"}', delay=60.0)
    answer = (await api.get("/api/v1/stats")).json
    (line,) = answer["series"]
    assert (line["name"], answer["share"], answer["every"]) == ("", 1.0, 60.0)
    assert 60 <= len(line["points"]) <= 62
    assert sum(point["started"] for point in line["points"]) == 5
    assert sum(point["completed"] for point in line["points"]) == 3
    assert sum(point["failed"] for point in line["points"]) == 1
    assert sum(point["retried"] for point in line["points"]) == 1
    assert sum(one["attempts"] for one in answer["latency"]) == 5
    assert all(0 <= one["ran"]["p50"] <= one["ran"]["p99"] < 60 for one in answer["latency"])
    answer = (await api.get("/api/v1/stats", params={"by": "workflow", "since": "10m"})).json
    assert [line["name"] for line in answer["series"]] == ["orders.ship", "mail"]
    answer = (
        await api.get("/api/v1/stats", params={"by": "queue", "workflow": "mail", "every": 5, "since": "10m"})
    ).json
    assert [line["name"] for line in answer["series"]] == ["default"]
    answer = (await api.get("/api/v1/stats", params={"queue": "nowhere"})).json
    assert [line["name"] for line in answer["series"]] == [""]
    for query in ({"since": "0s"}, {"since": "32d"}, {"every": "1s", "since": "1h"}, {"by": "color"}):
        assert (await api.get("/api/v1/stats", params=query)).status_code == 422, query


async def test_who_is_limited_gets_statistics_of_theirs_alone(api: Api, askers: Askers) -> None:
    token = askers.token("viewer", "workflow:orders.*")
    for query, status in (({}, 403), ({"workflow": "mail"}, 403), ({"queue": "orders"}, 403),
                          ({"workflow": "orders.ship"}, 200)):  # fmt: skip
        assert (await api.get("/api/v1/stats", token=token, params=query)).status_code == status


def test_much_is_estimated_from_an_even_share_of_it(engine: Engine) -> None:
    """Two thirds of a million events over ten hours, of which half a minute is asked for, then all."""
    (root,) = engine.enqueue()
    now = datetime.now(UTC)
    engine.query(
        """insert into pgflow.event (root_id, task_id, type, at)
           select %s, %s, (array['task.started', 'task.completed'])[1 + n %% 2]::pgflow.event_type,
                  %s - interval '10 hours' + n * interval '0.12 s' from generate_series(0, 299999) n returning 1
        """, root, root, now)  # fmt: skip

    def count(since: timedelta, pages: int) -> tuple[float, float, float]:
        """Those that were started and ended, and for how many each stands that was read."""
        span = Span(now - since, now + timedelta(minutes=1), timedelta(minutes=30))
        found = engine.run(measures.series(span, pages=pages))
        return (
            sum(one.started or 0 for one in found), sum(one.completed or 0 for one in found),
            max(one.weight for one in found),
        )  # fmt: skip

    started, completed, weight = count(timedelta(minutes=30), 2000)
    assert weight == 1.0
    assert started + completed == pytest.approx(15000, abs=100)
    started, completed, weight = count(timedelta(hours=11), 200)
    assert weight > 5, "a fifth of it at most was read"
    assert started == pytest.approx(150_000, rel=0.15)
    assert completed == pytest.approx(150_000, rel=0.15)


async def test_what_is_asked_for_at_once_is_found_out_once() -> None:
    made = 0

    async def make() -> int:
        nonlocal made
        await asyncio.sleep(0.01)
        made += 1
        return made

    known: Cached[int] = Cached(60.0)
    assert await asyncio.gather(*(known.get("a", make) for _ in range(10))) == [1] * 10
    assert await known.get("a", make) == 1
    assert await known.get("b", make) == 2
    brief: Cached[int] = Cached(0.0)
    assert [await brief.get("a", make) for _ in range(2)] == [3, 4]
