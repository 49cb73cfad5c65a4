"""Durations as people write them, and as people read them."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

from pgflow.errors import ArgumentError

LONGEST = 36_525 * 86_400.0
"""A hundred years, in seconds."""
YEARS = range(2, 9_999)
"""Of instants that can be waited for. Those at the ends of the calendar cannot be told in every time zone."""

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_PLAIN = re.compile(_NUMBER)
_PART = re.compile(_NUMBER + r"\s*(ms|[smhdw])\s*")
_PARTS = re.compile(rf"(?:{_PART.pattern})+")
_ISO = re.compile(
    rf"P(?=.)(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
)
_ISO_UNITS = "wdhms"
_FORMS = "seconds as a number, a timedelta, or text such as 250ms, 30s, 5m, 1h30m, 2d, 1w or PT5M"


def parse(value: str | float | timedelta) -> float:
    """How many seconds that is.

    Args:
        value: a number of seconds, a `timedelta`, or text: numbers with the units `ms`, `s`, `m`, `h`, `d` and `w`
            ("1h30m"), a bare number of seconds ("90"), or ISO 8601 without months and years ("PT5M").

    Raises:
        ArgumentError: it is none of these, is negative or not finite, or is longer than a hundred years.

    Example:
        >>> parse("1h30m")
        5400.0
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        seconds = _parse_text(value)
    elif isinstance(value, bool):
        raise ArgumentError(f"{value} is no duration", hint=_FORMS)
    elif isinstance(value, (int, float)):
        try:
            seconds = float(value)
        except OverflowError:
            seconds = math.inf
    else:
        raise ArgumentError(f"a {type(value).__name__} is no duration", hint=_FORMS)
    if not 0 <= seconds <= LONGEST:
        raise ArgumentError(f"{_quoted(value)} is no duration: it has to be between 0 and 100 years", hint=_FORMS)
    return seconds


def bounded(seconds: Any) -> float | None:
    """As long as can be waited: what somebody else has worked out, brought between 0 and a hundred years.

    Args:
        seconds: however many; None and what is no number, too.

    Returns:
        None where it says nothing.

    Example:
        >>> bounded(30), bounded(-1), bounded(float("nan"))
        (30.0, 0.0, None)
    """
    try:
        value = float(seconds)
    except OverflowError:
        return LONGEST if seconds > 0 else 0.0
    except (TypeError, ValueError):
        return None
    return None if math.isnan(value) else min(max(0.0, value), LONGEST)


def _parse_text(text: str) -> float:
    stripped = text.strip()
    if _PLAIN.fullmatch(stripped):
        return float(stripped)
    if _PARTS.fullmatch(stripped):
        parts = _PART.findall(stripped)
        if len({unit for _, unit in parts}) == len(parts):
            return math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)
    elif iso := _ISO.fullmatch(stripped):
        return math.fsum(
            float(number) * _SECONDS[unit] for number, unit in zip(iso.groups(), _ISO_UNITS, strict=True) if number
        )
    raise ArgumentError(f"{_quoted(text)} is no duration", hint=_FORMS)


def _quoted(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return "so large an integer"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def text(seconds: float) -> str:
    """A duration for people: one number below a minute, above it the two largest units, rounded.

    Example:
        >>> text(5400), text(0.25), text(2.5), text(183_600)
        ('1h 30m', '250 ms', '2.5 s', '2d 3h')
    """
    if not math.isfinite(seconds):
        return f"{seconds} s"
    if seconds < 0:
        return f"-{text(-seconds)}"
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    if round(seconds) < 3_600:
        large, small = "m", "s"
    elif round(seconds / 60) < 1_440:
        large, small = "h", "m"
    else:
        large, small = "d", "h"
    count, rest = divmod(round(seconds / _SECONDS[small]), round(_SECONDS[large] / _SECONDS[small]))
    return f"{count}{large} {rest}{small}" if rest else f"{count}{large}"


def rate(value: str | float) -> float:
    """How many a second: from a number, or from text such as "100/s", "30/m", "5/10s".

    Raises:
        ArgumentError: it says no such thing.

    Example:
        >>> rate("30/m")
        0.5
    """
    if isinstance(value, str):
        count, _, period = value.partition("/")
        try:
            number = float(count)
        except ValueError:
            number = -1.0
        seconds = parse(period if period[:1].isdigit() else f"1{period}") if period else 0.0
        if not period or not number > 0 or not seconds > 0:
            raise ArgumentError(f"{value!r} is not a rate", hint="write it as 100/s, 30/m or 5/10s")
        return number / seconds
    return float(value)
