"""The verbs that start something. Each sends a key, so that it can be asked for again when no answer came.

Not so where the key may be free again by then: one of the caller's own that is held until its run has ended, or not for
long. Asking again could then start a second run, so it is the caller's to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson

from pgflow import duration
from pgflow.backoff import RetryPolicy
from pgflow.codec import encode
from pgflow.engine.enqueue import Request
from pgflow.model import Priority
from pgflow.sdk.event_verbs import EventKey
from pgflow.sdk.remote.documents import plain
from pgflow.sdk.remote.exchange import Answer, Ask, Exchange
from pgflow.sdk.task import Duration
from pgflow.sdk.verbs import Handle

HELD = 3600
"""Seconds for which a generated key is held."""
LONGEST = 600
"""Seconds: longer than anybody goes on asking. With a key that is free again before, that could start a second run."""
MOST = 1000
"""Tasks of one request."""
MOST_BYTES = 512 * 1024
"""Of their arguments, about: half of what the API takes unless it is told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How something is started that is known by its name only; None: as it is its own."""

    key: str | None = None
    queue: str | None = None
    priority: str | None = None
    delay: Duration | None = None
    at: datetime | None = None
    tags: Mapping[str, str] | None = None
    hold: Duration | None = None
    debounce: Duration | None = None
    throttle: Duration | None = None
    timeout: Duration | None = None
    retry: RetryPolicy | None = None
    slot: str | None = None


def document(request: Request) -> dict[str, Any]:
    """A request as the API takes it, with a key."""
    spec = request.spec
    own = request.key is None
    hold = HELD if own else None if request.throttle else spec.hold
    return plain(
        {
            "name": spec.name,
            "input": orjson.loads(request.input),
            "queue": spec.queue,
            "priority": Priority(spec.priority).name.lower(),
            "timeout": spec.timeout,
            "retry": orjson.loads(spec.retry),
            "key": _own_key() if own else request.key,
            "hold": hold,
            "debounce": request.delay if request.supersede else None,
            "throttle": spec.hold if request.throttle else None,
            "delay": None if request.supersede else request.delay,
            "at": request.due,
            "tags": None if request.tags is None else orjson.loads(request.tags),
            "slot": request.slot,
        }
    )


def named(name: str, input: Mapping[str, Any] | None, options: Options) -> dict[str, Any]:
    """A request for what is known by its name only."""
    given = {one.name: getattr(options, one.name) for one in fields(options)}
    for word in ("delay", "hold", "debounce", "throttle", "timeout"):
        if given[word] is not None:
            given[word] = duration.parse(given[word])
    given["retry"] = None if options.retry is None else options.retry.to_json()
    if options.key is None and options.debounce is None and options.throttle is None:
        given |= {"key": _own_key(), "hold": HELD}
    return plain({"name": name, "input": dict(input or {}), **given})


def _own_key() -> str:
    return f"remote-{uuid4().hex}"


def _repeatable(asked: Mapping[str, Any]) -> bool:
    """Whether asking again cannot start a second: its key is held for longer than anybody goes on asking."""
    held: float = max(asked.get("hold", 0), asked.get("throttle", 0))
    return held >= LONGEST and "debounce" not in asked


def start(asked: dict[str, Any]) -> Exchange[Handle[Any]]:
    """Start one."""
    key, repeatable = asked.get("key"), _repeatable(asked)
    headers = {}
    if key is not None and key.isascii() and key.isprintable() and key == key.strip():
        headers["Idempotency-Key"] = asked.pop("key")
    answer: Answer = yield Ask("POST", "/runs", body=asked, headers=headers, repeatable=repeatable, key=key)
    return _handle(answer.json())


def start_many(requests: Iterable[Request], wake: bool) -> Exchange[list[Handle[Any]]]:
    """Start many, so many at once."""
    handles: list[Handle[Any]] = []
    for part in _parts(list(requests)):
        items = [document(request) for request in part]
        repeatable = all(map(_repeatable, items))
        answer: Answer = yield Ask("POST", "/tasks", body={"items": items, "wake": wake}, repeatable=repeatable)
        handles += map(_handle, answer.json()["items"])
    return handles


def _parts(requests: Sequence[Request]) -> Iterator[list[Request]]:
    part: list[Request] = []
    size = 0
    for request in requests:
        size += len(request.input)
        if part and (len(part) == MOST or size > MOST_BYTES):
            yield part
            part, size = [], len(request.input)
        part.append(request)
    if part:
        yield part


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
    answer: Answer = yield Ask("POST", f"/runs/{run}/{how}", body=plain(asked))
    return _handle(answer.json())


def _handle(found: Mapping[str, Any]) -> Handle[Any]:
    return Handle(int(found["id"]), found["existed"])
