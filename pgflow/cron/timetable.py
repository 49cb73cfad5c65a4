"""What every timetable answers, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from pgflow.cron.error import CronError
from pgflow.cron.zones import zone
from pgflow.duration import YEARS

TICK = timedelta(microseconds=1)


class Timetable(ABC):
    """The instants at which something shall happen.

    Every instant taken must have a time zone, every one given is in UTC. Each answer costs microseconds, however far
    the instant is from the last one, and none searches without end: where nothing is found in 45 years, there is
    nothing.
    """

    @abstractmethod
    def after(self, instant: datetime) -> datetime | None:
        """The first instant later than this one; None: there is none."""

    @abstractmethod
    def before(self, instant: datetime) -> datetime | None:
        """The last instant that is not later than this one; None: there is none."""

    @abstractmethod
    def count(self, start: datetime, end: datetime) -> int:
        """How many instants there are from `start` on and before `end`."""

    @abstractmethod
    def explain(self) -> str:
        """What it says, in English."""

    def next(self, n: int, after: datetime) -> list[datetime]:
        """Up to `n` instants, the first ones later than `after`."""
        found: list[datetime] = []
        following = self.after(after) if n > 0 else None
        while following is not None:
            found.append(following)
            following = self.after(following) if len(found) < n else None
        return found

    def between(self, start: datetime, end: datetime, limit: int) -> list[datetime]:
        """Up to `limit` instants, the first ones from `start` on and before `end`."""
        found: list[datetime] = []
        following = self._from(start) if limit > 0 else None
        while following is not None and following < end:
            found.append(following)
            following = self.after(following) if len(found) < limit else None
        return found

    def _from(self, instant: datetime) -> datetime | None:
        first = self.before(instant)
        return first if first == instant else self.after(instant)


class Within(Timetable):
    """A timetable from some instant on, or until some instant.

    Args:
        inner: the timetable.
        starts_at: nothing before it counts.
        ends_at: nothing from it on counts.
        timezone: in which `explain` tells the two.
    """

    def __init__(
        self, inner: Timetable, starts_at: datetime | None = None, ends_at: datetime | None = None,
        timezone: str = "UTC",
    ) -> None:  # fmt: skip
        self.inner = inner
        self.starts_at = None if starts_at is None else utc(starts_at)
        self.ends_at = None if ends_at is None else utc(ends_at)
        self._zone = zone(timezone)

    def after(self, instant: datetime) -> datetime | None:
        if self.starts_at is not None and utc(instant) < self.starts_at:
            found = self.inner._from(self.starts_at)
        else:
            found = self.inner.after(instant)
        return None if found is None or (self.ends_at is not None and found >= self.ends_at) else found

    def before(self, instant: datetime) -> datetime | None:
        if self.ends_at is not None:
            instant = min(utc(instant), self.ends_at - TICK)
        found = self.inner.before(instant)
        return None if found is None or (self.starts_at is not None and found < self.starts_at) else found

    def count(self, start: datetime, end: datetime) -> int:
        start = start if self.starts_at is None else max(utc(start), self.starts_at)
        end = end if self.ends_at is None else min(utc(end), self.ends_at)
        return self.inner.count(start, end)

    def explain(self) -> str:
        bounds = [
            f"{word} {reading(at, self._zone)}"
            for word, at in (("from", self.starts_at), ("until", self.ends_at))
            if at is not None
        ]
        return ", ".join((self.inner.explain(), *bounds))


class Missed(NamedTuple):
    """What `missed` found.

    Args:
        instants: the latest of them, oldest first.
        total: how many there are in all.
        following: the first instant that is yet to come; None: there is none.
    """

    instants: list[datetime]
    total: int
    following: datetime | None


def missed(timetable: Timetable, since: datetime, now: datetime, limit: int) -> Missed:
    """What should have happened from `since` on and until `now`, both included.

    It costs as much as the instants it lists, not as those it counts: a year of seconds is counted at once.

    Args:
        timetable: what should have happened.
        since: the first instant that was not looked at.
        now: the last one to look at.
        limit: how many instants to list at most.

    Example:
        >>> from datetime import UTC, datetime
        >>> from pgflow.cron import Cron
        >>> found = missed(Cron("@daily"), datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, 7, tzinfo=UTC), 2)
        >>> [str(at.date()) for at in found.instants], found.total, str(found.following.date())
        (['2026-02-28', '2026-03-01'], 60, '2026-03-02')
    """
    listed: list[datetime] = []
    latest = timetable.before(now)
    while latest is not None and latest >= since and len(listed) < limit:
        listed.append(latest)
        latest = timetable.before(latest - TICK)
    return Missed(listed[::-1], timetable.count(since, now + TICK), timetable.after(now))


def reading(instant: datetime, timezone: tzinfo) -> str:
    """What a clock there reads, for people."""
    return f"{instant.astimezone(timezone):%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def utc(instant: datetime) -> datetime:
    """The same instant, in UTC.

    Raises:
        CronError: it has no time zone, or is not of the years 2 to 9998.
    """
    if instant.tzinfo is None:
        raise CronError(f"{instant} has no time zone", hint="pass an aware datetime, such as datetime.now(UTC)")
    if instant.year not in YEARS:
        raise CronError(f"the year {instant.year} is out of reach", hint="2 to 9998 can be searched")
    return instant.astimezone(UTC)
