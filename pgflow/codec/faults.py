"""The slow walk: finds what in a value cannot be stored, and says where.

It runs only when the fast path has a suspicion, so it is written to be exact, not fast. Paths follow the JSON form of
the value: `$.order.lines[3].price`, and `$["two words"]` for a key that is no identifier. A fault in a key is told of
the object that has it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from pgflow.codec.expansion import bare, expand, is_model
from pgflow.errors import PayloadError

DEFAULT_PAYLOAD_LIMIT = 1024 * 1024
"""Bytes of JSON that arguments or a result may have unless told otherwise."""

MAX_DEPTH = 200
"""Objects and arrays within each other."""

Trail: TypeAlias = "tuple[Trail, str | int] | None"
"""The way from the root to a value, last step first; a path is only written out when there is a fault to report."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LARGEST = 2**63 - 1
_NATIVE = (datetime, date, time, UUID)
_HINTS = {
    TypeError: "use plain JSON types, dataclasses or pydantic models",
    UnicodeDecodeError: "give the model ConfigDict(ser_json_bytes='base64', val_json_bytes='base64')",
}


def check(value: Any, trail: Trail = None) -> None:
    """Raise the PayloadError of the first fault in the value, if there is one."""
    _walk(value, trail, 0, set())


def path(trail: Trail) -> str:
    """The JSON path of a trail."""
    steps: list[str] = []
    while trail is not None:
        trail, key = trail
        if isinstance(key, int):
            steps.append(f"[{key}]")
        else:
            steps.append(f".{key}" if _IDENTIFIER.fullmatch(key) else f"[{json.dumps(key)}]")
    return "$" + "".join(reversed(steps))


def _fault(trail: Trail, message: str, hint: str | None = None) -> PayloadError:
    return PayloadError(message, path=path(trail), hint=hint)


def _walk(value: Any, trail: Trail, depth: int, around: set[int]) -> None:
    kind = type(value)
    if value is None or kind is bool:
        return
    if kind is str:
        _check_text(value, trail, "the text")
    elif kind is int:
        _check_integer(value, trail)
    elif kind is float:
        _check_float(value, trail)
    elif kind is dict:
        _enter(value, trail, depth, around)
        for key, child in value.items():
            _check_key(key, trail)
            _walk(child, (trail, key), depth + 1, around)
        around.discard(id(value))
    elif kind is list or kind is tuple:
        _enter(value, trail, depth, around)
        for position, child in enumerate(value):
            _walk(child, (trail, position), depth + 1, around)
        around.discard(id(value))
    else:
        _enter(value, trail, depth - 1, around)  # it is no level of its own: what it expands to is
        _walk_other(value, trail, depth, around)
        around.discard(id(value))


def _enter(value: Any, trail: Trail, depth: int, around: set[int]) -> None:
    if id(value) in around:
        raise _fault(trail, "the value contains itself")
    if depth >= MAX_DEPTH:
        raise _fault(trail, f"objects and arrays are nested more than {MAX_DEPTH} deep")
    around.add(id(value))


def _walk_other(value: Any, trail: Trail, depth: int, around: set[int]) -> None:
    if isinstance(value, Enum):
        _walk(value.value, trail, depth, around)
    elif isinstance(value, str):
        _check_text(value, trail, "the text")
    elif isinstance(value, int):
        _check_integer(value, trail)
    elif isinstance(value, dict):
        # The dict's own method, not the subclass's: orjson, too, takes what the dict itself holds.
        _walk(dict.copy(value), trail, depth, around)
    elif isinstance(value, list):
        _walk(list.copy(value), trail, depth, around)
    elif isinstance(value, _NATIVE):
        try:
            orjson.dumps(value)
        except TypeError as error:
            raise _fault(trail, f"a {type(value).__name__} that has no JSON form: {error}") from error
    else:
        _walk(_expanded(value, trail, depth, around), trail, depth, around)


def _expanded(value: Any, trail: Trail, depth: int, around: set[int]) -> Any:
    kind = type(value)
    try:
        expanded = expand(value)
    except Exception as error:
        if is_model(kind):
            # The model's own serializer does not say where it stumbled; what it holds may.
            _walk(bare(value), trail, depth, around)
        raise _fault(
            trail, f"a {kind.__qualname__} cannot be written as JSON: {error}", _HINTS.get(type(error))
        ) from error
    if is_model(kind):
        check_numbers(value, expanded, trail)
    return expanded


def _check_key(key: Any, trail: Trail) -> None:
    if not isinstance(key, str):
        raise _fault(
            trail,
            f"a key is of type {type(key).__qualname__}, but JSON's are text",
            "use str(key), or annotate what holds it, as in dict[int, str]",
        )
    _check_text(key, trail, "a key")


def _check_text(text: str, trail: Trail, what: str) -> None:
    if "\x00" in text:
        raise _fault(
            trail, f"{what} contains the character \\u0000", "Postgres cannot store it: strip it, or send bytes"
        )
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise _fault(
                trail,
                f"{what} contains half a character (a lone surrogate) at position {error.start}",
                "decode the bytes it came from with errors='replace', or send them as bytes",
            ) from None


def _check_integer(value: int, trail: Trail) -> None:
    if not -_LARGEST - 1 <= value <= _LARGEST:
        raise _fault(trail, "the integer does not fit in 64 bits", "send it as text")


def _check_float(value: float, trail: Trail) -> None:
    if not math.isfinite(value):
        raise _fault(trail, f"{value} is no JSON number", "use None, or text")


def check_numbers(raw: Any, written: Any, trail: Trail = None) -> None:
    """Raise a PayloadError if a number that is not finite was written as null, or as text that will not be read back.

    pydantic does so where the annotation says `Any`. A serializer of the user's own that makes null of NaN is refused
    as well: the two cannot be told apart, and losing a value in silence is worse.

    Args:
        raw: the value itself.
        written: what was made of it.
        trail: where it stands.
    """
    if isinstance(raw, float) and written is None:
        _check_float(raw, trail)
    elif isinstance(raw, Decimal):
        if not raw.is_finite():
            raise _fault(trail, f"{raw} is no JSON number", "use None, or text")
    elif isinstance(written, (dict, list)):
        if is_model(type(raw)) or is_dataclass(raw):
            raw = bare(raw)
        for key, child, form in _pairs(raw, written):
            check_numbers(child, form, (trail, key))


def _pairs(raw: Any, written: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """The children of a value beside the forms they were given, as far as the two correspond."""
    if isinstance(written, list) and isinstance(raw, (list, tuple, set, frozenset)):
        yield from zip(range(len(written)), raw, written, strict=False)
    elif isinstance(written, dict) and isinstance(raw, dict):
        if len(raw) == len(written):  # the keys may have another form by now, the order is still the same
            yield from zip(written, raw.values(), written.values(), strict=True)
        else:
            yield from ((key, raw[key], form) for key, form in written.items() if key in raw)


def too_large(data: bytes, limit: int) -> PayloadError:
    """The error for JSON over the limit, with the path of the innermost value that alone is over it."""
    value: Any = orjson.loads(data)
    size = len(data)
    trail: Trail = None
    while children := list(
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        sizes = [len(orjson.dumps(child)) for _, child in children]
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        if sizes[largest] <= limit:
            break
        size, (key, value) = sizes[largest], children[largest]
        trail = (trail, key)
    return _fault(
        trail,
        f"{size:,} bytes of JSON, and the limit is {limit:,}",
        "keep it elsewhere and send a reference to it, or raise payload_limit",
    )
