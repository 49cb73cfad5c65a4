"""What is wrong with the shape of something, as a model of pydantic finds it, in words for people.

A message says what a place has to be, not what stands there: what stands there may be private.
"""

from __future__ import annotations

import difflib
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pgflow.graph.document import Problem

MOST_COMPARED = 200
"""A suggestion is looked for among so many names at most: there may be thousands of wrong ones, too."""

_HAS_TO_BE = {
    "string_type": "text", "bool_type": "true or false", "bool_parsing": "true or false",
    "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "float_type": "a number", "float_parsing": "a number", "finite_number": "a number",
    "dict_type": "an object", "model_type": "an object", "model_attributes_type": "an object",
    "mapping_type": "an object",
    "list_type": "a list", "tuple_type": "a list", "none_required": "null",
}  # fmt: skip
_PATTERNS = {
    "A-Za-z_": "letters, digits and _ . : -, beginning with a letter or _, at most 200",
    "A-Za-z0-9_": "letters, digits and _ . : -, beginning with a letter, a digit or _, at most 100",
}


def kind_of(value: Any) -> str:
    """What a JSON value is, for people."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


def misshapen(model: type[BaseModel], value: Any, where: str) -> list[Problem]:
    """What is wrong with a value that a model shall take.

    Args:
        model: the model.
        value: the value.
        where: the value's own path.
    """
    try:
        model.model_validate(value)
    except ValidationError as error:
        return told(error, model, value, where)
    return []


def told(
    error: ValidationError,
    model: type[BaseModel],
    value: Any,
    where: str,
    passes: Callable[[Any], bool] = lambda _: False,
) -> list[Problem]:
    """The same of an error that there is already. Where there are alternatives, the one that says most is told.

    Args:
        error: what pydantic found.
        model: the model.
        value: the value.
        where: the value's own path.
        passes: whether one of `ValidationError.errors()` is none after all.
    """
    found: dict[str, tuple[int, Problem]] = {}
    for one in error.errors(include_url=False):
        if passes(one):
            continue
        parts, dropped = _parts(one["loc"], value)
        path = joined(where, parts)
        message, hint = said(one)
        if one["type"] == "extra_forbidden":
            hint = nearest(str(one["loc"][-1]), list(_fields(model, one["loc"][:-1])))
        elif hint is None and one["loc"]:
            field = _fields(model, one["loc"][:-1]).get(str(one["loc"][-1]))
            hint = field and field.description
        worth = 2 if not dropped else int(one["type"] not in _HAS_TO_BE)
        if path not in found or found[path][0] < worth:
            found[path] = (worth, Problem(path, message, hint))
    return [problem for _, problem in found.values()]


def _parts(loc: Sequence[str | int], value: Any) -> tuple[list[str | int], bool]:
    """Where an error is, without the names of alternatives that pydantic puts in between, and whether it did so."""
    parts: list[str | int] = []
    for number, part in enumerate(loc):
        last = number == len(loc) - 1
        if _holds(value, part):
            value = value[part]
        elif part == "[key]" or not (last and isinstance(value, Mapping)):
            continue
        parts.append(part)
    return parts, len(parts) + ("[key]" in loc) < len(loc)


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, Mapping) and part in value


def said(error: Any) -> tuple[str, str | None]:
    """One error of pydantic: what is wrong, and what to do about it.

    Args:
        error: one of `ValidationError.errors()`.
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind in _HAS_TO_BE:
        return f"this has to be {_HAS_TO_BE[kind]}, not {kind_of(error['input'])}", None
    if (measured := _measured(kind, context)) is not None:
        return measured, None
    match kind:
        case "missing":
            return "this is missing", None
        case "extra_forbidden":
            return "there is no such field", None
        case "literal_error" | "enum":
            choices = [part.strip("' ") for part in context["expected"].replace(" or ", ",").split(",")]
            given = error["input"]
            return "there is no such choice", nearest(given if isinstance(given, str) else "", choices)
        case "string_pattern_mismatch":
            beginning = context["pattern"].removeprefix("^[").partition("]")[0]
            if beginning in _PATTERNS:
                return "this is no name as it has to be", _PATTERNS[beginning]
            return f"this has to look otherwise: {context['pattern']}", None
        case "datetime_type" | "datetime_parsing" | "datetime_from_date_parsing" | "timezone_aware":
            return "this is no instant", "a date and a time with an offset, as in 2026-12-24T18:00:00+01:00"
        case "value_error":
            message = str(context["error"])
            return message, "seconds, or text such as 30s, 1h30m, 2d or PT5M" if "is no duration" in message else None
        case _:
            message = str(error["msg"]).removeprefix("Value error, ")
            return message.replace("Input should", "this has to").replace("have to be have", "have"), None


def _measured(kind: str, context: Mapping[str, Any]) -> str | None:
    """What is wrong with the size of something."""
    match kind:
        case "string_too_short" | "too_short":
            least = context["min_length"]
            return "this is empty" if least == 1 else f"this is too short: {least:,} is the least"
        case "string_too_long" | "too_long":
            return f"this is too long: {context['max_length']:,} is the most"
        case "greater_than_equal":
            return f"this has to be at least {context['ge']}"
        case "greater_than":
            return f"this has to be more than {context['gt']}"
        case "less_than_equal":
            return f"this has to be at most {context['le']}"
        case "less_than":
            return f"this has to be less than {context['lt']}"
        case _:
            return None


def _fields(model: type[BaseModel], loc: Sequence[Any]) -> dict[str, FieldInfo]:
    """The fields there are at a place."""
    models, is_key = {model}, False
    for part in loc:
        if is_key:
            is_key = False
            continue
        for name, field in [pair for one in models for pair in one.model_fields.items()]:
            if part == (field.alias or name):
                models = set(_models(field.annotation))
                is_key = get_origin(field.annotation) is dict
                break
    return {field.alias or name: field for one in models for name, field in one.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def joined(where: str, parts: Iterable[str | int]) -> str:
    """A path, from what it begins with and the keys and positions below."""
    for part in parts:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    return where


def below(where: str, path: str) -> str:
    """The path of what stands at `path` within what stands at `where`."""
    return f"{where}.{path}" if where and path and not path.startswith("[") else f"{where}{path}"


def nearest(wrong: str, known: Collection[str]) -> str | None:
    """The known name that is nearest to the wrong one, or which there are."""
    if not known:
        return None
    choices = known if len(known) <= MOST_COMPARED else _alike(wrong, known)
    near = difflib.get_close_matches(wrong[:200], choices, 1, 0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    first = sorted(known)[:12]
    return f"there are: {', '.join(first)}{', ...' if len(known) > len(first) else ''}"


def _alike(wrong: str, known: Collection[str]) -> list[str]:
    """Those that begin or end as the wrong name does."""
    alike: set[str] = set()
    for turned in (str, _backwards):
        names = sorted(map(turned, known))
        place = bisect(names, turned(wrong))
        alike.update(map(turned, names[max(0, place - MOST_COMPARED // 4) : place + MOST_COMPARED // 4]))
    return sorted(alike)


def _backwards(text: str) -> str:
    return text[::-1]
