"""Operators over steps that are made already: each tells its own place when it fails."""

from __future__ import annotations

import operator
from typing import Any

from pgflow.expression.arithmetic import Binary, negated
from pgflow.expression.bounds import Frame
from pgflow.expression.faults import Fault
from pgflow.expression.reading import Step
from pgflow.expression.values import NUMBERS, as_map, equal, ordered, word

_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def boolean(value: Any, at: int, what: str) -> bool:
    """A value that has to be true or false.

    Args:
        value: the value.
        at: where to point at if it is neither.
        what: what it is the value of.
    """
    if value is True or value is False:
        return bool(value)
    hint = "compare it with something: a > 0, a != '', a != null"
    raise Fault(f"{what} has to be true or false, not {word(value)}", at, hint=hint)


def negation(operand: Step, at: int) -> Step:
    """`!operand`"""
    return lambda frame: not boolean(operand(frame), at, "what follows !")


def minus(operand: Step, at: int) -> Step:
    """`-operand`"""

    def negate(frame: Frame) -> Any:
        value = operand(frame)
        try:
            return negated(value)
        except Fault as fault:
            fault.at = at
            raise

    return negate


def arithmetic(first: Step, rest: tuple[tuple[Binary, int, Step], ...]) -> Step:
    """`first + a - b`, from left to right."""

    def reckon(frame: Frame) -> Any:
        value = first(frame)
        for apply, at, operand in rest:
            other = operand(frame)
            try:
                value = apply(value, other, frame)
            except Fault as fault:
                fault.at = fault.at or at
                raise
        return value

    return reckon


def compare(sign: str, left: Step, right: Step, at: int) -> Step:
    """`left < right`, and the like."""
    if sign == "==":
        return lambda frame: equal(left(frame), right(frame), frame)
    if sign == "!=":
        return lambda frame: not equal(left(frame), right(frame), frame)
    if sign == "in":
        return _within(left, right, at)
    order = _ORDERS[sign]

    def ask(frame: Frame) -> bool:
        a, b = left(frame), right(frame)
        if (type(a) in NUMBERS and type(b) in NUMBERS) or ordered(a, b):
            return bool(order(a, b))
        raise Fault(f"{word(a)} and {word(b)} have no order", at, hint=_other_type({word(a), word(b)}))

    return ask


def _other_type(words: set[str]) -> str | None:
    if words == {"a text", "a timestamp"}:
        return "timestamp(text) reads a timestamp"
    if words == {"a text", "a duration"}:
        return "duration(text) reads a duration"
    if "a text" in words and words & {"an integer", "a number"}:
        return "int(text) or double(text) reads a number"
    return "default(path, fallback) answers for null" if "null" in words else None


def _within(left: Step, right: Step, at: int) -> Step:
    def within(frame: Frame) -> bool:
        value, container = left(frame), right(frame)
        if type(container) is list:
            frame.spend(len(container))
            return any(equal(value, element, frame) for element in container)
        fields = as_map(container)
        if fields is None:
            hint = "text.contains(part)" if isinstance(container, str) else None
            raise Fault(f"`in` looks into a list or the keys of a map, not into {word(container)}", at, hint=hint)
        return (type(value) is str or type(value) is int) and value in fields

    return within


def logic(decisive: bool, steps: tuple[Step, ...], at: int) -> Step:
    """`a && b && c` or `a || b || c`. A side that fails is held back: another may decide without it."""
    what = "each side of ||" if decisive else "each side of &&"

    def decide(frame: Frame) -> bool:
        held: Fault | None = None
        for step in steps:
            try:
                if boolean(step(frame), at, what) is decisive:
                    return decisive
            except Fault as fault:
                frame.caught(fault)
                held = held or fault
        if held is not None:
            raise held
        return not decisive

    return decide


def conditional(condition: Step, yes: Step, no: Step, at: int) -> Step:
    """`condition ? yes : no`"""
    return lambda frame: yes(frame) if boolean(condition(frame), at, "what stands before ?") else no(frame)
