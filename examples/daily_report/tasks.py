"""The one thing of the report that no node type does: to ask Python's own clock rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pgflow import App

app = App()

AHEAD = 400
"""Days to look for a change of the clocks."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A zone as it is served: as the time zone database has it.

    Attributes:
        zone: its name, such as Europe/Andorra.
        countries: the codes of those who use it, with commas.
        coordinates: of its chief place: `+4230+00131`, in degrees, minutes and perhaps seconds.
        comments: which part of a country it is, where there are several.
    """

    zone: str
    countries: str
    coordinates: str
    comments: str = ""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as the report has it.

    Attributes:
        zone: its name.
        countries: the codes of those who use it.
        latitude: of its chief place, in degrees.
        longitude: likewise.
        minutes: how far it is ahead of UTC at noon of the day.
        changes_on: the next day on which that is different, if there is one in sight.
        becomes: how far it is ahead then.
    """

    zone: str
    countries: list[str]
    latitude: float
    longitude: float
    minutes: int
    changes_on: date | None
    becomes: int | None


@app.task(name="daily_report.clean", timeout="1m")
def clean(zones: list[Raw], day: date) -> list[Zone]:
    """Make of each zone what can be counted."""
    return [_cleaned(raw, day) for raw in zones]


def _cleaned(raw: Raw, day: date) -> Zone:
    rules = ZoneInfo(raw.zone)
    minutes = _minutes(rules, day)
    changes_on = _change(rules, day, minutes)
    latitude, longitude = _degrees(raw.coordinates)
    return Zone(
        raw.zone, raw.countries.split(","), latitude, longitude, minutes, changes_on,
        None if changes_on is None else _minutes(rules, changes_on),
    )  # fmt: skip


def _change(rules: ZoneInfo, day: date, minutes: int) -> date | None:
    """The first day after this one with another offset: by weeks, and then by days. No zone changes twice in a week."""
    for week in range(7, AHEAD, 7):
        if _minutes(rules, day + timedelta(days=week)) != minutes:
            days = (day + timedelta(days=number) for number in range(week - 6, week + 1))
            return next(one for one in days if _minutes(rules, one) != minutes)
    return None


def _minutes(rules: ZoneInfo, day: date) -> int:
    offset = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).astimezone(rules).utcoffset()
    assert offset is not None
    return int(offset.total_seconds() // 60)


def _degrees(text: str) -> tuple[float, float]:
    """Of `+4230+00131`, or with seconds `+404251-0740023`: 42.5 and 1.5167."""
    cut = max(text.rfind("+"), text.rfind("-"))
    return _angle(text[:cut], 2), _angle(text[cut:], 3)


def _angle(text: str, digits: int) -> float:
    whole, minutes, seconds = text[1 : digits + 1], text[digits + 1 : digits + 3], text[digits + 3 :]
    value = int(whole) + int(minutes) / 60 + int(seconds or 0) / 3600
    return round(-value if text[0] == "-" else value, 4)
