"""What may not be stored because it holds a secret: stored data is read by many, and kept."""

from __future__ import annotations

from typing import Any

import orjson

from pgflow import redaction
from pgflow.codec.faults import Trail, path
from pgflow.errors import PayloadError

_HINT = "leave it out; whoever needs it asks for it with pgflow.secret(...)"


def refuse(data: bytes) -> None:
    """Raise a PayloadError with name and path if JSON text holds a secret that was revealed here."""
    name = redaction.found(data)
    if name is not None:
        raise PayloadError(_told(name), path=path(_trail(orjson.loads(data), None)), hint=_HINT)


def refuse_text(text: str | None, what: str) -> None:
    """Raise a PayloadError if a text that is stored by itself, such as a key, holds a secret."""
    name = None if text is None else redaction.found(text)
    if name is not None:
        raise PayloadError(_told(name), path=what, hint=_HINT)


def _told(name: str) -> str:
    return f"holds the secret {name}, and would be stored in clear"


def _trail(value: Any, trail: Trail) -> Trail:
    """The way to the innermost value that holds one; if it is a key that does, to the object that has it."""
    if isinstance(value, dict):
        if any(redaction.found(key) for key in value):
            return trail
        parts: list[tuple[str | int, Any]] = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    else:
        return trail
    for key, part in parts:
        if redaction.found(orjson.dumps(part)):
            return _trail(part, (trail, key))
    return trail
