"""The types of values on the command line."""

from __future__ import annotations

from datetime import datetime

import click

from pgflow import duration as durations
from pgflow.errors import ArgumentError
from pgflow.model import Priority, State

ID = click.IntRange(1, 2**63 - 1)
LIMIT = click.IntRange(1, 100_000)
STATE = click.Choice([state.value for state in State])
PRIORITY = click.Choice([priority.name.lower() for priority in Priority])


def duration(text: str) -> float:
    """Seconds, from text such as 90, 30s or 1h30m."""
    try:
        return durations.parse(text)
    except ArgumentError as error:
        raise click.BadParameter(f"{error.message}; write {error.hint}") from None


def instant(text: str) -> datetime:
    """An instant, from ISO 8601; without an offset it is local."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        example = "2026-05-01T09:00 or 2026-05-01T09:00:00Z"
        raise click.BadParameter(f"{text!r} is no instant; write it like {example}") from None


def pair(text: str) -> tuple[str, str]:
    """A name and a value, from name=value."""
    name, equals, value = text.partition("=")
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise click.BadParameter("it is no valid UTF-8")
    if not (name and equals):
        raise click.BadParameter(f"{text!r} is not name=value")
    return name, value
