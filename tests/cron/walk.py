"""What should fire, found by brute force: walk through time and look at the clock.

Nothing here knows how the package under test searches. It knows two things only: what a clock in a zone reads at an
instant, which `zoneinfo` tells without any doubt, and whether a reading matches, which the test says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

Matches = Callable[[datetime], bool]

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

NAMES = sorted(available_timezones() - {"localtime"})


def reads(zone: ZoneInfo, instant: datetime) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


class Walk:
    """The readings of a clock from `start` on and before `end`, one each `step`.

    The clock must not have been set in the hour before `start`, and a step must divide all by which it is set.
    """

    def __init__(self, zone: ZoneInfo, start: datetime, end: datetime, step: timedelta = MINUTE) -> None:
        self.start, self.end = start, end
        self.readings: list[tuple[datetime, datetime]] = []
        self.first: dict[datetime, datetime] = {}
        """When each reading was first there, or was first passed."""
        reached = reads(zone, start - step)
        at = start
        while at < end:
            reading = reads(zone, at)
            self.readings.append((at, reading))
            while reached < reading:
                reached += step
                self.first[reached] = at
            at += step

    def fires(self, matches: Matches, *, follows: bool) -> list[datetime]:
        """Where what matches fires: whenever the clock reads it, or else once for each reading."""
        if follows:
            return [at for at, reading in self.readings if matches(reading)]
        return sorted({at for reading, at in self.first.items() if matches(reading)})


class Setting(NamedTuple):
    """A clock is set.

    Args:
        at: the instant.
        before: what the clock was about to read.
        after: what it reads.
    """

    at: datetime
    before: datetime
    after: datetime

    @property
    def shift(self) -> timedelta:
        return self.after - self.before


@cache
def settings(name: str, first_year: int, years: int) -> tuple[Setting, ...]:
    """When a zone's clock is set in these years: by looking at each day, then each hour, then each minute."""
    zone = ZoneInfo(name)
    end = datetime(first_year + years, 1, 1, tzinfo=UTC)
    return tuple(_settings(zone, datetime(first_year, 1, 1, tzinfo=UTC), end, (DAY, HOUR, MINUTE)))


def _settings(zone: ZoneInfo, start: datetime, end: datetime, steps: tuple[timedelta, ...]) -> Iterator[Setting]:
    step, *finer = steps
    at, offset = start, start.astimezone(zone).utcoffset()
    while at < end:
        following = at + step
        then = following.astimezone(zone).utcoffset()
        if then != offset:
            if finer:
                yield from _settings(zone, at, following, tuple(finer))
            else:
                assert offset is not None
                yield Setting(following, (following + offset).replace(tzinfo=None), reads(zone, following))
        at, offset = following, then


@cache
def zones(first_year: int, years: int) -> dict[tuple[object, ...], list[str]]:
    """All zones there are, those whose clocks agree in these years together."""
    found: dict[tuple[object, ...], list[str]] = {}
    for name in NAMES:
        begin = reads(ZoneInfo(name), datetime(first_year, 1, 1, tzinfo=UTC))
        found.setdefault((begin, *settings(name, first_year, years)), []).append(name)
    return found
