"""Functions of lists and maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgflow.expression.bounds import DEPTH, Frame
from pgflow.expression.faults import Fault
from pgflow.expression.functions.declaring import ANY, INTEGER, LIST, LIST_OR_MAP, LIST_OR_TEXT, MAP, Kind, Library
from pgflow.expression.values import identity, ordered, too_deep, word

LIBRARY = Library()

_SIZED = Kind("a list, a map, a text or bytes", (list, dict, Mapping, str, bytes), "default(list, []) answers for null")


@LIBRARY.takes("size(list, map or text)", _SIZED)
def _size(_: Frame, value: Any) -> int:
    return len(value)


@LIBRARY.takes("first(list)", LIST)
def _first(_: Frame, values: list[Any]) -> Any:
    return _at_end(values, 0)


@LIBRARY.takes("last(list)", LIST)
def _last(_: Frame, values: list[Any]) -> Any:
    return _at_end(values, -1)


def _at_end(values: list[Any], place: int) -> Any:
    if not values:
        raise Fault("the list is empty", hint="default(first(list), fallback)", missing=True)
    return values[place]


@LIBRARY.takes("slice(list, start, end)", LIST, INTEGER, INTEGER, optional=1)
def _slice(frame: Frame, values: list[Any], start: int, end: int | None = None) -> list[Any]:
    if start < 0 or (end is not None and end < start):
        raise Fault("slice() counts from 0, and the end is not before the start")
    frame.spend(len(values) >> 2)
    return values[start:end]


@LIBRARY.takes("reverse(list or text)", LIST_OR_TEXT)
def _reverse(frame: Frame, value: Any) -> Any:
    frame.spend(len(value) >> 2)
    return value[::-1]


@LIBRARY.takes("sort(list)", LIST)
def _sort(frame: Frame, values: list[Any]) -> list[Any]:
    frame.spend(2 * len(values))
    for value in values:
        if not ordered(values[0], value):
            hint = "list.sort_by(x, x.field) sorts maps" if isinstance(value, Mapping) else None
            raise Fault(f"sort() takes values of one type, not {word(values[0])} and {word(value)}", hint=hint)
    return sorted(values)


@LIBRARY.takes("unique(list)", LIST)
def _unique(frame: Frame, values: list[Any]) -> list[Any]:
    found: dict[Any, Any] = {}
    for value in values:
        found.setdefault(identity(value, frame), value)
    return list(found.values())


@LIBRARY.takes("flatten(list, levels)", LIST, INTEGER, optional=1)
def _flatten(frame: Frame, values: list[Any], levels: int = 1) -> list[Any]:
    if levels > DEPTH:
        raise too_deep()
    frame.spend(len(values))
    if levels < 1:
        return values
    found: list[Any] = []
    for value in values:
        if isinstance(value, list):
            found.extend(_flatten(frame, value, levels - 1))
        else:
            found.append(value)
    return found


@LIBRARY.takes("range(count), or range(start, end)", INTEGER, INTEGER, optional=1)
def _range(frame: Frame, start: int, end: int | None = None) -> list[int]:
    numbers = range(start) if end is None else range(start, end)
    frame.spend(max(0, numbers.stop - numbers.start))
    return list(numbers)


@LIBRARY.takes("keys(map)", MAP)
def _keys(frame: Frame, fields: Mapping[str, Any]) -> list[Any]:
    frame.spend(len(fields))
    return list(fields)


@LIBRARY.takes("values(map)", MAP)
def _values(frame: Frame, fields: Mapping[str, Any]) -> list[Any]:
    frame.spend(len(fields))
    return list(fields.values())


@LIBRARY.takes("entries(map)", MAP)
def _entries(frame: Frame, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    frame.spend(2 * len(fields))
    return [{"key": key, "value": value} for key, value in fields.items()]


@LIBRARY.takes("from_entries(list)", LIST)
def _from_entries(frame: Frame, entries: list[Any]) -> dict[str, Any]:
    frame.spend(2 * len(entries))
    found = {}
    for entry in entries:
        if not isinstance(entry, Mapping) or "key" not in entry or "value" not in entry:
            raise Fault("from_entries() takes maps with a key and a value", hint="{'key': 'a', 'value': 1}")
        key = entry["key"]
        if type(key) is not str:
            raise Fault(f"the key of a map is a text, not {word(key)}", hint="string(key)")
        found[key] = entry["value"]
    return found


@LIBRARY.takes("merge(map, map)", MAP, more=True)
def _merge(frame: Frame, *maps: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for fields in maps:
        frame.spend(len(fields))
        merged.update(fields)
    return merged


@LIBRARY.takes("get(map or list, key, fallback)", LIST_OR_MAP, ANY, ANY)
def _get(_: Frame, container: Any, key: Any, fallback: Any) -> Any:
    if isinstance(container, list):
        if type(key) is not int:
            raise Fault(f"the index of a list is an integer, not {word(key)}")
        return container[key] if 0 <= key < len(container) else fallback
    if type(key) is not str and type(key) is not int:
        raise Fault(f"the key of a map is a text, not {word(key)}", hint="string(key)")
    return container.get(key, fallback)
