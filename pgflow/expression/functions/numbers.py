"""Functions of numbers."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pgflow.expression.arithmetic import BINARY
from pgflow.expression.bounds import Frame
from pgflow.expression.faults import Fault
from pgflow.expression.functions.declaring import ANY, INTEGER, LIST, NUMBER, Library
from pgflow.expression.values import NUMBERS, as_double, double, integer, ordered, word

LIBRARY = Library()


@LIBRARY.takes("abs(number)", NUMBER)
def _abs(_: Frame, value: Any) -> Any:
    return integer(abs(value)) if type(value) is int else abs(value)


@LIBRARY.takes("floor(number)", NUMBER)
def _floor(_: Frame, value: float) -> int:
    return integer(math.floor(value))


@LIBRARY.takes("ceil(number)", NUMBER)
def _ceil(_: Frame, value: float) -> int:
    return integer(math.ceil(value))


@LIBRARY.takes("round(number, digits)", NUMBER, INTEGER, optional=1)
def _round(_: Frame, value: Any, digits: int = 0) -> Any:
    if not 0 <= digits <= 15:
        raise Fault("round() keeps 0 to 15 digits")
    if type(value) is int:
        return value
    # By its shortest text, as people see it: 2.675 is rounded to 2.68, though the double is a little less.
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP) if abs(value) < 1e15 else value
    return double(float(rounded)) if digits else integer(int(rounded))


@LIBRARY.takes("sum(list)", LIST)
def _sum(frame: Frame, values: list[Any]) -> Any:
    frame.spend(len(values))
    kinds = set(map(type, values))
    if kinds == {timedelta}:
        try:
            return sum(values, timedelta())
        except OverflowError:
            raise Fault("the duration is too long") from None
    if not kinds <= NUMBERS:
        wrong = next(value for value in values if type(value) not in NUMBERS)
        raise Fault(f"sum() adds numbers, not {word(wrong)}", hint="list.map(x, double(x)) reads texts")
    if kinds <= {int}:
        return integer(sum(values))
    try:
        return double(math.fsum(map(as_double, values)))
    except OverflowError:
        raise Fault("the number is too large") from None


@LIBRARY.takes("avg(list)", LIST)
def _avg(frame: Frame, values: list[Any]) -> Any:
    if not values:
        raise _empty("avg")
    if type(values[0]) is timedelta:
        return _sum(frame, values) / len(values)
    return BINARY["/"](as_double(_sum(frame, values)), len(values), frame)


@LIBRARY.takes("min(list), or min(a, b)", ANY, more=True)
def _min(frame: Frame, *values: Any) -> Any:
    return min(_comparable(frame, "min", values))


@LIBRARY.takes("max(list), or max(a, b)", ANY, more=True)
def _max(frame: Frame, *values: Any) -> Any:
    return max(_comparable(frame, "max", values))


def _comparable(frame: Frame, name: str, values: tuple[Any, ...]) -> list[Any]:
    found = list(values[0]) if len(values) == 1 and isinstance(values[0], list) else list(values)
    if not found:
        raise _empty(name)
    frame.spend(len(found))
    for value in found:
        if not ordered(found[0], value):
            raise Fault(f"{name}() compares numbers, texts or times, not {word(found[0])} and {word(value)}")
    return found


def _empty(name: str) -> Fault:
    return Fault(f"an empty list has no {name}", hint=f"default({name}(list), 0)", missing=True)
