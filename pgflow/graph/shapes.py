"""What is wrong with the shape of something, as a model of pydantic finds it, in words for people.

A message says what a place has to be, not what stands there: what stands there may be private.
"""

from __future__ import annotations

import difflib
from bisect import bisect
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from pgflow.graph.document import Node, Problem, Retry

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
        return [_problem(model, one, where) for one in error.errors(include_url=False, include_context=True)]
    return []


def _problem(model: type[BaseModel], error: Any, where: str) -> Problem:
    path = joined(where, [part for part in error["loc"] if part != "[key]"])
    message, hint = said(error)
    if error["type"] == "extra_forbidden":
        hint = nearest(str(error["loc"][-1]), _fields(model, error["loc"]))
    return Problem(path, message, hint)


def said(error: Any) -> tuple[str, str | None]:
    """One error of pydantic: what is wrong, and what to do about it.

    Args:
        error: one of `ValidationError.errors()`.
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind in _HAS_TO_BE:
        return f"this has to be {_HAS_TO_BE[kind]}, not {kind_of(error['input'])}", None
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
            return "this is no name as it has to be", _PATTERNS.get(beginning, f"it has to match {context['pattern']}")
        case "value_error":
            return str(context["error"]), None
        case _:
            message = str(error["msg"]).removeprefix("Value error, ")
            return message.replace("Input should", "this has to").replace("have to be have", "have"), None


def _fields(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    if len(loc) > 2 and loc[0] == "nodes":
        model = Retry if loc[2] == "retry" and len(loc) > 3 else Node
    elif loc[0] == "retry" and len(loc) > 1:
        model = Retry
    return [field.alias or name for name, field in model.model_fields.items()]


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
