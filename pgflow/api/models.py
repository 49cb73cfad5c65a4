"""What all bodies, queries and answers are made of. Ids are text in JSON, instants RFC 3339 in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from pgflow import duration
from pgflow.errors import ArgumentError
from pgflow.model import State

T = TypeVar("T")
LARGEST = 2**63 - 1


def _id(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and not value.startswith("0"):
        number = int(value) if len(value) <= 19 else LARGEST + 1
        if number <= LARGEST:
            return number
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST:
        return value
    raise ValueError("an id is a positive integer of 64 bits, as text")


Id = Annotated[
    int,
    BeforeValidator(_id),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,18}$", "examples": ["17"]}),
]
"""A 64-bit id; text in JSON, because not every reader keeps such numbers whole."""


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)


def _instant(value: Any) -> Any:
    """What a text says. Left to itself, pydantic would take `0.5` for seconds since 1970."""
    if not isinstance(value, str):
        return value
    if not _RFC_3339.fullmatch(value):
        raise ValueError("an instant is a date, a time and a zone, as in 2026-05-01T09:00:00Z")
    read = datetime.fromisoformat(value.upper())
    try:
        read.astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such instant in UTC") from None
    return read


def _utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_instant),
    PlainSerializer(_utc, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-05-01T09:00:00Z"]}),
]
"""An instant, with its zone."""

NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, StringConstraints(pattern=NO_NUL)]
"""Any text that Postgres can store."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]{0,199}$")]
"""The name of a task, a workflow, a signal."""
QueueName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}$")]
"""The name of a queue."""
Key = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=NO_NUL)]
"""A key that a run is started with."""


def _many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Many = Annotated[list[T], BeforeValidator(_many)]
"""A parameter of a query that may be given several times."""


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return duration.parse(value)
        except ArgumentError as error:
            raise ValueError(error.message) from None
    return value


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(ge=0, le=366 * 86400 * 10),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "examples": ["1h30m"]}], "examples": [90]},
        mode="validation",
    ),
]
"""A duration: seconds, or in words such as `1h30m`."""

StateWord = Annotated[str, WithJsonSchema({"type": "string", "enum": [str(state) for state in State]})]
"""Where a task is, in an answer."""
Limit = Annotated[int, Field(ge=1, le=500, description="How many at most.")]


class Model(BaseModel):
    """The base of all: what is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_timedelta="float")


class Query(Model):
    """The base of what is asked for after the question mark."""


class Page(Model, Generic[T]):
    """Some of many, in order. The next page begins after `next`."""

    items: list[T]
    next: str | None = Field(default=None, description="Give it as `after` to get the next page; null at the end.")


class Fault(Model):
    """One thing that is wrong with a request."""

    path: str = Field(description="Where, as in `$.input.lines[3]`, `query.state` or `path.id`.")
    message: str
    hint: str | None = None


class Problem(Model):
    """An RFC 9457 problem document."""

    type: str
    title: str
    status: int
    code: str = Field(description="The kind of problem. It never changes.")
    detail: str = Field(description="What is wrong, for people.")
    hint: str | None = Field(default=None, description="What to do about it.")
    errors: list[Fault] | None = Field(default=None, description="What is wrong with the parts of the request.")
    request_id: str | None = Field(default=None, description="What the log has it under.")


def row(model: type[T], values: Any) -> T:
    """A model from a row of ours, of which it takes what it has fields for. Nothing is checked: it is our own."""
    fields = model.model_fields  # type: ignore[attr-defined]
    found = values if isinstance(values, dict) else values._asdict()
    return model.model_construct(**{name: found[name] for name in fields if name in found})  # type: ignore[attr-defined,no-any-return]
