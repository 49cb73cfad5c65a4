"""Payloads of signals and events, read as what a workflow expects."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from pgflow.codec.annotations import is_plain
from pgflow.errors import ArgumentError


def reader(kind: Any, what: str = "signal") -> Callable[[Any], Any]:
    """What makes a payload of this kind out of its JSON; as it is when no kind is given."""
    return _as_it_is if kind is None or is_plain(kind) else _reader(kind, what)


@cache
def _reader(kind: Any, what: str) -> Callable[[Any], Any]:
    from pgflow.codec.conversion import Converter, Unfit

    converter = Converter(kind, f"the {what}'s payload")

    def read(payload: Any) -> Any:
        try:
            return converter.read(payload)
        except Unfit as error:
            raise ArgumentError(f"the {what}'s payload is no {converter.annotation}: {error}") from None

    return read


def _as_it_is(payload: Any) -> Any:
    return payload
