"""Functions of timestamps and durations."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pgflow import duration as durations
from pgflow.errors import ArgumentError
from pgflow.expression.bounds import Frame
from pgflow.expression.faults import Fault
from pgflow.expression.functions.declaring import ANY, TEXT, TIME, TIME_OR_SPAN, Library
from pgflow.expression.values import NUMBERS, adopt, word

LIBRARY = Library()

_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_OFFSET = re.compile(r"([+-])([0-9]{2}):([0-9]{2})")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(?:/[A-Za-z0-9_+\-]+){0,3}")
_DIRECTIVES = frozenset("aAbBdHIjmMpSuVGyYzZf%")
_WORK = 20


def zone(name: str) -> tzinfo:
    """A time zone by its name, or as an offset such as `+02:00`.

    Raises:
        Fault: there is none.
    """
    if found := _OFFSET.fullmatch(name):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        if offset < timedelta(days=1):
            return timezone(-offset if found[1] == "-" else offset)
    elif len(name) <= 60 and _ZONE.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise Fault("there is no such time zone", hint="names are as in 'Europe/Berlin', 'UTC' and '+02:00'")


def _local(value: datetime, name: str | None) -> datetime:
    try:
        return value.astimezone(UTC if name is None else zone(name))
    except OverflowError:
        raise Fault("the timestamp is outside the years 1 to 9999") from None


@LIBRARY.takes("now()")
def _now(frame: Frame) -> datetime:
    found = frame.now()
    if isinstance(found, str):
        return parsed(found, None)
    if isinstance(found, datetime):
        moment: datetime = adopt(found)
        return moment
    raise Fault("there is no time here: now() can only be used where a run has begun")


@LIBRARY.takes("timestamp(text or seconds, zone)", ANY, TEXT, optional=1)
def _timestamp(frame: Frame, value: Any, name: str | None = None) -> datetime:
    frame.spend(_WORK)
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return parsed(value, name)
    if type(value) in NUMBERS:
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)
        except OverflowError:
            raise Fault("the timestamp is outside the years 1 to 9999") from None
    raise Fault(f"timestamp() takes a text, or the seconds since 1970, not {word(value)}")


def parsed(text: str, name: str | None) -> datetime:
    """The timestamp of a text in RFC 3339; a date alone is its midnight, and without an offset the zone's.

    Raises:
        Fault: the text is none.
    """
    found = _RFC3339.fullmatch(text.strip()) if len(text) <= 60 else None
    if found is not None:
        day, clock, offset = found.groups()
        try:
            moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}{(offset or '').upper()}")
        except ValueError:
            moment = None
        if moment is not None:
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC if name is None else zone(name))
    raise Fault(
        "this text is no timestamp",
        hint="it is written 2031-05-04T12:30:00Z, with an offset instead of Z, or as a date",
    )


@LIBRARY.takes("duration(text or seconds)", ANY)
def _duration(frame: Frame, value: Any) -> timedelta:
    frame.spend(_WORK)
    if isinstance(value, timedelta):
        return value
    if type(value) not in NUMBERS and not isinstance(value, str):
        raise Fault(f"duration() takes a text, or seconds, not {word(value)}")
    try:
        if isinstance(value, str):
            text = value.strip()[:100]
            length = durations.parse(text.removeprefix("-"))
            return timedelta(seconds=-length if text.startswith("-") else length)
        return timedelta(seconds=value)
    except (ArgumentError, OverflowError):
        raise Fault(
            "this is no duration", hint="it is written 90s, 5m, 1h30m, 2d or PT5M, with a - before it if need be"
        ) from None


@LIBRARY.takes("format_time(time, pattern, zone)", TIME, TEXT, TEXT, optional=1)
def _format_time(frame: Frame, value: datetime, pattern: str, name: str | None = None) -> str:
    frame.spend(_WORK)
    frame.spend_text(16 * len(pattern))
    if len(pattern) > 200 or "\0" in pattern:
        raise Fault("the pattern of a time has at most 200 characters")
    for directive in re.findall(r"%(.?)", pattern, re.DOTALL):
        if directive not in _DIRECTIVES:
            raise Fault(
                f"format_time() knows no %{directive}", hint="there are %Y %m %d %H %M %S, %a %b %j %V and others"
            )
    return _local(value, name).strftime(pattern)


_FIELDS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda moment: moment.year,
    "getMonth": lambda moment: moment.month - 1,
    "getDate": lambda moment: moment.day,
    "getDayOfMonth": lambda moment: moment.day - 1,
    "getDayOfWeek": lambda moment: moment.isoweekday() % 7,
    "getDayOfYear": lambda moment: moment.timetuple().tm_yday - 1,
}
_PARTS: dict[str, tuple[Callable[[datetime], int], Callable[[timedelta], int]]] = {
    "getHours": (lambda moment: moment.hour, lambda span: int(span / timedelta(hours=1))),
    "getMinutes": (lambda moment: moment.minute, lambda span: int(span / timedelta(minutes=1))),
    "getSeconds": (lambda moment: moment.second, lambda span: int(span / timedelta(seconds=1))),
    "getMilliseconds": (
        lambda moment: moment.microsecond // 1000,
        lambda span: int(span / timedelta(milliseconds=1)) % 1000,
    ),
}


def _declare_fields() -> None:
    for name, read in _FIELDS.items():

        @LIBRARY.takes(f"{name}(time, zone)", TIME, TEXT, optional=1)
        def _field(
            frame: Frame, value: datetime, zone: str | None = None, read: Callable[[datetime], int] = read
        ) -> int:
            frame.spend(_WORK)
            return read(_local(value, zone))

    for name, (of_time, of_span) in _PARTS.items():

        @LIBRARY.takes(f"{name}(time or duration, zone)", TIME_OR_SPAN, TEXT, optional=1)
        def _part(
            frame: Frame, value: Any, zone: str | None = None, of_time: Any = of_time, of_span: Any = of_span
        ) -> int:
            frame.spend(_WORK)
            found: int = of_span(value) if isinstance(value, timedelta) else of_time(_local(value, zone))
            return found


_declare_fields()
