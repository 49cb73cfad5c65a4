"""What JSON has no form for, as something it has: one level, for orjson's `default` and for the walk of `faults`."""

from __future__ import annotations

import dataclasses
from base64 import urlsafe_b64encode
from datetime import timedelta
from decimal import Decimal
from typing import Any


def expand(value: Any) -> Any:
    """The JSON form of a value whose annotation is not known; what it contains may need expanding again.

    The forms are those that pydantic writes and reads, so that a value encoded without an annotation still decodes to
    one.

    Raises:
        TypeError: there is none.
        ValueError: there is none for this very value.
    """
    kind = type(value)
    if is_model(kind):
        return kind.__pydantic_serializer__.to_python(value, mode="json", warnings=False)
    if dataclasses.is_dataclass(kind):
        return bare(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("it is not a finite number")
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return urlsafe_b64encode(value).decode("ascii")
    if isinstance(value, (set, frozenset)):
        return _ordered(value)
    if isinstance(value, timedelta):
        from pydantic_core import to_jsonable_python

        return to_jsonable_python(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"a {kind.__qualname__} has no JSON form")


def is_model(kind: type) -> bool:
    """Whether that is a class of pydantic's making. Told without importing pydantic."""
    return hasattr(kind, "__pydantic_serializer__")


def bare(value: Any) -> Any:
    """What a dataclass or model holds, by field and unchanged; of a root model, its root."""
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if getattr(value, "__pydantic_root_model__", False):
        return value.root
    return vars(value) | (value.__pydantic_extra__ or {})


def _ordered(values: set[Any] | frozenset[Any]) -> list[Any]:
    # The order of a set differs from process to process; equal arguments should be equal payloads.
    try:
        return sorted(values)
    except TypeError:
        return list(values)
