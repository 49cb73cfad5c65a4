"""Values on their way into statements, as the text forms Postgres reads fastest.

psycopg adapts a list element by element; a batch of hundreds is cheaper as one literal built in one join.
"""

from __future__ import annotations

from collections.abc import Iterable


def numbers(values: Iterable[int]) -> str:
    """An array literal of integers."""
    return f"{{{','.join(map(str, values))}}}"


def optional_numbers(values: Iterable[float | int | None]) -> str:
    """An array literal of numbers, None as NULL."""
    return f"{{{','.join(['NULL' if value is None else repr(value) for value in values])}}}"


def words(values: Iterable[str]) -> str:
    """An array literal of words that need no quoting, such as states."""
    return f"{{{','.join(values)}}}"


def documents(values: Iterable[bytes]) -> str:
    """A JSON array of JSON texts."""
    return (b"[" + b",".join(values) + b"]").decode()
