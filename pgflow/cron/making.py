"""A timetable from what a person asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pgflow import duration
from pgflow.cron.error import CronError
from pgflow.cron.kinds import Cron, Interval, Once
from pgflow.cron.timetable import TICK, Timetable, Within, reading, utc
from pgflow.cron.zones import first_instant, zone
from pgflow.errors import ArgumentError


def timetable(
    *,
    cron: str | None = None,
    every: str | float | timedelta | None = None,
    at: str | datetime | None = None,
    timezone: str = "UTC",
    starts_at: str | datetime | None = None,
    ends_at: str | datetime | None = None,
    anchor: datetime,
) -> Timetable:
    """The timetable that one of `cron`, `every` and `at` describes.

    Args:
        cron: a cron expression; see `Cron`.
        every: an interval: seconds, a `timedelta`, or text such as "90s" or "1h30m". It is counted from `starts_at` if
            there is one, else from `anchor`.
        at: one instant; see `instant`.
        timezone: the IANA name of the zone that `cron`, and instants without one, are read in.
        starts_at: nothing fires before it.
        ends_at: nothing fires from it on.
        anchor: where intervals are counted from: when the schedule was made.

    Raises:
        CronError: not exactly one of the three is given, or something makes no sense, or nothing would ever fire.

    Example:
        >>> from datetime import UTC, datetime
        >>> found = timetable(every="1h", starts_at="2026-05-01T06:30", anchor=datetime(2026, 4, 1, tzinfo=UTC))
        >>> str(found.after(datetime(2026, 4, 7, tzinfo=UTC)))
        '2026-05-01 06:30:00+00:00'
    """
    given = [name for name, value in (("cron", cron), ("every", every), ("at", at)) if value is not None]
    if len(given) != 1:
        said = f"{' and '.join(given)} were given" if given else "none was given"
        raise CronError(f"when shall it fire? {said}", hint="give one of cron=, every= and at=")
    zone(timezone)
    begin = None if starts_at is None else instant(starts_at, timezone)
    end = None if ends_at is None else instant(ends_at, timezone)
    if begin is not None and end is not None and begin >= end:
        where = zone(timezone)
        raise CronError(f"it would end ({reading(end, where)}) before it starts ({reading(begin, where)})")
    if cron is not None:
        found: Timetable = Cron(cron, timezone)
    elif every is not None:
        found = Interval(_seconds(every), anchor if begin is None else begin, timezone)
    else:
        assert at is not None
        found = Once(instant(at, timezone), timezone)
    if begin is None and end is None:
        return found
    bounded = Within(found, begin, end, timezone)
    if _is_empty(bounded, found):
        raise CronError(f"it never fires: {bounded.explain()}", hint="widen starts_at and ends_at")
    return bounded


def _is_empty(bounded: Within, found: Timetable) -> bool:
    """Whether the bounds leave nothing. With an end alone only one instant can tell: a cron has no beginning."""
    if bounded.starts_at is not None:
        return bounded.after(bounded.starts_at - TICK) is None
    return isinstance(found, Once) and bounded.before(found.instant) is None


def instant(value: str | datetime, timezone: str = "UTC") -> datetime:
    """An instant in UTC, from a `datetime` or ISO 8601 text.

    Args:
        value: without an offset it is what a clock in `timezone` reads: the first time it does, or, where the clock
            is set past it, when it is set.
        timezone: an IANA name.

    Raises:
        CronError: it is no instant, or there is no such zone.

    Example:
        >>> str(instant("2026-05-01T09:00", "Europe/Berlin"))
        '2026-05-01 07:00:00+00:00'
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            hint = "write it like 2026-05-01T09:00 or 2026-05-01T09:00:00Z"
            raise CronError(f"{value!r} is no instant", hint=hint) from None
    if not isinstance(value, datetime):
        raise CronError(f"a {type(value).__name__} is no instant", hint="pass a datetime or ISO 8601 text")
    if value.tzinfo is not None:
        return utc(value)
    found = first_instant(zone(timezone), value) if 2 < value.year < 9998 else None
    if found is None:
        raise CronError(f"the year {value.year} is out of reach", hint="3 to 9997 can be searched")
    return found.replace(tzinfo=UTC)


def _seconds(every: str | float | timedelta) -> float:
    try:
        return duration.parse(every)
    except ArgumentError as error:
        raise CronError(error.message, hint=error.hint) from None
