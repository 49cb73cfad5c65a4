"""Names, fields and elements: how an expression reads what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pgflow.expression.bounds import Frame
from pgflow.expression.faults import Fault, suggestion
from pgflow.expression.values import PLAIN, adopt, as_map, word

Step = Callable[[Frame], Any]
"""What a node becomes."""


def name(wanted: str, at: int) -> Step:
    """A name that was given."""

    def read(frame: Frame) -> Any:
        try:
            value = frame.names[wanted]
        except KeyError:
            raise Fault(f"there is no name {wanted!r} here", at, hint=lambda: _among(wanted, frame)) from None
        return value if type(value) in PLAIN else adopted(value, at)

    return read


def _among(wanted: str, frame: Frame) -> str:
    if near := suggestion(wanted, (*frame.names, "true", "false", "null")):
        return near
    names = sorted(map(str, frame.names))
    return f"there are: {', '.join(names[:10])}" if names else "there are no names at all"


def adopted(value: Any, at: int) -> Any:
    """A value that is not of the plain types, read at a place."""
    try:
        return adopt(value)
    except Fault as fault:
        fault.at = at
        raise


def field(target: Step, key: str, at: int, told: str | None) -> Step:
    """`target.key`

    Args:
        target: what has the field.
        key: its name.
        at: where it stands.
        told: the path of the target, if its keys may be told in an error.
    """

    def select(frame: Frame) -> Any:
        value = target(frame)
        if type(value) is dict:
            if key in value:
                found = value[key]
                return found if type(found) in PLAIN else adopted(found, at)
        elif (fields := as_map(value)) is not None and key in fields:
            return adopted(fields[key], at)
        raise _missing(value, key, at, told, shown=True)

    return select


def has(target: Step, key: str) -> Step:
    """Whether `target.key` is there: it is not if the target is not there, either."""

    def there(frame: Frame) -> bool:
        try:
            fields = as_map(target(frame))
        except Fault as fault:
            frame.caught(fault, missing=True)
            return False
        return fields is not None and key in fields

    return there


def default(value: Step, fallback: Step) -> Step:
    """A value, or the fallback if it is not there or null."""

    def either(frame: Frame) -> Any:
        try:
            found = value(frame)
        except Fault as fault:
            frame.caught(fault, missing=True)
            found = None
        return fallback(frame) if found is None else found

    return either


def element(target: Step, index: Step, at: int, told: str | None, shown: bool) -> Step:
    """`target[index]`

    Args:
        target: a list or a map.
        index: which of its elements.
        at: where the bracket stands.
        told: the path of the target, if its keys may be told in an error.
        shown: whether the index stands in the expression itself, and may be told.
    """

    def pick(frame: Frame) -> Any:
        value, key = target(frame), index(frame)
        if type(value) is list:
            found = _of_list(value, key, at)
        elif (fields := as_map(value)) is not None:
            if type(key) is not str and type(key) is not int:
                raise Fault(f"the key of a map is a text, not {word(key)}", at, hint="string(key)")
            if key not in fields:
                raise _missing(value, key, at, told, shown)
            found = fields[key]
        elif isinstance(value, str):
            raise Fault("the characters of a text have no index", at, hint="text.substring(0, 1)")
        else:
            raise _missing(value, key, at, told, shown)
        return found if type(found) in PLAIN else adopted(found, at)

    return pick


def _of_list(value: list[Any], key: Any, at: int) -> Any:
    if type(key) is float and key.is_integer():
        key = int(key)
    if type(key) is not int:
        hint = "take one element, as in list[0], or all, as in list.map(x, x.field)"
        raise Fault(f"the index of a list is an integer, not {word(key)}", at, hint=hint)
    if 0 <= key < len(value):
        return value[key]
    count = f"{len(value)} element{'' if len(value) == 1 else 's'}"
    hint = "last(list) is the last element, and indices begin with 0" if value else "default(list[0], fallback)"
    raise Fault(f"the index is outside of the list, which has {count}", at, hint=hint, missing=True)


def _missing(value: Any, key: object, at: int, told: str | None, shown: bool) -> Fault:
    named = f"key {key!r}" if shown else "such key"
    fields = as_map(value)
    if fields is not None:
        where = f" in {told}" if told else ""
        return Fault(f"there is no {named}{where}", at, hint=lambda: _keys(fields, key, told), missing=True)
    hint = None
    if value is None:
        hint = "default(path, fallback) answers for null as well"
    elif isinstance(value, list):
        hint = "take one element, as in list[0], or all, as in list.map(x, x.field)"
    elif isinstance(value, str):
        hint = "json(text) reads a text that is JSON"
    return Fault(f"{told or 'this'} is {word(value)} and has no {named}", at, hint=hint, missing=value is None)


def _keys(fields: Mapping[Any, Any], key: object, told: str | None) -> str | None:
    if not told:
        return None
    return suggestion(str(key), map(str, fields), "it has") if fields else "it is an empty map"


def entries(steps: tuple[tuple[Step, int, Step], ...]) -> Step:
    """`{key: value}`, from the steps of each and the offset of the key."""

    def make(frame: Frame) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key, at, value in steps:
            wanted = key(frame)
            if type(wanted) is not str and type(wanted) is not int:
                raise Fault(f"the key of a map is a text, not {word(wanted)}", at, hint="string(key)")
            if wanted in made:
                raise Fault("this key is in the map already", at)
            made[wanted] = value(frame)
        return made

    return make
