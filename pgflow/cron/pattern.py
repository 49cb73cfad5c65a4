"""Readings of a clock that a cron expression matches: no zones, no instants, only dates and times of day.

Fields, days and the English explanation are cronsim's. The search is not: cronsim walks through a zone's time, and
loses or doubles readings where a clock is set by less than an hour, at midnight, or while it walks backwards
(docs/cron.md has the cases). Here a month is a number whose digits are day, hour, minute and second, each with its own
list of allowed values; the next reading is the next such number, and how many there are is their difference in rank.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

from pgflow.cron.error import CronError
from pgflow.cron.text import HOUR, MINUTE, SECOND, plain

Digits = Sequence[int]

_EVERY_KIND_OF_YEAR = range(2001, 2029)
_ONE = timedelta(seconds=1)


class Pattern:
    """What a cron expression matches.

    Attributes:
        follows: it has a wildcard in its time of day, so it fires by what the clock reads; else it names times of day,
            each of which comes once on its day.
    """

    def __init__(self, text: str) -> None:
        self.fields, self._nearest = plain(text)
        try:
            self._matcher = CronSim(" ".join(self.fields), datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError:
            raise _never(text) from None
        hours, minutes, seconds = (
            tuple(sorted(found)) for found in (self._matcher.hours, self._matcher.minutes, self._matcher.seconds)
        )
        self._times: tuple[Digits, ...] = (hours, minutes, seconds)
        self._times_down = tuple(_negated(values) for values in self._times)
        self._months = self._matcher.months
        self._days: dict[tuple[int, int], Digits] = {}
        self.follows = (
            any("*" in field for field in self.fields[:3])
            or len(seconds) == SECOND.size
            or len(minutes) == MINUTE.size
            or len(hours) == HOUR.size
        )
        if not any(self._days_of(year, month) for year in _EVERY_KIND_OF_YEAR for month in self._months):
            raise _never(text)

    def first(self, low: datetime, high: datetime) -> datetime | None:
        """The first matching reading in [low, high)."""
        start: Digits = (low.day, low.hour, low.minute, low.second)
        for year, month in _months(low, high):
            found = _ceiling((self._days_of(year, month), *self._times), start)
            if found is not None:
                reading = _reading(year, month, found)
                return reading if reading < high else None
            start = (1, 0, 0, 0)
        return None

    def last(self, low: datetime, high: datetime) -> datetime | None:
        """The last matching reading in [low, high)."""
        if low >= high:
            return None
        top = high - _ONE
        start: Digits = (-top.day, -top.hour, -top.minute, -top.second)
        for year, month in _months_down(low, top):
            found = _ceiling((_negated(self._days_of(year, month)), *self._times_down), start)
            if found is not None:
                reading = _reading(year, month, [-digit for digit in found])
                return reading if reading >= low else None
            start = (-31, -23, -59, -59)
        return None

    def count(self, low: datetime, high: datetime) -> int:
        """How many readings in [low, high) match."""
        if low >= high:
            return 0
        total = 0
        for year, month in _months(low, high):
            total += self._rank(year, month, high) - self._rank(year, month, low)
        return total

    def explain(self) -> str:
        """What it matches, in English."""
        text = self._matcher.explain()
        if not self._matcher.day_and:
            text = text.replace(" and on ", " or on ")
        return text if self._nearest is None else f"{text}, or on the weekday nearest to it in that month"

    def _rank(self, year: int, month: int, reading: datetime) -> int:
        """How many readings of that month come before this one."""
        fields = (self._days_of(year, month), *self._times)
        if (reading.year, reading.month) < (year, month):
            return 0
        if (reading.year, reading.month) > (year, month):
            return len(fields[0]) * len(fields[1]) * len(fields[2]) * len(fields[3])
        return _rank(fields, (reading.day, reading.hour, reading.minute, reading.second))

    def _days_of(self, year: int, month: int) -> Digits:
        if month not in self._months:
            return ()
        shape = calendar.monthrange(year, month)
        if shape not in self._days:
            dates = (date(year, month, day) for day in range(1, shape[1] + 1))
            self._days[shape] = tuple(each.day for each in dates if self._matches(each))
        return self._days[shape]

    def _matches(self, day: date) -> bool:
        if self._nearest is None:
            return self._matcher.match_day(day)
        of_month = day.day == _nearest_weekday(day.year, day.month, self._nearest)
        of_week = self._matcher.match_dow(day)
        return of_month and of_week if self._matcher.day_and else of_month or of_week


@lru_cache(maxsize=1024)
def pattern(text: str) -> Pattern:
    """The pattern of a cron expression.

    Raises:
        CronError: it is none, or no day ever matches it.
    """
    return Pattern(text)


def _never(text: str) -> CronError:
    return CronError(f"cron {text!r} never fires: no month that it names has such a day", hint="look at the days")


def _nearest_weekday(year: int, month: int, day: int) -> int | None:
    """The weekday nearest to a day, in the same month; None: the month has no such day."""
    length = calendar.monthrange(year, month)[1]
    if day > length:
        return None
    match calendar.weekday(year, month, day):
        case 5:
            return day - 1 if day > 1 else day + 2
        case 6:
            return day + 1 if day < length else day - 2
        case _:
            return day


def _reading(year: int, month: int, digits: Digits) -> datetime:
    day, hour, minute, second = digits
    return datetime.combine(date(year, month, day), time(hour, minute, second))


def _months(low: datetime, high: datetime) -> Iterator[tuple[int, int]]:
    year, month = low.year, low.month
    while (year, month) <= (high.year, high.month):
        yield year, month
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


def _months_down(low: datetime, high: datetime) -> Iterator[tuple[int, int]]:
    year, month = high.year, high.month
    while (year, month) >= (low.year, low.month):
        yield year, month
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def _negated(values: Digits) -> Digits:
    return tuple(-value for value in reversed(values))


def _ceiling(fields: Sequence[Digits], least: Digits) -> list[int] | None:
    """The smallest choice of one value from each field that is not below `least`, the first field weighing most."""
    chosen: list[int] = []
    for values, wanted in zip(fields, least, strict=True):
        at = bisect_left(values, wanted)
        if at < len(values) and values[at] == wanted:
            chosen.append(at)
            continue
        while at == len(fields[len(chosen)]):  # nothing left here: one more in the field before
            if not chosen:
                return None
            at = chosen.pop() + 1
        chosen.append(at)
        break
    rest = fields[len(chosen) :]
    return [values[at] for values, at in zip(fields, chosen, strict=False)] + [values[0] for values in rest]


def _rank(fields: Sequence[Digits], digits: Digits) -> int:
    """How many choices of one value from each field are below `digits`."""
    rank, exact = 0, True
    for values, digit in zip(fields, digits, strict=True):
        rank *= len(values)
        if exact:
            at = bisect_left(values, digit)
            rank += at
            exact = at < len(values) and values[at] == digit
    return rank
