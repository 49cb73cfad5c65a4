"""Schedules fire: each nominal instant once, by its policies, in the engine with a clock that skips."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgflow import App, Context
from pgflow.config import Settings
from pgflow.engine import schedules as verbs
from pgflow.errors import ArgumentError, NotFound, PgflowError
from pgflow.testing.database import set_clock
from pgflow.testing.plugin import Engines

MONDAY = datetime(2026, 3, 23, 12, 0, tzinfo=UTC)


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.require_url(), autocommit=True) as connection:
        return connection.execute(sql.encode()).fetchall()


@pytest.fixture
def clocked(pgflow_database: Settings) -> Settings:
    """A database where it is Monday, in the week before Europe's clocks change."""
    set_clock(pgflow_database, MONDAY)
    return pgflow_database


def make_app() -> tuple[App, list[Any]]:
    app, seen = App(), []

    @app.task(name="report")
    def report(day: date | None = None, at: str = "") -> None:
        seen.append(at or day)

    return app, seen


async def test_a_cron_fires_each_day_through_the_change_of_clocks(clocked: Settings, pgflow_engine: Engines) -> None:
    app, seen = make_app()
    engine = pgflow_engine(app)
    await engine.client.schedules.create(
        "daily", app.tasks["report"], cron="30 2 * * *", timezone="Europe/Berlin",
        input={"day": "${trigger.fire_date}", "at": "${trigger.fire_at}"},
    )  # fmt: skip
    await engine.advance("8d")
    assert seen == [
        "2026-03-24T02:30:00+01:00", "2026-03-25T02:30:00+01:00", "2026-03-26T02:30:00+01:00",
        "2026-03-27T02:30:00+01:00", "2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00",
    ]  # fmt: skip
    (schedule,) = await engine.client.schedules.list()
    assert schedule.next_at == datetime(2026, 4, 1, 0, 30, tzinfo=UTC)
    firings = await engine.client.schedules.firings("daily")
    assert [firing.outcome for firing in firings] == ["completed"] * 8
    assert {firing.kind for firing in firings} == {"scheduled"}
    tagged = rows(clocked, "select distinct tags ->> 'schedule' from pgflow.task")
    assert tagged == [("daily",)]


async def test_what_code_declares_is_made_when_a_worker_starts_and_paused_when_it_is_gone(
    clocked: Settings, pgflow_engine: Engines
) -> None:
    app, seen = make_app()
    app.schedule(name="often", every="10m", input={"at": "tick"})(app.tasks["report"])
    engine = pgflow_engine(app, schedules=True)
    await engine.advance("1h")
    assert seen == ["tick"] * 6
    (schedule,) = await engine.client.schedules.list()
    assert (schedule.name, schedule.source) == ("often", "code:tests.schedules.test_firing")
    assert [schedule.revision, schedule.paused_by] == [1, None]
    await engine.close()

    app, seen = make_app()
    engine = pgflow_engine(app, schedules=True)
    await engine.advance("1h")
    assert seen == []
    (schedule,) = await engine.client.schedules.list()
    assert schedule.paused_by == "@code"


async def test_a_schedule_that_the_database_refuses_keeps_no_other_from_firing(
    clocked: Settings, pgflow_engine: Engines
) -> None:
    app, seen = make_app()
    engine = pgflow_engine(app)
    for name in ("before", "bad", "then"):
        await engine.client.schedules.create(name, app.tasks["report"], every="10m", input={"at": name})
    named = "update pgflow.schedule set start = start || '{\"name\": \"%s\"}' where name = 'bad' returning 1"
    rows(clocked, named % "no name!")
    await engine.advance("50m")
    assert sorted(seen) == ["before"] * 5 + ["then"] * 5
    assert await engine.client.schedules.firings("bad") == []
    rows(clocked, named % "report")
    await engine.advance("1h")
    assert seen.count("bad") > 0


async def test_a_typing_error_in_a_year_is_one_run_that_is_late(clocked: Settings, pgflow_engine: Engines) -> None:
    with psycopg.connect(clocked.require_url(), autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("alter database {} set timezone to 'Europe/Berlin'").format(name))
    app, seen = make_app()
    engine = pgflow_engine(app)
    await engine.client.schedules.create(
        "typo", app.tasks["report"], at=datetime(26, 5, 1, 9, tzinfo=UTC), input={"at": "typo"}
    )
    await engine.advance("1m")
    assert seen == ["typo"]


@pytest.mark.parametrize(
    ("overlap", "states"),
    [
        ("allow", ["started", "started", "started"]),
        ("skip", ["started", "skipped", "skipped"]),
        ("queue", ["started", "pending", "pending"]),
        ("cancel", ["started", "started", "started"]),
    ],
)
async def test_what_becomes_of_an_instant_while_the_run_before_it_goes_on(
    overlap: str, states: list[str], clocked: Settings, pgflow_engine: Engines
) -> None:
    app = App()

    @app.workflow(name="slow")
    async def slow(ctx: Context) -> None:
        await ctx.signal("end")

    engine = pgflow_engine(app)
    await engine.client.schedules.create("slow", slow, every="1m", overlap=overlap)
    await engine.advance("3m")
    firings = list(reversed(await engine.client.schedules.firings("slow")))
    assert [firing.state for firing in firings] == states
    if overlap == "cancel":
        assert [firing.outcome for firing in firings] == ["cancelled", "cancelled", "active"]
    if overlap == "queue":
        await engine.client.schedules.pause("slow")
        assert firings[0].run is not None
        await engine.client.signal(firings[0].run, "end")
        await engine.settle()
        firings = list(reversed(await engine.client.schedules.firings("slow")))
        assert [firing.state for firing in firings] == ["started", "pending", "pending"], "paused, so it waits"
        await engine.client.schedules.resume("slow")
        await engine.settle()
        firings = list(reversed(await engine.client.schedules.firings("slow")))
        assert [firing.state for firing in firings] == ["started", "started", "pending"]
    if overlap == "skip":
        await engine.client.signal(firings[0].run or 0, "end")
        await engine.advance("1m")
        assert [f.state for f in await engine.client.schedules.firings("slow", limit=1)] == ["started"]


@pytest.mark.parametrize(("catch_up", "started", "missed"), [(0, 0, 5), (1, 1, 4), (3, 3, 2), (100, 5, 0)], ids=str)
async def test_instants_that_nobody_was_there_for(
    catch_up: int, started: int, missed: int, clocked: Settings, pgflow_engine: Engines
) -> None:
    app, seen = make_app()
    engine = pgflow_engine(app)
    await engine.client.schedules.create(
        "hourly", app.tasks["report"], cron="@hourly", catch_up=catch_up, input={"at": "${trigger.fire_at}"}
    )
    await engine.settle()  # the leader has seen it
    set_clock(clocked, MONDAY + timedelta(hours=5, minutes=30))
    await engine.settle()
    assert len(seen) == started
    states = [firing.state for firing in await engine.client.schedules.firings("hourly")]
    assert states == ["started"] * started + ["missed"] * missed, "the latest are made up for"
    await engine.advance("30m")
    assert seen[-1] == "2026-03-23T18:00:00+00:00"


async def test_an_instant_that_is_on_time_counts_as_one_of_those_made_up_for(
    clocked: Settings, pgflow_engine: Engines
) -> None:
    app, seen = make_app()
    engine = pgflow_engine(app)
    await engine.client.schedules.create(
        "hourly", app.tasks["report"], cron="@hourly", catch_up=0, input={"at": "${trigger.fire_at}"}
    )
    await engine.settle()
    set_clock(clocked, MONDAY + timedelta(hours=5, seconds=30))
    await engine.settle()
    assert seen == ["2026-03-23T17:00:00+00:00"]


async def test_one_instant_fires_once_and_never_again(clocked: Settings, pgflow_engine: Engines) -> None:
    app, seen = make_app()
    engine = pgflow_engine(app)
    await engine.client.schedules.create("once", app.tasks["report"], at=MONDAY + timedelta(hours=1))
    await engine.advance("3h")
    assert len(seen) == 1
    (schedule,) = await engine.client.schedules.list()
    assert schedule.next_at is None
    assert await engine.client.schedules.next("once") == []


async def test_a_pause_is_not_made_up_for(clocked: Settings, pgflow_engine: Engines) -> None:
    app, seen = make_app()
    engine = pgflow_engine(app)
    await engine.client.schedules.create("hourly", app.tasks["report"], every="1h")
    await engine.advance("2h")
    assert await engine.client.schedules.pause("hourly") == ["hourly"]
    assert await engine.client.schedules.pause("hourly") == []
    await engine.advance("5h")
    assert len(seen) == 2
    assert await engine.client.schedules.resume("hourly") == ["hourly"]
    await engine.advance("2h")
    assert len(seen) == 4
    assert [f.state for f in await engine.client.schedules.firings("hourly")] == ["started"] * 4


async def test_triggered_by_hand_and_filled_in_for_the_past(clocked: Settings, pgflow_engine: Engines) -> None:
    app, seen = make_app()
    engine = pgflow_engine(app)
    client = engine.client
    await client.schedules.create(
        "daily", app.tasks["report"], cron="@daily", input={"at": "${trigger.kind} ${trigger.fire_date}"}
    )
    await engine.result(await client.schedules.trigger("daily"))
    assert seen == ["manual 2026-03-23"]
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    run = await client.schedules.backfill("daily", start, end)
    assert await engine.result(run) == {"instants": 365, "started": 365}
    told = await client.state(run)
    assert told is not None
    assert (told["progress"], told["note"]) == (1.0, "365 runs started")
    await engine.settle()
    assert seen[1] == "backfill 2025-01-01"
    assert len(seen) == 366
    again = await client.schedules.backfill("daily", start, end)
    assert await engine.result(again) == {"instants": 365, "started": 0}
    priorities = rows(clocked, "select priority, count(*) from pgflow.task where name = 'report' group by 1 order by 1")
    assert priorities == [(2, 1), (3, 365)]


async def test_a_change_counts_from_now_on_and_an_equal_one_is_none(clocked: Settings, pgflow_engine: Engines) -> None:
    app, seen = make_app()
    engine = pgflow_engine(app)
    report = app.tasks["report"]
    put = engine.client.schedules.put
    assert await put("x", report, every="1h") == "created"
    assert await put("x", report, every="1h") == "unchanged"
    await engine.advance("90m")
    assert await put("x", report, every="1h", input={"at": "new"}) == "changed"
    await engine.advance("30m")
    assert seen == [None, "new"], "what it starts may change between two instants"
    assert await put("x", report, cron="0 0 1 1 *", timezone="Asia/Tokyo") == "changed"
    assert await engine.client.schedules.next("x", 1) == [datetime(2026, 12, 31, 15, tzinfo=UTC)]
    assert await engine.client.schedules.remove("x") == ["x"]
    with pytest.raises(NotFound, match="no schedule x"):
        await engine.client.schedules.get("x")


async def test_jitter_spreads_runs_but_not_instants(clocked: Settings, pgflow_engine: Engines) -> None:
    app, seen = make_app()
    engine = pgflow_engine(app)
    for number in range(20):
        await engine.client.schedules.create(
            f"s{number}", app.tasks["report"], at=MONDAY + timedelta(hours=1), jitter="10m"
        )
    await engine.advance("1h")
    late = rows(clocked, "select extract(epoch from due_at)::int % 3600 from pgflow.task")
    assert len(late) == 20
    assert all(0 <= seconds < 600 for (seconds,) in late)
    assert len(set(late)) > 10
    await engine.advance("10m")
    assert len(seen) == 20


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        ({}, "cron"),
        ({"cron": "* * *"}, "cron"),
        ({"cron": "@daily", "every": "1h"}, "every"),
        ({"cron": "@daily", "timezone": "Europe/Berlim"}, "Europe/Berlin"),
        ({"at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 (the point)
        ({"every": "1h", "overlap": "stack"}, "overlap"),
        ({"every": "1h", "catch_up": 1000}, "catch_up"),
        ({"every": "1h", "input": {"nobody": 1}}, "nobody"),
        ({"every": "1h", "input": {"at": "${trigger.fire_dat}"}}, "fire_dat"),
        ({"every": "1h", "input": {"at": "${nodes.x}"}}, "nodes"),
        ({"every": "1h", "input": {"at": "${[1,2].map(x, x)}"}}, "map|loop|macro"),
    ],
)
async def test_what_makes_no_sense_is_refused_whole(
    timing: dict[str, Any], said: str, clocked: Settings, pgflow_engine: Engines
) -> None:
    app, _ = make_app()
    engine = pgflow_engine(app)
    with pytest.raises(PgflowError, match=said):
        await engine.client.schedules.create("x", app.tasks["report"], **timing)
    assert await engine.client.schedules.list() == []


async def test_two_of_one_name(clocked: Settings, pgflow_engine: Engines) -> None:
    app, _ = make_app()
    engine = pgflow_engine(app)
    await engine.client.schedules.create("x", "report", every="1h")
    with pytest.raises(ArgumentError, match="already"):
        await engine.client.schedules.create("x", "report", every="2h")


async def test_a_decision_on_an_old_look_is_not_taken(clocked: Settings, pgflow_engine: Engines) -> None:
    app, _ = make_app()
    engine = pgflow_engine(app)
    await engine.client.schedules.create("x", "report", every="1h")
    await engine.settle()
    set_clock(clocked, MONDAY + timedelta(hours=1, minutes=1))
    (due,) = await engine.call(verbs.due(10))
    decision = verbs.Decision(due, due.now + timedelta(hours=1), [(due.now, {})], [])
    for change in (
        lambda: engine.client.schedules.put("x", "report", every="2h"),
        lambda: engine.client.schedules.pause("x"),
        lambda: engine.client.schedules.remove("x"),
    ):
        await change()
        assert await engine.call(verbs.fire([decision])) == []
    assert rows(clocked, "select count(*) from pgflow.firing") == [(0,)]


async def test_two_leaders_that_looked_at_once_fire_once(clocked: Settings, pgflow_engine: Engines) -> None:
    app, _ = make_app()
    engine = pgflow_engine(app)
    await engine.client.schedules.create("x", "report", every="1h")
    await engine.settle()
    set_clock(clocked, MONDAY + timedelta(hours=1, minutes=1))
    (due,) = await engine.call(verbs.due(10))
    decision = verbs.Decision(due, due.now + timedelta(hours=1), [(due.now, {})], [])
    first = await engine.call(verbs.fire([decision]))
    assert [state for _, _, state, _ in first] == ["started"]
    assert await engine.call(verbs.fire([decision])) == []
    assert rows(clocked, "select count(*) from pgflow.task") == [(1,)]
