"""What becomes of a value in the database: JSON text, kept as jsonb, read again."""

from __future__ import annotations

from typing import Any

import orjson


def stored(text: bytes) -> Any:
    """The value as it comes back. jsonb does not keep the order of keys: shorter ones come first."""
    return _as_kept(orjson.loads(text))


def _as_kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_kept(value[key]) for key in sorted(value, key=_place)}
    if isinstance(value, list):
        return [_as_kept(part) for part in value]
    return value


def _place(key: str) -> tuple[int, bytes]:
    text = key.encode()
    return len(text), text
