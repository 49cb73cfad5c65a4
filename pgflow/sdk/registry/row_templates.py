"""Templates that the database fills in from a changed row: `${new.id}` and the like, but no other expression.

They are compiled here into what sql/functions/document_of_row.sql goes through: a constant with nulls, the places of
those, and what belongs there. A place is one reference, whose value is taken as it is, or a text put together of parts:
words and references.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgflow.errors import ArgumentError

Reference = list[str]
Parts = list[str | Reference]

ROWS = ("new", "old", "row")
FACTS = ("table", "op", "at")
_COLUMN = r"""(?:\.([^\W\d]\w*)|\[("(?:[^"\\]|\\.)*")\])?"""
_REFERENCE = re.compile(r"\$\{\s*([a-z]+)" + _COLUMN + r"\s*\}")
_HINT = '${new.id}, ${old.id}, ${row.id} (as it is, or was), ${row["Odd name"]}, ${new}, ${table}, ${op} or ${at}'


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template as the database goes through it.

    Attributes:
        constant: the value, with nulls at the places.
        places: each with its `path`, and a `reference` or `parts`.
        columns: which columns it refers to.
    """

    constant: Any
    places: list[dict[str, Any]]
    columns: frozenset[str]


def compiled(value: Any, what: str) -> Compiled:
    """Compile any JSON value whose strings may refer to a row.

    Raises:
        ArgumentError: a reference makes no sense; `what` says whose.
    """
    places = [{"path": path, **_place(parts)} for path, parts in _places(value, [], what)]
    return Compiled(_without(value), places, _columns(part for place in places for part in _parts(place)))


def parts_of(text: str, what: str) -> tuple[Parts, frozenset[str]]:
    """Compile a text that refers to a row, such as a key; with the columns it refers to.

    Raises:
        ArgumentError: a reference makes no sense, or there is none.
    """
    parts = _split(text, what)
    if not any(isinstance(part, list) for part in parts):
        raise ArgumentError(f"{what} is the same for every row", hint=f"refer to the row: {_HINT}")
    return parts, _columns(iter(parts))


def _places(value: Any, path: list[str], what: str) -> Iterator[tuple[list[str], Parts]]:
    match value:
        case str() if "${" in value:
            yield path, _split(value, what)
        case Mapping():
            for name, inner in value.items():
                yield from _places(inner, [*path, name], what)
        case list():
            for position, inner in enumerate(value):
                yield from _places(inner, [*path, str(position)], what)


def _without(value: Any) -> Any:
    match value:
        case str():
            return None if "${" in value else value
        case Mapping():
            return {name: _without(inner) for name, inner in value.items()}
        case list():
            return [_without(inner) for inner in value]
        case _:
            return value


def _split(text: str, what: str) -> Parts:
    parts: Parts = []
    end = 0
    for found in _REFERENCE.finditer(text):
        parts += [text[end : found.start()], _reference(found, what)]
        end = found.end()
    parts.append(text[end:])
    kept = [part for part in parts if part]
    for part in kept:
        if isinstance(part, str) and "${" in part:
            raise ArgumentError(f"{what}: {part[part.index('${') :]!r} is no reference to a row", hint=_HINT)
    return kept


def _reference(found: re.Match[str], what: str) -> Reference:
    word, plain, quoted = found.groups()
    column = plain if quoted is None else _unquoted(quoted)
    if word not in (*ROWS, *FACTS) or (column is not None and word in FACTS) or column == "":
        raise ArgumentError(f"{what}: {found[0]} is not there", hint=_HINT)
    return [word] if column is None else [word, column]


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except json.JSONDecodeError:
        return ""


def _place(parts: Parts) -> dict[str, Any]:
    return {"reference": parts[0]} if len(parts) == 1 and isinstance(parts[0], list) else {"parts": parts}


def _parts(place: Mapping[str, Any]) -> Parts:
    return [place["reference"]] if "reference" in place else place["parts"]


def _columns(parts: Iterator[str | Reference]) -> frozenset[str]:
    return frozenset(part[1] for part in parts if isinstance(part, list) and len(part) == 2)
