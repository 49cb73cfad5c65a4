"""The kinds of timetables: a cron expression in a time zone, an interval, one instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgflow.cron.error import CronError
from pgflow.cron.pattern import pattern
from pgflow.cron.timetable import TICK, Timetable, reading, utc
from pgflow.cron.zones import SECOND, Stretch, stretches, stretches_back, zone


class Cron(Timetable):
    """A cron expression, read on the clock of a time zone.

    Where the clock is set, one of two rules says what happens. An expression that names times of day (`30 2 * * *`)
    fires once for each of them: when the clock first reads it, or, where the clock is set past it, when that is done.
    One with a wildcard in its time of day (`*/30 * * * *`) fires whenever the clock reads what it matches: what is
    skipped does not come, what is repeated comes again.

    Args:
        text: five fields (minute, hour, day of month, month, day of week), six with the second before them, or one of
            `@hourly @daily @midnight @weekly @monthly @yearly @annually`.
        timezone: an IANA name.

    Raises:
        CronError: the text or the zone makes no sense, or the text matches no day.

    Example:
        >>> from datetime import UTC, datetime
        >>> cron = Cron("0 6 * * MON-FRI", "Europe/Berlin")
        >>> str(cron.after(datetime(2026, 5, 1, 12, tzinfo=UTC)))
        '2026-05-04 04:00:00+00:00'
        >>> cron.explain()
        'At 06:00 on Monday through Friday (Europe/Berlin)'
    """

    def __init__(self, text: str, timezone: str = "UTC") -> None:
        self.text = text
        self.timezone = timezone
        self._pattern = pattern(text)
        self._zone = zone(timezone)

    def __repr__(self) -> str:
        return f"Cron({self.text!r}, {self.timezone!r})"

    def after(self, instant: datetime) -> datetime | None:
        low = _second(instant) + SECOND
        for stretch in stretches(self._zone, low):
            found = self._pattern.first(self._reading(stretch, low), stretch.end + stretch.offset)
            if found is not None:
                return _instant(stretch, found)
        return None

    def before(self, instant: datetime) -> datetime | None:
        high = _second(instant) + SECOND
        for stretch in stretches_back(self._zone, high - SECOND):
            found = self._pattern.last(self._floor(stretch), min(high, stretch.end) + stretch.offset)
            if found is not None:
                return _instant(stretch, found)
        return None

    def count(self, start: datetime, end: datetime) -> int:
        low, high = _second(start, up=True), _second(end, up=True)
        total = 0
        while low < high:
            stretch = next(stretches(self._zone, low))
            top = min(high, stretch.end) + stretch.offset
            total += self._pattern.count(max(self._reading(stretch, low), low + stretch.offset), top)
            total += self._skipped(stretch) if low == stretch.start else 0
            low = stretch.end
        return total

    @property
    def follows(self) -> bool:
        """Whether it takes the clock as it reads, because its time of day has a wildcard."""
        return self._pattern.follows

    def explain(self) -> str:
        return f"{self._pattern.explain()} ({self.timezone})"

    def _floor(self, stretch: Stretch) -> datetime:
        """The reading from which on a stretch counts.

        For named times that is what the clock had seen when the stretch began: set forward, the stretch makes up for
        what was skipped; set back, it does nothing until it has caught up. A wildcard takes the clock as it reads.
        """
        return stretch.start + stretch.offset if self._pattern.follows else stretch.seen

    def _reading(self, stretch: Stretch, low: datetime) -> datetime:
        floor = self._floor(stretch)
        return floor if low <= stretch.start else max(low + stretch.offset, floor)

    def _skipped(self, stretch: Stretch) -> int:
        """How many instants are only there because the clock was set past them: all that was skipped fires at once."""
        begin = stretch.start + stretch.offset
        skipped = self._pattern.first(self._floor(stretch), begin) is not None
        return int(skipped and self._pattern.first(begin, begin + SECOND) is None)


class Interval(Timetable):
    """Instants with the same time between them, whatever clocks do: `anchor`, and so far before and after it as one
    likes.

    Args:
        seconds: from one instant to the next; at least 1.
        anchor: one of the instants.
        timezone: in which `explain` tells the anchor.

    Raises:
        CronError: it is too short or too long, the anchor has no time zone, or there is no such zone.

    Example:
        >>> from datetime import UTC, datetime
        >>> Interval(5400, datetime(2026, 5, 1, tzinfo=UTC)).explain()
        'Every 1 hour 30 minutes, counted from 2026-05-01 00:00 (UTC)'
    """

    def __init__(self, seconds: float, anchor: datetime, timezone: str = "UTC") -> None:
        if not 1 <= seconds <= 36_525 * 86_400:
            raise CronError(f"an interval of {seconds:g} seconds", hint="1 second to 100 years are possible")
        self.every = timedelta(seconds=seconds)
        self.anchor = utc(anchor)
        self._zone = zone(timezone)

    def __repr__(self) -> str:
        return f"Interval({self.every.total_seconds():g}, {self.anchor!r})"

    def after(self, instant: datetime) -> datetime | None:
        return self._at((utc(instant) - self.anchor) // self.every + 1)

    def before(self, instant: datetime) -> datetime | None:
        return self._at((utc(instant) - self.anchor) // self.every)

    def count(self, start: datetime, end: datetime) -> int:
        low, high = utc(start), utc(end)
        return max((high - TICK - self.anchor) // self.every - (low - TICK - self.anchor) // self.every, 0)

    def explain(self) -> str:
        return f"Every {_spelled(self.every)}, counted from {reading(self.anchor, self._zone)} ({self._zone.key})"

    def _at(self, number: int) -> datetime | None:
        try:
            return self.anchor + number * self.every
        except OverflowError:
            return None


class Once(Timetable):
    """One instant.

    Args:
        instant: it.
        timezone: in which `explain` tells it.

    Raises:
        CronError: it has no time zone, or there is no such zone.
    """

    def __init__(self, instant: datetime, timezone: str = "UTC") -> None:
        self.instant = utc(instant)
        self._zone = zone(timezone)

    def __repr__(self) -> str:
        return f"Once({self.instant!r})"

    def after(self, instant: datetime) -> datetime | None:
        return self.instant if self.instant > utc(instant) else None

    def before(self, instant: datetime) -> datetime | None:
        return self.instant if self.instant <= utc(instant) else None

    def count(self, start: datetime, end: datetime) -> int:
        return int(utc(start) <= self.instant < utc(end))

    def explain(self) -> str:
        return f"Once, at {reading(self.instant, self._zone)} ({self._zone.key})"


def _second(instant: datetime, *, up: bool = False) -> datetime:
    """The whole second it is in, or, upwards, that is not before it; naive, of UTC."""
    naive = utc(instant).replace(tzinfo=None)
    whole = naive.replace(microsecond=0)
    return whole + SECOND if up and whole < naive else whole


def _instant(stretch: Stretch, found: datetime) -> datetime:
    return max(found - stretch.offset, stretch.start).replace(tzinfo=UTC)


def _spelled(length: timedelta) -> str:
    seconds = length.total_seconds()
    parts = []
    for unit, size in (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if unit == "second":
            count = round(count + seconds, 6)
        if count:
            parts.append(f"{count:g} {unit}{'' if count == 1 else 's'}")
    one = len(parts) == 1 and parts[0].startswith("1 ")
    return parts[0].removeprefix("1 ") if one else " ".join(parts)
