"""The real leader, and others that take over in the midst, around each kind of change of clocks.

What a timetable says is proven for every zone in tests/cron; here it is what becomes of it in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.cron import zone
from pgflow.db import connect
from pgflow.runtime.leader import Leader
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.registry.schedules import timetable_of
from pgflow.testing.database import set_clock

CRONS = ["30 2 * * *", "0 0 * * *", "15 * * * *", "*/20 1-3 * * *", "0 30 0,2 * * *", "59 23 * * *", "0 12 * * 0"]

# A zone and an instant about which its clock is set.
CHANGES = {
    "an hour on": ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    "an hour back": ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    "half an hour back": ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    "half an hour on": ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    "at midnight": ("Asia/Beirut", datetime(2026, 3, 28, 22, tzinfo=UTC)),
    "a day left out": ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    "back for a month": ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),
    "another standard time": ("Asia/Pyongyang", datetime(2018, 5, 4, 15, tzinfo=UTC)),
}


async def go_through(
    settings: Settings,
    where: str,
    about: datetime,
    chance: random.Random,
    around: timedelta = timedelta(hours=9, minutes=7),
) -> tuple[int, int]:
    """Let the clock jump through these days while leaders come and go. Returns how many instants and terms there were
    in all."""
    start, end = about - around, about + around
    set_clock(settings, start)
    names = [f"{where}:{number}".replace("/", ":") for number in range(len(CRONS))]
    async with AsyncClient(settings) as client:
        for name, cron in zip(names, CRONS, strict=True):
            await client.schedules.create(name, "noop", cron=cron, timezone=where, catch_up=100)
        leaders = [Leader(settings), Leader(settings)]
        try:
            now = start
            while now < end:
                now = min(end, now + timedelta(minutes=chance.randint(1, 55)))
                set_clock(settings, now)
                await _led(settings, leaders, chance)
        finally:
            for leader in leaders:
                await leader.stop()
        instants = 0
        for schedule in await client.schedules.list():
            if schedule.name not in names:
                continue
            assert schedule.created_at is not None
            timetable = timetable_of(schedule, schedule.created_at)
            expected = timetable.between(schedule.created_at, end, 10_000)
            firings = await client.schedules.firings(schedule.name, limit=10_000)
            assert [(firing.fire_at, firing.state) for firing in reversed(firings)] == [
                (at, "started") for at in expected
            ]
            instants += len(expected)
        await client.schedules.remove(*names)
    with psycopg.connect(settings.require_url(), autocommit=True) as connection:
        counted = connection.execute("select count(*) from pgflow.task where tags ->> 'schedule' = any(%s)", [names])
        assert counted.fetchone() == (instants,), "one run an instant"
        terms = connection.execute("select term from pgflow.leader").fetchone()
    assert terms is not None
    return instants, terms[0]


async def _led(settings: Settings, leaders: list[Leader], chance: random.Random) -> None:
    """Let somebody lead until nothing is due; now and then whoever leads is cut off in the midst."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        leader = chance.choice(leaders)
        if chance.random() < 0.1:
            with connect.open_sync(settings, "test") as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and application_name like '%leader%'"
                )
        rest = 0.0
        with contextlib.suppress(Exception):  # it was cut off
            rest = await leader.tick()
        if leader.term is not None and rest > 0:
            return
        if leader.term is None:
            await asyncio.sleep(0.002)
    raise AssertionError("nobody leads")


@pytest.mark.parametrize("change", CHANGES)
async def test_each_instant_fires_once_around_a_change_of_clocks(change: str, pgflow_database: Settings) -> None:
    where, about = CHANGES[change]
    instants, terms = await go_through(pgflow_database, where, about, random.Random(change))
    assert instants > 15
    assert terms > 3, "leaders came and went"


@pytest.mark.torture
async def test_each_instant_fires_once_around_the_changes_of_every_zone(pgflow_database: Settings) -> None:
    chance = random.Random(int(os.environ.get("PGFLOW_SEED", "1")))
    seen: set[tuple[datetime, timedelta | None, timedelta | None]] = set()
    for name in sorted(available_timezones() - {"localtime"}):  # which is another on each machine
        for about in _changes(name):
            before, after = about - timedelta(seconds=1), about
            kind = (about, before.astimezone(zone(name)).utcoffset(), after.astimezone(zone(name)).utcoffset())
            if kind not in seen:
                seen.add(kind)
                await go_through(pgflow_database, name, about, chance, timedelta(hours=6, minutes=7))


def _changes(name: str) -> list[datetime]:
    """When the clock of a zone is set in five years, to the hour."""
    found, last = [], None
    for hour in range(5 * 366 * 24):
        at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
        offset = at.astimezone(zone(name)).utcoffset()
        if last is not None and offset != last:
            found.append(at)
        last = offset
    return found
