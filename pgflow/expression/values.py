"""Values as expressions see them: JSON, and besides it timestamps, durations and bytes."""

from __future__ import annotations

import json
import math
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

from pgflow.expression.bounds import DEPTH, Frame
from pgflow.expression.faults import Fault

PLAIN = frozenset({dict, list, str, int, float, bool, type(None), timedelta, bytes})
"""Types that are taken as they are."""
NUMBERS = frozenset({int, float})
LARGEST = 2**63 - 1

_WORDS = {
    str: "a text", int: "an integer", float: "a number", bool: "a boolean", list: "a list", dict: "a map",
    type(None): "null", datetime: "a timestamp", timedelta: "a duration", bytes: "bytes",
}  # fmt: skip
_TYPES = {
    str: "string", int: "int", float: "double", bool: "bool", list: "list", dict: "map", type(None): "null_type",
    datetime: "timestamp", timedelta: "duration", bytes: "bytes",
}  # fmt: skip
_SCALARS = frozenset({str, int, float, type(None), datetime, timedelta, bytes})


def adopt(value: Any) -> Any:
    """A value that is not of the plain types, as one that is, or that can be read like one.

    Raises:
        Fault: there is no such value in expressions.
    """
    match value:
        case datetime():
            if value.tzinfo is None:
                raise Fault("this timestamp has no time zone", hint="give it one where it is made: datetime.now(UTC)")
            return value
        case Enum():
            return adopt(value.value)
        case str():
            return str.__str__(value)
        case bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case date():
            return value.isoformat()
        case list() | tuple():
            return list(value)
        case Mapping() | timedelta() | bytes() | None:
            return value
    raise Fault(f"a value of the Python type {type(value).__name__} cannot be used in expressions")


def as_map(value: Any) -> Mapping[Any, Any] | None:
    """The value if it is a map."""
    if type(value) is dict:
        return value
    return value if isinstance(value, Mapping) else None


def word(value: Any) -> str:
    """What a value is, in people's words."""
    return _WORDS.get(type(value), "a map" if isinstance(value, Mapping) else "an unknown value")


def type_name(value: Any) -> str:
    """What a value is, in CEL's words."""
    return _TYPES.get(type(value), "map")


def integer(value: int) -> int:
    """An integer that fits in 64 bits."""
    if -LARGEST - 1 <= value <= LARGEST:
        return value
    raise Fault("the integer does not fit in 64 bits", hint="reckon with double(...), or keep it as text")


def double(value: float) -> float:
    """A number that JSON can hold."""
    if math.isfinite(value):
        return value
    raise Fault("the number is too large")


def as_double(value: float) -> float:
    """An integer or a number, as a number."""
    try:
        return float(value)
    except OverflowError:
        raise Fault("the integer does not fit in 64 bits") from None


def equal(a: Any, b: Any, frame: Frame) -> bool:
    """Whether two values are the same. Numbers are, whatever their type; values of other types never are."""
    kind, other = type(a), type(b)
    if kind in _SCALARS and other in _SCALARS:
        return bool(a == b)
    if kind is bool or other is bool:
        return a is b
    if kind is list and other is list:
        if a is b or len(a) != len(b):
            return a is b
        frame.spend(8 + 2 * len(a))
        return all(equal(x, y, frame) for x, y in zip(a, b, strict=True))
    here, there = as_map(a), as_map(b)
    if here is not None and there is not None:
        if a is b or len(here) != len(there):
            return a is b
        frame.spend(12 + 2 * len(here))
        return all(key in there and equal(value, there[key], frame) for key, value in here.items())
    if kind not in PLAIN and here is None and kind is not datetime:
        return equal(adopt(a), b, frame)
    if other not in PLAIN and there is None and other is not datetime:
        return equal(a, adopt(b), frame)
    return False


def identity(value: Any, frame: Frame, depth: int = 0) -> Any:
    """Something hashable that is the same for values that are equal."""
    kind = type(value)
    frame.spend(6)
    if kind is bool:
        return ("bool", value)
    if kind in _SCALARS:
        return value
    if depth > DEPTH:
        raise too_deep()
    if kind is list:
        return ("list", *(identity(element, frame, depth + 1) for element in value))
    fields = as_map(value)
    if fields is None:
        return identity(adopt(value), frame, depth + 1)
    return ("map", frozenset((key, identity(field, frame, depth + 1)) for key, field in fields.items()))


def ordered(a: Any, b: Any) -> bool:
    """Whether `<` says something of the two."""
    kind, other = type(a), type(b)
    if kind in NUMBERS:
        return other in NUMBERS
    return kind is other and (kind in _SCALARS or kind is bool) and a is not None


def text_of(value: Any, frame: Frame) -> str:
    """A value as text: null is none at all, lists and maps are JSON."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(integer(value))
        case float():
            return repr(double(value))
        case datetime():
            return time_text(value)
        case timedelta():
            return f"{json.dumps(seconds(value))}s"
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise Fault("these bytes are no text", hint="base64_encode() makes text of any bytes") from None
    return json_text(value, frame)


def json_text(value: Any, frame: Frame) -> str:
    """A value as JSON text."""
    room = frame.room
    text = json.dumps(plain(value, frame), ensure_ascii=False, separators=(",", ":"))
    frame.spend((room - frame.room) >> 1)
    frame.room = room
    frame.fill(0)
    return text


def seconds(value: timedelta) -> int | float:
    """How many seconds a duration has: an integer if they are whole."""
    return value.total_seconds() if value.microseconds else value.days * 86_400 + value.seconds


def time_text(value: datetime) -> str:
    """A timestamp in RFC 3339, in UTC."""
    try:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    except OverflowError:
        raise Fault("the timestamp is outside the years 1 to 9999") from None


def plain(value: Any, frame: Frame, *, times: bool = False, depth: int = 0) -> Any:
    """A copy of a value that is JSON and nothing else.

    Args:
        value: the value.
        frame: pays for its size.
        times: leave timestamps and durations as `datetime` and `timedelta`.
        depth: how many levels there are above it.

    Raises:
        Fault: the value is no JSON, or too large.
    """
    kind = type(value)
    if kind is str:
        frame.fill(len(value) + 3)
        return value
    # What one of these takes is less than a container pays for each of its elements beforehand.
    if kind is int:
        return integer(value)
    if kind is float:
        return double(value)
    if kind is bool or value is None:
        return value
    if depth > DEPTH:
        raise too_deep()
    if kind is list:
        frame.fill(4 + 8 * len(value))
        return [plain(element, frame, times=times, depth=depth + 1) for element in value]
    fields = as_map(value)
    if fields is not None:
        frame.fill(4 + 12 * len(fields))
        return {_key(key, frame): plain(field, frame, times=times, depth=depth + 1) for key, field in fields.items()}
    if isinstance(value, datetime | timedelta) and times:
        return adopt(value)
    match value:
        case datetime():
            return time_text(adopt(value))
        case timedelta():
            return seconds(value)
        case bytes():
            frame.fill(len(value) * 4 // 3)
            return urlsafe_b64encode(value).decode("ascii")
    return plain(adopt(value), frame, times=times, depth=depth + 1)


def _key(key: Any, frame: Frame) -> str:
    if type(key) is str:
        frame.room -= len(key)
        return key
    if isinstance(key, str):
        return str.__str__(key)
    raise Fault(f"the keys of a map in a result have to be texts, not {word(key)}", hint="string(key)")


def too_deep() -> Fault:
    """Too many levels."""
    return Fault(f"more than {DEPTH} levels of lists and maps within each other", spent=True)
