"""Values to JSON and back."""

from __future__ import annotations

import re
from typing import Any

import orjson

from pgflow import redaction
from pgflow.codec.disclosure import refuse
from pgflow.codec.expansion import expand
from pgflow.codec.faults import DEFAULT_PAYLOAD_LIMIT, MAX_DEPTH, check, too_large
from pgflow.errors import PayloadError

# Strict integers end at 53 bits. Whoever sends larger ones pays for a walk, which knows those past 64; all others are
# spared a search for them. A dataclass is left to `expand` because orjson drops fields that begin with an underscore.
_OPTIONS = orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_DATACLASS
# Keys that are text of a subclass, a StrEnum's for one. By the time this is used, a walk has refused all other kinds.
_RARE_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS

_BACKSLASH = ord("\\")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_dumps = orjson.dumps
_loads = orjson.loads
_find_null = re.compile(rb"null").search
_find_nul = re.compile(rb"\\u0000").search


def encode(value: Any, *, limit: int = DEFAULT_PAYLOAD_LIMIT) -> bytes:
    r"""The value as JSON text that Postgres stores and `decode` gives back.

    Besides JSON's own types it writes what has no annotation to follow in a form that pydantic reads back: models and
    dataclasses as objects, tuples and sets as arrays, `datetime`, `date`, `time` and `timedelta` in ISO 8601,
    `Decimal` and `UUID` as text, an `Enum` as its value, bytes as URL-safe base64.

    A float of 1e16 or more comes back from a jsonb column as an integer with the same leading digits; `float` of it is
    the float that was.

    Args:
        value: what to write.
        limit: how many bytes the text may have.

    Raises:
        PayloadError: something in the value cannot be stored (NaN, infinity, the character `\u0000`, a lone surrogate,
            an integer past 64 bits, a key that is no text, an unknown type, a value within itself, more than 200
            levels) or must not be (a secret that was revealed here), or the text is over the limit. The error has its
            path.

    Example:
        >>> encode({"day": date(2031, 5, 4), "sizes": (1, 2)})  # doctest: +SKIP
        b'{"day":"2031-05-04","sizes":[1,2]}'
    """
    if value is None:
        return b"null"
    try:
        data = _dumps(value, expand, _OPTIONS)
    except TypeError:
        data = _encode_rare(value)
    if len(data) > limit:
        raise too_large(data, limit)
    # A null may be a NaN that orjson made one of. Comparing with what comes back is far quicker than walking, and
    # where the two differ for a good reason, as tuples and models do, the walk clears it up.
    if _find_null(data) and _loads(data) != value:
        check(value)
    if _BACKSLASH in data and _find_nul(data):
        check(value)
    if len(data) > 2 * MAX_DEPTH and _may_be_too_deep(data):
        check(value)
    if redaction.known:
        refuse(data)
    return data


def decode(data: bytes | str) -> Any:
    """The value of a JSON text. Integers past 64 bits, which `encode` does not write but others may, come as floats.

    Raises:
        PayloadError: it is not JSON.
    """
    try:
        return _loads(data)
    except ValueError as error:
        raise PayloadError(f"this is not JSON: {error}") from None


def _encode_rare(value: Any) -> bytes:
    """What strict options refuse: for a fault, or for a large integer or an uncommon key that is none."""
    check(value)
    try:
        return _dumps(value, expand, _RARE_OPTIONS)
    except TypeError as error:
        raise PayloadError(f"the value cannot be written as JSON: {error}") from error


def _may_be_too_deep(data: bytes) -> bool:
    """Whether brackets may be nested too deep. Brackets within texts can make it say so without need."""
    brackets = data.translate(None, _NOT_BRACKETS)
    for peeled in range(MAX_DEPTH):
        if len(brackets) <= 2 * (MAX_DEPTH - peeled):
            return False
        inner = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(inner) == len(brackets):
            break  # brackets within texts
        brackets = inner
    return True
