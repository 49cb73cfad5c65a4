"""Time zones, as what a schedule needs to know of them: stretches of time with one offset.

`zoneinfo` tells what a clock in a zone reads at an instant. It does not tell when the clock is next set, and that is
where schedules go wrong: between two settings wall-clock arithmetic is plain, across one it is not. So each year of a
zone is cut at its settings, once; whoever searches does so within a stretch, where nothing can surprise.

A stretch also knows what the clock had `seen` before it began. Set forward, a clock begins to read later than that: the
readings between were skipped. Set back, it begins to read earlier: what follows, up to `seen`, it reads again.

The settings are found by looking at each day. That finds all: in the whole tz database no offset ever held for less
than three days (`tests/cron/test_every_zone.py` looks). What was found is kept for the life of the process, as
`zoneinfo` keeps what it read; new zone data needs a restart.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from pgflow.cron.error import CronError

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
HORIZON = 45
"""Years: after so many every date has been on every day of the week, 29 February too. Who finds nothing gives up."""

_FIRST_YEAR, _LAST_YEAR = 2, 9998
_LONGEST_SHIFT = 2 * DAY


class Stretch(NamedTuple):
    """Time with one offset. Instants are UTC, readings are of the zone's clock; all are naive.

    Args:
        start: its first instant.
        end: the instant at which it is over.
        offset: what the clock reads is so much later than UTC.
        seen: the highest reading that the clock was about to reach when the stretch began.
    """

    start: datetime
    end: datetime
    offset: timedelta
    seen: datetime


@cache
def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name.

    Raises:
        CronError: there is none; the hint has the nearest name.
    """
    known = _known()
    if name in known:
        return ZoneInfo(name)
    raise CronError(f"{name!r} is no time zone", hint=_nearest(name, known))


@cache
def _known() -> set[str]:
    return available_timezones() - {"localtime"}  # it is another zone on each machine


def _nearest(name: str, known: set[str]) -> str:
    wanted = name.strip().replace(" ", "_").casefold()
    spelled = {each.casefold(): each for each in sorted(known)}
    cities = {each.rpartition("/")[2].casefold(): each for each in sorted(known, reverse=True)}
    for names in (spelled, cities):
        for close in difflib.get_close_matches(wanted, names, n=1, cutoff=0.75):
            return f"did you mean {names[close]}?"
    return "write an IANA name, such as Europe/Berlin, America/New_York or UTC"


def stretches(zone: tzinfo, instant: datetime) -> Iterator[Stretch]:
    """From the one that has this instant on, up to the horizon. A year's end also ends a stretch."""
    for year in range(max(instant.year, _FIRST_YEAR), min(instant.year + HORIZON, _LAST_YEAR) + 1):
        for stretch in _of_year(zone, year):
            if stretch.end > instant:
                yield stretch


def stretches_back(zone: tzinfo, instant: datetime) -> Iterator[Stretch]:
    """From the one that has this instant backwards, down to the horizon."""
    for year in range(min(instant.year, _LAST_YEAR), max(instant.year - HORIZON, _FIRST_YEAR) - 1, -1):
        for stretch in reversed(_of_year(zone, year)):
            if stretch.start <= instant:
                yield stretch


def first_instant(zone: tzinfo, reading: datetime) -> datetime | None:
    """When the clock first reads that, or, where it is set past it, when it is set."""
    for stretch in stretches(zone, reading - _LONGEST_SHIFT):
        if reading < stretch.end + stretch.offset:
            return max(reading - stretch.offset, stretch.start)
    return None


@lru_cache(maxsize=4096)
def _of_year(zone: tzinfo, year: int) -> tuple[Stretch, ...]:
    begin, end = _new_year(year), _new_year(year + 1)
    settings = _settings(zone, begin - _LONGEST_SHIFT, end)
    starts = sorted({begin, *(at for at in settings if at >= begin)})
    found = []
    for start, over in zip(starts, [*starts[1:], end], strict=True):
        recent = [start, *(at for at in settings if start - _LONGEST_SHIFT < at < start)]
        seen = max(at + _offset(zone, at - SECOND) for at in recent)
        found.append(Stretch(start, over, _offset(zone, start), seen))
    return tuple(found)


def _new_year(year: int) -> datetime:
    return datetime.combine(date(year, 1, 1), time())


def _settings(zone: tzinfo, begin: datetime, end: datetime) -> list[datetime]:
    """The instants in (begin, end) from which on the offset is another."""
    day = begin.replace(tzinfo=UTC)
    offsets = [(day + number * DAY).astimezone(zone).utcoffset() for number in range((end - begin).days + 1)]
    changed = [number for number, (one, other) in enumerate(pairwise(offsets)) if one != other]
    found = [_setting(zone, begin + number * DAY, begin + (number + 1) * DAY) for number in changed]
    return [at for at in found if at < end]


def _setting(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    before = _offset(zone, low)
    while high - low > SECOND:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: tzinfo, instant: datetime) -> timedelta:
    offset = instant.replace(tzinfo=UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return offset
