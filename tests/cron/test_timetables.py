from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pgflow.cron import Cron, CronError, Interval, Once, instant, missed, timetable
from pgflow.cron.zones import zone

ANCHOR = datetime(2026, 4, 1, 12, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def local(text: str, timezone: str, start: str, n: int) -> list[str]:
    there = ZoneInfo(timezone)
    return [f"{each.astimezone(there):%d. %H:%M%z}" for each in Cron(text, timezone).next(n, at(start))]


@pytest.mark.parametrize(
    ("text", "timezone", "start", "fires"),
    [
        # as docs/cron.md tells it
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T00Z", "28. 02:30+0100, 29. 03:00+0200, 30. 02:30+0200"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T00Z", "24. 02:30+0200, 25. 02:30+0200, 26. 02:30+0100"),
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-29T00Z", "29. 03:00+0200, 30. 02:00+0200, 30. 02:30+0200"),
        ("0 * * * *", "Europe/Berlin", "2026-03-29T00Z", "29. 03:00+0200, 29. 04:00+0200"),
        ("0 * * * *", "Europe/Berlin", "2026-10-24T23:30Z", "25. 02:00+0200, 25. 02:00+0100, 25. 03:00+0100"),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12Z", "30. 02:00+0200, 30. 02:30+0200"),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12Z", "29. 03:00+0200, 30. 02:00+0200"),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00Z", "04. 02:30+1100, 05. 02:15+1100"),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00Z", "05. 01:45+1100, 06. 01:45+1030"),
        ("0 6 * * *", "Pacific/Apia", "2011-12-29T12Z", "29. 06:00-1000, 31. 00:00+1400, 31. 06:00+1400"),
        ("0 0 * * *", "Asia/Beirut", "2026-03-28T00Z", "29. 01:00+0300, 30. 00:00+0300"),
        ("0 0 * * *", "America/Havana", "2026-10-31T12Z", "01. 00:00-0400, 02. 00:00-0500"),
        ("30 23 * * *", "Asia/Beirut", "2026-10-23T22Z", "24. 23:30+0300, 25. 23:30+0200"),
        ("30 2 * * *", "Africa/Casablanca", "2026-02-14T12Z", "15. 02:30+0100, 16. 02:30+0000"),
        ("30 2 * * *", "Africa/Casablanca", "2026-03-21T12Z", "22. 03:00+0100, 23. 02:30+0100"),
    ],
)
def test_what_happens_when_a_clock_is_set(text: str, timezone: str, start: str, fires: str) -> None:
    assert local(text, timezone, start, fires.count(",") + 1) == fires.split(", ")


def test_an_interval_takes_no_notice_of_clocks() -> None:
    daily = Interval(86_400, at("2026-03-27T05:00Z"))
    found = [each.astimezone(ZoneInfo("Europe/Berlin")) for each in daily.next(3, at("2026-03-27T05:00Z"))]
    assert [each.hour for each in found] == [6, 7, 7]


def test_an_interval_goes_on_before_its_anchor() -> None:
    hourly = Interval(3600, ANCHOR)
    assert hourly.before(ANCHOR - timedelta(seconds=1)) == ANCHOR - timedelta(hours=1)
    assert hourly.before(ANCHOR) == ANCHOR
    assert hourly.after(ANCHOR) == ANCHOR + timedelta(hours=1)


@pytest.mark.parametrize("seconds", [0, 0.5, -1, float("inf"), float("nan"), 1e12])
def test_an_interval_has_bounds(seconds: float) -> None:
    with pytest.raises(CronError, match="1 second to 100 years"):
        Interval(seconds, ANCHOR)


def test_a_single_instant_comes_once() -> None:
    once = Once(ANCHOR)
    assert once.next(3, ANCHOR - timedelta(days=1)) == [ANCHOR]
    assert (once.after(ANCHOR), once.before(ANCHOR)) == (None, ANCHOR)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "none was given"),
        ({"cron": "@daily", "every": 60}, "cron and every were given"),
        ({"cron": "@dayly"}, "'@dayly' is not known"),
        ({"cron": "@daily", "timezone": "Europe/Berln"}, "did you mean Europe/Berlin?"),
        ({"every": "5 parsecs"}, "'5 parsecs' is no duration"),
        ({"every": 0.1}, "an interval of 0.1 seconds"),
        ({"at": "tomorrow"}, "'tomorrow' is no instant"),
        ({"at": 5.0}, "a float is no instant"),
        ({"at": "0001-01-01"}, "the year 1 is out of reach"),
        ({"cron": "@daily", "starts_at": "2026-05-02", "ends_at": "2026-05-01"}, "before it starts"),
        ({"cron": "@daily", "starts_at": "2026-05-01", "ends_at": "2026-05-01"}, "before it starts"),
        (
            {"cron": "0 6 1 6 *", "starts_at": "2026-07-01", "ends_at": "2027-05-01"},
            "it never fires: At 06:00 on June 1",
        ),
        ({"at": "2026-05-01", "starts_at": "2026-06-01"}, "it never fires: Once"),
        ({"at": "2026-05-01", "ends_at": "2026-05-01"}, "it never fires: Once"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(CronError, match=message.replace("?", r"\?")):
        timetable(**asked, anchor=ANCHOR)


def test_bounds_take_the_start_and_leave_the_end_out() -> None:
    daily = timetable(cron="@daily", starts_at="2026-05-01", ends_at="2026-05-04", anchor=ANCHOR)
    assert [each.day for each in daily.next(9, ANCHOR)] == [1, 2, 3]
    assert daily.before(at("2026-04-30T00Z")) is None
    assert daily.before(at("2027-01-01T00Z")) == at("2026-05-03T00Z")
    assert daily.count(at("2020-01-01T00Z"), at("2030-01-01T00Z")) == 3


def test_bounds_are_read_in_the_schedules_zone() -> None:
    found = timetable(cron="@daily", timezone="Europe/Berlin", starts_at="2026-05-01", anchor=ANCHOR)
    assert found.after(ANCHOR) == at("2026-04-30T22:00Z")


def test_an_interval_is_counted_from_its_start_if_it_has_one() -> None:
    started = timetable(every="1h", starts_at="2026-05-01T06:30Z", anchor=ANCHOR)
    assert started.next(2, ANCHOR) == [at("2026-05-01T06:30Z"), at("2026-05-01T07:30Z")]
    assert timetable(every="1h", anchor=ANCHOR).after(ANCHOR) == at("2026-04-01T13:00Z")


@pytest.mark.parametrize(
    ("asked", "english"),
    [
        ({"every": 90}, "Every 1 minute 30 seconds, counted from 2026-04-01 14:00 (Europe/Berlin)"),
        ({"every": "1h"}, "Every hour, counted from 2026-04-01 14:00 (Europe/Berlin)"),
        ({"every": "2w"}, "Every 2 weeks, counted from 2026-04-01 14:00 (Europe/Berlin)"),
        ({"every": 2.5}, "Every 2.5 seconds, counted from 2026-04-01 14:00 (Europe/Berlin)"),
        ({"at": "2026-05-01T09:00:30"}, "Once, at 2026-05-01 09:00:30 (Europe/Berlin)"),
        (
            {"cron": "@daily", "starts_at": "2026-05-01", "ends_at": "2026-06-01T12:00Z"},
            "At 00:00 every day (Europe/Berlin), from 2026-05-01 00:00, until 2026-06-01 14:00",
        ),
    ],
)
def test_english(asked: dict[str, Any], english: str) -> None:
    assert timetable(**asked, timezone="Europe/Berlin", anchor=ANCHOR).explain() == english


def test_an_instant_without_an_offset_is_read_in_the_zone() -> None:
    assert instant("2026-05-01T09:00", "Europe/Berlin") == at("2026-05-01T07:00Z")
    assert instant("2026-05-01T09:00Z", "Europe/Berlin") == at("2026-05-01T09:00Z")
    assert instant("2026-05-01", "Asia/Tokyo") == at("2026-04-30T15:00Z")
    assert instant(datetime(2026, 5, 1, 9), "Europe/Berlin") == at("2026-05-01T07:00Z")  # noqa: DTZ001
    assert instant(ANCHOR) is not None


def test_an_instant_without_a_zone_is_no_instant() -> None:
    naive = datetime(2026, 5, 1)  # noqa: DTZ001
    for found in (
        Cron("@daily"),
        Interval(60, ANCHOR),
        Once(ANCHOR),
        timetable(cron="@daily", starts_at=ANCHOR, anchor=ANCHOR),
    ):
        with pytest.raises(CronError, match="has no time zone"):
            found.after(naive)
        with pytest.raises(CronError, match="has no time zone"):
            found.count(naive, naive)


def test_what_was_missed_takes_in_both_ends() -> None:
    hourly = Cron("@hourly")
    found = missed(hourly, ANCHOR, ANCHOR + timedelta(hours=3), 10)
    assert found.instants == [ANCHOR + timedelta(hours=n) for n in range(4)]
    assert (found.total, found.following) == (4, ANCHOR + timedelta(hours=4))
    assert missed(hourly, ANCHOR + timedelta(minutes=1), ANCHOR + timedelta(minutes=5), 10) == (
        [],
        0,
        ANCHOR + timedelta(hours=1),
    )
    assert missed(Once(ANCHOR), ANCHOR, ANCHOR, 10) == ([ANCHOR], 1, None)


def test_a_year_of_seconds_costs_no_more_than_what_is_listed() -> None:
    each_second = Cron("* * * * * *", "Europe/Berlin")
    began = perf_counter()
    found = missed(each_second, ANCHOR, ANCHOR + timedelta(days=3650), 100)
    assert perf_counter() - began < 60  # walking through it would take an hour
    assert found.total == 3650 * 86_400 + 1
    assert len(found.instants) == 100


def test_nothing_is_searched_without_end() -> None:
    seldom = Cron("0 0 29 2 *", "America/New_York")
    assert seldom.after(at("2096-03-01T12:00Z")) == at("2104-02-29T05:00Z")
    assert seldom.before(at("2104-02-28T12:00Z")) == at("2096-02-29T05:00Z")
    late = datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert Cron("@daily").after(late) is None
    assert Cron("@daily").before(datetime(2, 1, 1, tzinfo=UTC)) == datetime(2, 1, 1, tzinfo=UTC)
    assert Interval(86_400 * 36_525, ANCHOR).after(late) is None
    with pytest.raises(CronError, match="the year 9999 is out of reach"):
        Cron("@daily").after(datetime.max.replace(tzinfo=UTC))


def test_a_zone_is_read_once() -> None:
    assert zone("Europe/Berlin") is zone("Europe/Berlin")
