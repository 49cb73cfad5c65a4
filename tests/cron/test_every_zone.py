"""Every zone there is, through every setting of its clock, against a walk that looks at the clock.

The short form takes the years from 2024 to 2028, of each zone one setting forward and one back. The long form
(`make torture`) takes all settings of fifty years, and walks through five years whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from pgflow.cron import Cron
from tests.cron.walk import DAY, HOUR, NAMES, Matches, Setting, Walk, settings, zones

FIRST_YEAR, YEARS = 2024, 5
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
QUARTER = timedelta(minutes=15)
TICK = timedelta(microseconds=1)


class Case(NamedTuple):
    """A cron expression, what a reading has to be for it, and whether it takes the clock as it reads."""

    text: str
    matches: Matches
    follows: bool


ANY = [
    Case("* * * * *", lambda r: True, follows=True),
    Case("@hourly", lambda r: r.minute == 0, follows=True),
    Case("*/30 * * * *", lambda r: r.minute in {0, 30}, follows=True),
    Case("*/15 0-4 * * *", lambda r: r.minute % 15 == 0 and r.hour <= 4, follows=True),
    Case("0 */2 * * *", lambda r: r.minute == 0 and r.hour % 2 == 0, follows=True),
    Case("5 0-23 * * *", lambda r: r.minute == 5, follows=True),
    Case("20 * * * SUN", lambda r: r.minute == 20 and r.weekday() == 6, follows=True),
    Case("0 1-3 * * *", lambda r: r.minute == 0 and 1 <= r.hour <= 3, follows=False),
    Case("10,40 22-5 * * *", lambda r: r.minute in {10, 40} and not 5 < r.hour < 22, follows=False),
    Case("@daily", lambda r: r.minute == r.hour == 0, follows=False),
    Case("@weekly", lambda r: r.minute == r.hour == 0 and r.weekday() == 6, follows=False),
    Case("@monthly", lambda r: r.minute == r.hour == 0 and r.day == 1, follows=False),
    Case("30 2 L * *", lambda r: (r.hour, r.minute) == (2, 30) and _is_last(r), follows=False),
    Case("30 2 * * SUN#2", lambda r: (r.hour, r.minute) == (2, 30) and _is_nth(r, 6, 2), follows=False),
    Case("59 23 1 * 5", lambda r: (r.hour, r.minute) == (23, 59) and (r.day == 1 or r.weekday() == 4), follows=False),
]  # fmt: skip


def _is_last(reading: datetime) -> bool:
    return (reading + DAY).day == 1


def _is_nth(reading: datetime, weekday: int, nth: int) -> bool:
    return reading.weekday() == weekday and (reading.day + 6) // 7 == nth


def _at(setting: Setting) -> Iterator[Case]:
    """Each quarter of an hour around the setting, as something daily, weekly, monthly, yearly..."""
    low, high = sorted((setting.before, setting.after))
    reading = low - HOUR
    while reading < high + HOUR:
        yield from _pinned(reading)
        reading += QUARTER if high - low < 3 * HOUR else 3 * HOUR


def _pinned(at: datetime) -> Iterator[Case]:
    time, weekday, nth = f"{at.minute} {at.hour}", at.weekday(), (at.day + 6) // 7

    def matches(reading: datetime) -> bool:
        return reading.minute == at.minute and reading.hour == at.hour

    yield Case(f"{time} * * *", matches, follows=False)
    yield Case(f"{at.minute} * {at.day} * *", lambda r: r.minute == at.minute and r.day == at.day, follows=True)
    if at.minute:
        return
    yield Case(f"{time} {at.day} {at.month} *", lambda r: r == at, follows=False)
    yield Case(f"{time} * * {WEEKDAYS[weekday]}", lambda r: matches(r) and r.weekday() == weekday, follows=False)
    yield Case(
        f"{time} * * {WEEKDAYS[weekday]}#{nth}", lambda r: matches(r) and _is_nth(r, weekday, nth), follows=False
    )
    yield Case(
        f"{time} * * {WEEKDAYS[weekday]}L",
        lambda r: matches(r) and r.weekday() == weekday and (r + 7 * DAY).month != r.month,
        follows=False,
    )


SECONDS = [
    Case("*/10 * * * * *", lambda r: True, follows=True),
    Case("20,50 */30 * * * *", lambda r: r.second in {20, 50} and r.minute in {0, 30}, follows=True),
    Case("*/20 30 0-3 * * *", lambda r: r.second % 20 == 0 and r.minute == 30 and r.hour <= 3, follows=True),
    Case("10 0,30 22-3 * * *", lambda r: r.second == 10 and r.minute in {0, 30} and not 3 < r.hour < 22, follows=False),
    Case("30 45 * * * SAT", lambda r: (r.minute, r.second) == (45, 30) and r.weekday() == 5, follows=True),
    Case("0 0 0 * * *", lambda r: r.hour == r.minute == r.second == 0, follows=False),
]


def check(name: str, case: Case, walk: Walk) -> None:
    expected = walk.fires(case.matches, follows=case.follows)
    cron = Cron(case.text, name)
    told = f"{case.text!r} in {name}, from {walk.start}"
    assert cron.between(walk.start, walk.end, len(expected) + 2) == expected, told
    assert cron.count(walk.start, walk.end) == len(expected), told
    backwards = []
    before = cron.before(walk.end - TICK)
    while before is not None and before >= walk.start:
        backwards.append(before)
        before = cron.before(before - TICK)
    assert backwards[::-1] == expected, told


def around(name: str, setting: Setting, reach: timedelta, **step: timedelta) -> Walk:
    reach += abs(setting.shift)
    return Walk(ZoneInfo(name), setting.at - reach, setting.at + reach, **step)


def test_each_nominal_time_fires_once_around_the_settings_of_every_zones_clock() -> None:
    found = zones(FIRST_YEAR, YEARS)
    assert sum(map(len, found.values())) == len(NAMES)
    for names in found.values():
        changes = settings(names[0], FIRST_YEAR, YEARS)
        for setting in {each.shift: each for each in changes}.values():
            walk = around(names[0], setting, 3 * HOUR)
            for case in (*ANY, *_at(setting)):
                check(names[0], case, walk)


def test_each_nominal_second_fires_once_around_each_kind_of_setting() -> None:
    kinds = {
        (each.before.time(), each.shift): (names[0], each)
        for names in zones(FIRST_YEAR, YEARS).values()
        for each in settings(names[0], FIRST_YEAR, YEARS)
    }
    assert len(kinds) > 10
    for name, setting in kinds.values():
        walk = around(name, setting, timedelta(minutes=40), step=timedelta(seconds=10))
        for case in SECONDS:
            check(name, case, walk)


def test_a_daily_schedule_fires_on_each_day_of_five_years_in_every_zone() -> None:
    start, end = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(FIRST_YEAR + YEARS, 1, 1, tzinfo=UTC)
    for name in NAMES:
        for text in ("30 2 * * *", "15 0 * * *"):
            assert Cron(text, name).count(start, end) == (end - start).days, (name, text)


@pytest.mark.parametrize(
    ("name", "year"),
    [
        ("Pacific/Apia", 2011),  # skipped 30 December, to be on the other side of the date line
        ("Pacific/Kwajalein", 1993),  # skipped 21 August for the same reason
        ("Africa/Cairo", 2010),  # four settings, for Ramadan
        ("America/St_Johns", 2010),  # one minute past midnight
        ("Asia/Pyongyang", 2015),  # half an hour, for good
        ("America/Caracas", 2016),
        ("Asia/Gaza", 2012),
        ("Antarctica/Casey", 2010),  # three hours
        ("Europe/Berlin", 2040),  # by rule, behind the end of the table
        ("Africa/Casablanca", 2036),  # standard time in summer, none of it in Ramadan
    ],
)
def test_each_nominal_time_fires_once_around_settings_seldom_seen(name: str, year: int) -> None:
    found = settings(name, year, 1)
    assert found
    for setting in found:
        walk = around(name, setting, 3 * HOUR)
        for case in (*ANY, *_at(setting)):
            check(name, case, walk)


@pytest.mark.torture
@pytest.mark.parametrize("first_year", range(2000, 2050, YEARS))
def test_each_nominal_time_fires_once_around_all_settings_of_fifty_years(first_year: int) -> None:
    for names in zones(first_year, YEARS).values():
        for setting in settings(names[0], first_year, YEARS):
            walk = around(names[0], setting, 3 * HOUR)
            for case in (*ANY, *_at(setting)):
                check(names[0], case, walk)
            walk = around(names[0], setting, timedelta(minutes=40), step=timedelta(seconds=10))
            for case in SECONDS:
                check(names[0], case, walk)


@pytest.mark.torture
@pytest.mark.parametrize("year", range(FIRST_YEAR, FIRST_YEAR + YEARS))
def test_each_nominal_time_of_five_whole_years_fires_once_in_every_zone(year: int) -> None:
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    cases = [
        Case("*/30 * * * *", lambda r: r.minute % 30 == 0, follows=True),
        Case("0,15,30,45 0-5 * * *", lambda r: r.hour <= 5, follows=False),
        Case("30 2 * * *", lambda r: (r.hour, r.minute) == (2, 30), follows=False),
        Case("45 1 * * SUN", lambda r: (r.hour, r.minute) == (1, 45) and r.weekday() == 6, follows=False),
        *(case for case in ANY if case.text in {"0 */2 * * *", "@daily", "@weekly", "@monthly", "30 2 L * *"}),
    ]
    for names in zones(FIRST_YEAR, YEARS).values():
        walk = Walk(ZoneInfo(names[0]), start, end, QUARTER)
        for case in cases:
            check(names[0], case, walk)


@pytest.mark.torture
def test_no_offset_of_any_zone_lasts_less_than_three_days() -> None:
    """What `pgflow.cron.zones` relies on when it looks at one instant a day."""
    start, hours = datetime(1970, 1, 1, tzinfo=UTC), 80 * 366 * 24
    for name in NAMES:
        zone = ZoneInfo(name)
        offsets = [(start + number * HOUR).astimezone(zone).utcoffset() for number in range(0, hours, 6)]
        changed = [number for number, (one, other) in enumerate(pairwise(offsets)) if one != other]
        assert all(later - earlier > 12 for earlier, later in pairwise(changed)), name
