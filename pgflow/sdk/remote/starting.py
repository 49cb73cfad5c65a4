"""The verbs that start something. Each sends a key, so that it can be asked for again when no answer came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import uuid4

import orjson

from pgflow.codec import encode
from pgflow.engine.enqueue import Request
from pgflow.errors import ArgumentError
from pgflow.model import Priority
from pgflow.sdk.event_verbs import EventKey
from pgflow.sdk.remote.exchange import Answer, Ask, Exchange
from pgflow.sdk.verbs import Handle

HELD = 3600
"""Seconds for which a generated key is held: longer than anybody goes on asking."""
MOST = 200
"""Tasks of one request."""


def document(request: Request) -> dict[str, Any]:
    """A request as the API takes it, with a key.

    Raises:
        ArgumentError: it has an option that the API does not know.
    """
    spec = request.spec
    if request.supersede or request.throttle:
        raise _unknown(spec.name, "throttle" if request.throttle else "debounce")
    if spec.retry != b"null":
        raise _unknown(spec.name, "retry")
    own = request.key is None
    return _without_none(
        {
            "name": spec.name,
            "input": orjson.loads(request.input),
            "queue": spec.queue,
            "priority": Priority(spec.priority).name.lower(),
            "timeout": spec.timeout,
            "key": f"remote-{uuid4().hex}" if own else request.key,
            "hold": HELD if own else spec.hold,
            "delay": request.delay,
            "at": request.due,
            "tags": None if request.tags is None else orjson.loads(request.tags),
            "slot": request.slot,
        }
    )


def named(
    name: str, input: Mapping[str, Any] | None, key: str | None, queue: str | None, priority: str | None,
    delay: float | str | None, at: datetime | None, tags: Mapping[str, str] | None,
) -> dict[str, Any]:  # fmt: skip
    """A request for what is known by its name only."""
    return _without_none(
        {
            "name": name, "input": orjson.loads(encode(dict(input or {}))), "queue": queue, "priority": priority,
            "key": key or f"remote-{uuid4().hex}", "hold": None if key else HELD, "delay": delay, "at": at,
            "tags": None if tags is None else dict(tags),
        }
    )  # fmt: skip


def start(asked: dict[str, Any]) -> Exchange[Handle[Any]]:
    """Start one."""
    key = asked["key"]
    headers = {}
    if key.isascii() and key.isprintable() and key == key.strip():
        headers["Idempotency-Key"] = asked.pop("key")
    answer: Answer = yield Ask("POST", "/runs", body=asked, headers=headers, repeatable=True, key=key)
    return _handle(answer.json())


def start_many(requests: Iterable[Request]) -> Exchange[list[Handle[Any]]]:
    """Start many, so many at once."""
    documents = iter([document(request) for request in requests])
    handles: list[Handle[Any]] = []
    while part := list(islice(documents, MOST)):
        answer: Answer = yield Ask("POST", "/tasks", body={"items": part}, repeatable=True)
        handles += map(_handle, answer.json()["items"])
    return handles


def emit(name: str, payload: Any, key: EventKey | None, id: str | None) -> Exchange[Handle[Any]]:
    """Emit an event, with an id of its own."""
    given = id or f"remote-{uuid4().hex}"
    body = {
        "name": name,
        "payload": orjson.loads(encode(payload)),
        "key": None if key is None else str(key),
        "id": given,
    }
    answer: Answer = yield Ask("POST", "/events", body=body, repeatable=True, key=given)
    return _handle(answer.json())


def again(run: int, how: str, asked: Mapping[str, Any]) -> Exchange[Handle[Any]]:
    """Run it again, or from a step."""
    answer: Answer = yield Ask("POST", f"/runs/{run}/{how}", body=_without_none(asked))
    return _handle(answer.json())


def _handle(found: Mapping[str, Any]) -> Handle[Any]:
    return Handle(int(found["id"]), found["existed"])


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _unknown(name: str, option: str) -> ArgumentError:
    return ArgumentError(f"{name}: the API does not take {option}", hint="start it with Client, beside the database")
