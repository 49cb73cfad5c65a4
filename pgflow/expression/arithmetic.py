"""The operators `+ - * / %`.

Integers stay integers, also when divided, as in CEL. As soon as one side has a fraction, both are taken as numbers with
one, which CEL refuses and everybody expects.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pgflow.expression.bounds import Frame
from pgflow.expression.faults import Fault
from pgflow.expression.values import NUMBERS, as_double, double, integer, word

Binary = Callable[[Any, Any, Frame], Any]


def _refused(sign: str, a: Any, b: Any) -> Fault:
    words = {word(a), word(b)}
    hint = None
    if sign == "+" and "a text" in words and not words & {"a timestamp", "a duration"}:
        hint = "string(value) makes a text of a value, int(text) and double(text) a number of a text"
    elif words <= {"a text", "an integer", "a number"}:
        hint = "int(text) and double(text) read a number"
    elif words & {"a timestamp", "a duration"} and words & {"a text", "an integer", "a number"}:
        hint = "timestamp(text) and duration(text) read texts; duration(90) is 90 seconds"
    elif "null" in words:
        hint = "default(value, 0) answers for null"
    return Fault(f"{word(a)} {sign} {word(b)} makes no sense", hint=hint)


def _in_time(reckon: Callable[[], Any]) -> Any:
    try:
        return reckon()
    except OverflowError:
        raise Fault("this is outside the years 1 to 9999") from None


def _add(a: Any, b: Any, frame: Frame) -> Any:
    kind, other = type(a), type(b)
    if kind is int and other is int:
        return integer(a + b)
    if kind in NUMBERS and other in NUMBERS:
        return double(as_double(a) + as_double(b))
    if kind is other and kind in {str, bytes}:
        frame.spend_text(len(a) + len(b))
        return a + b
    if kind is list and other is list:
        frame.spend((len(a) + len(b)) >> 2)
        return a + b
    if (kind is datetime and other is timedelta) or (kind is timedelta and other in {datetime, timedelta}):
        return _in_time(lambda: a + b)
    raise _refused("+", a, b)


def _subtract(a: Any, b: Any, _: Frame) -> Any:
    kind, other = type(a), type(b)
    if kind is int and other is int:
        return integer(a - b)
    if kind in NUMBERS and other in NUMBERS:
        return double(as_double(a) - as_double(b))
    if (kind is datetime and other in {datetime, timedelta}) or (kind is timedelta and other is timedelta):
        return _in_time(lambda: a - b)
    raise _refused("-", a, b)


def _multiply(a: Any, b: Any, _: Frame) -> Any:
    kind, other = type(a), type(b)
    if kind is int and other is int:
        return integer(a * b)
    if kind in NUMBERS and other in NUMBERS:
        return double(as_double(a) * as_double(b))
    if (kind is timedelta and other in NUMBERS) or (kind in NUMBERS and other is timedelta):
        return _in_time(lambda: a * b)
    raise _refused("*", a, b)


def _divide(a: Any, b: Any, _: Frame) -> Any:
    kind, other = type(a), type(b)
    if kind not in NUMBERS or other not in NUMBERS:
        raise _refused("/", a, b)
    if b == 0:
        raise Fault("division by zero", hint="check before: b == 0 ? 0 : a / b")
    if kind is int and other is int:
        quotient = abs(a) // abs(b)
        return integer(quotient if (a < 0) == (b < 0) else -quotient)
    return double(as_double(a) / as_double(b))


def _remainder(a: Any, b: Any, _: Frame) -> Any:
    kind, other = type(a), type(b)
    if kind not in NUMBERS or other not in NUMBERS:
        raise _refused("%", a, b)
    if b == 0:
        raise Fault("division by zero", hint="check before: b == 0 ? 0 : a % b")
    if kind is int and other is int:
        rest = abs(a) % abs(b)
        return rest if a >= 0 else -rest
    return double(math.fmod(as_double(a), as_double(b)))


def negated(value: Any) -> Any:
    """`-value`"""
    if type(value) is int:
        return integer(-value)
    if type(value) is float:
        return -value
    if type(value) is timedelta:
        return _in_time(lambda: -value)
    raise Fault(f"only numbers and durations have a minus, not {word(value)}")


BINARY: dict[str, Binary] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _remainder,
}
