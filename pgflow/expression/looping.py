"""Macros: what is evaluated once per element of a list, or per key of a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pgflow.expression.bounds import Frame
from pgflow.expression.faults import Fault
from pgflow.expression.operators import boolean
from pgflow.expression.reading import Step
from pgflow.expression.values import ordered, word

Loop = Callable[[Frame, Iterator[Any], Step | None, Step, int], Any]


def _verdict(value: Any, kind: str, at: int) -> bool:
    return boolean(value, at, f"what {kind}() asks of each element")


def _decided(frame: Frame, elements: Iterator[Any], body: Step, at: int, kind: str, decisive: bool) -> bool:
    held: Fault | None = None
    for _ in elements:
        try:
            if _verdict(body(frame), kind, at) is decisive:
                return decisive
        except Fault as fault:
            frame.caught(fault)
            held = held or fault
    if held is not None:
        raise held
    return not decisive


def _all(frame: Frame, elements: Iterator[Any], _: Step | None, body: Step, at: int) -> bool:
    return _decided(frame, elements, body, at, "all", decisive=False)


def _exists(frame: Frame, elements: Iterator[Any], _: Step | None, body: Step, at: int) -> bool:
    return _decided(frame, elements, body, at, "exists", decisive=True)


def _exists_one(frame: Frame, elements: Iterator[Any], _: Step | None, body: Step, at: int) -> bool:
    return sum(_verdict(body(frame), "exists_one", at) for _element in elements) == 1


def _filter(frame: Frame, elements: Iterator[Any], _: Step | None, body: Step, at: int) -> list[Any]:
    return [element for element in elements if _verdict(body(frame), "filter", at)]


def _map(frame: Frame, elements: Iterator[Any], condition: Step | None, body: Step, at: int) -> list[Any]:
    if condition is None:
        return [body(frame) for _ in elements]
    return [body(frame) for _ in elements if _verdict(condition(frame), "map", at)]


def _sort_by(frame: Frame, elements: Iterator[Any], _: Step | None, body: Step, at: int) -> list[Any]:
    pairs = [(body(frame), element) for element in elements]
    for key, _element in pairs:
        if not ordered(pairs[0][0], key):
            raise Fault(f"{word(pairs[0][0])} and {word(key)} have no order, so nothing can be sorted by them", at)
    frame.spend(len(pairs))
    return [element for _, element in sorted(pairs, key=lambda pair: pair[0])]


LOOPS: dict[str, Loop] = {
    "all": _all,
    "exists": _exists,
    "exists_one": _exists_one,
    "filter": _filter,
    "map": _map,
    "sort_by": _sort_by,
}
