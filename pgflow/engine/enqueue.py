"""The verb enqueue: what is asked for, as values, and the one statement that writes a batch of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import orjson

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import documents, numbers, optional_numbers
from pgflow.errors import IdempotencyConflict
from pgflow.model import Priority

MAX_ROWS = 2_000
MAX_BYTES = 8 * 1024 * 1024
BULKY = 16 * 1024
"""Inputs of more bytes do not travel with a claim's batch."""


class Spec(NamedTuple):
    """What tasks of one kind have in common, sent once a batch."""

    name: str
    queue: str = "default"
    priority: int = Priority.NORMAL
    timeout: float | None = None
    """Seconds an attempt may take."""
    retry: bytes = b"null"
    """A retry policy of its own, as JSON."""
    hold: float | None = None
    """Seconds a key stays taken; None: until its task has an outcome."""


@dataclass(slots=True)
class Request:
    """One task that is asked for."""

    spec: Spec
    input: bytes
    """The arguments as a JSON object."""
    key: str | None = None
    delay: float | None = None
    """Seconds."""
    due: datetime | None = None
    tags: bytes | None = None
    slot: str | None = None
    """Whose share of a limited queue it takes."""
    supersede: bool = False
    """It takes its key's place: the holder is skipped if it has not started."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What a batch became.

    Args:
        ids: the tasks' ids, in the order asked; that of the holder where a key was taken.
        existing: positions of those whose key was taken.
    """

    ids: list[int]
    existing: frozenset[int]


def batches(requests: Sequence[Request]) -> list[Sequence[Request]]:
    """Split into statements bounded in rows and in bytes."""
    if len(requests) <= MAX_ROWS and sum(len(r.input) for r in requests) <= MAX_BYTES:
        return [requests]
    parts: list[Sequence[Request]] = []
    start = size = 0
    for position, request in enumerate(requests):
        size += len(request.input)
        if position - start >= MAX_ROWS or (size > MAX_BYTES and position > start):
            parts.append(requests[start:position])
            start, size = position, len(request.input)
    parts.append(requests[start:])
    return parts


def _common(
    requests: Sequence[Request], actor: str | None, trace: str | None, own_transaction: bool, wake: bool
) -> dict[str, object]:
    specs: dict[Spec, int] = {}
    numbered = [specs.setdefault(request.spec, len(specs) + 1) for request in requests]
    queues = [spec.queue for spec in specs]
    return {
        "names": [spec.name for spec in specs],
        "queues": queues,
        "priorities": numbers(spec.priority for spec in specs),
        "timeouts": optional_numbers(spec.timeout for spec in specs),
        "retries": documents(spec.retry for spec in specs),
        "specs": numbers(numbered),
        "inputs": documents([request.input for request in requests]),
        "actor": actor,
        "trace": trace,
        "wake": list(dict.fromkeys(queues)) if wake else None,
        "consume": own_transaction,
    }


def is_plain(request: Request) -> bool:
    """Whether `enqueue_plain` will do: due at once, and nothing but its arguments is its own."""
    return (
        request.key is None
        and request.delay is None
        and request.due is None
        and request.tags is None
        and request.slot is None
        and len(request.input) <= BULKY
    )


def enqueue_plain(
    requests: Sequence[Request], *, actor: str | None = None, trace: str | None = None, own_transaction: bool = True,
    wake: bool = True,
) -> Call[Enqueued | None]:  # fmt: skip
    """Write these plain tasks more quickly than `enqueue` would; None when a queue is limited: use `enqueue` then."""

    def parse(rows: Rows) -> Enqueued | None:
        return None if rows[0][0] is None else Enqueued(rows[0][0], frozenset())

    return Call("task/enqueue_plain", _common(requests, actor, trace, own_transaction, wake), parse)


def enqueue(
    requests: Sequence[Request], *, actor: str | None = None, trace: str | None = None, own_transaction: bool = True,
    wake: bool = True,
) -> Call[Enqueued]:  # fmt: skip
    """Write these tasks; more than `MAX_ROWS` belong into several calls (see `batches`).

    Args:
        requests: what is asked for.
        actor: who asks, for the audit.
        trace: the asker's W3C traceparent.
        own_transaction: False inside a caller's transaction, whose locks may be held for long.
        wake: False leaves idle workers to their safety poll.
    """
    keyed = any(request.key is not None for request in requests)
    hashes = [_hash(request) for request in requests] if keyed else None
    delayed = any(request.delay is not None for request in requests)
    dated = any(request.due is not None for request in requests)
    bulky = any(len(request.input) > BULKY for request in requests)
    slotted = any(request.slot is not None for request in requests)
    tagged = any(request.tags is not None for request in requests)
    params = {
        **_common(requests, actor, trace, own_transaction, wake),
        "holds": optional_numbers(spec.hold for spec in dict.fromkeys(request.spec for request in requests)),
        "delays": optional_numbers(request.delay for request in requests) if delayed else None,
        "dues": [request.due for request in requests] if dated else None,
        "keys": [request.key for request in requests] if keyed else None,
        "hashes": hashes,
        "sizes": optional_numbers(_size(request) for request in requests) if bulky else None,
        "slots": [request.slot for request in requests] if slotted else None,
        "tags": documents(request.tags or b"null" for request in requests) if tagged else "[]",
    }

    def parse(rows: Rows) -> Enqueued:
        ids, scopes, keys, holders, held_hashes = rows[0][:5]
        if keys is None:
            return Enqueued(ids, frozenset())
        holder_of = dict(zip(zip(scopes, keys, strict=True), zip(holders, held_hashes, strict=True), strict=True))
        existing = set()
        for position, request in enumerate(requests):
            if request.key is None:
                continue
            holder, held_hash = holder_of[request.spec.name, request.key]
            if hashes is not None and held_hash != hashes[position]:
                raise IdempotencyConflict(request.key, holder)
            if holder != ids[position]:
                ids[position] = holder
                existing.add(position)
        return Enqueued(ids, frozenset(existing))

    return Call("task/enqueue", params, parse)


def supersede(requests: Sequence[Request], *, actor: str | None = None) -> Call[int]:
    """Free the keys of requests that supersede; before `enqueue`, in one transaction. Returns how many were skipped."""
    keyed = [request for request in requests if request.supersede and request.key is not None]
    params = {
        "scopes": [request.spec.name for request in keyed],
        "keys": [request.key for request in keyed],
        "actor": actor,
    }
    return Call("task/supersede", params, lambda rows: int(rows[0][0]))


def _size(request: Request) -> int | None:
    return len(request.input) if len(request.input) > BULKY else None


def _hash(request: Request) -> bytes | None:
    """A hash of what is asked, blind to the order of keys."""
    if request.key is None:
        return None
    canonical = orjson.dumps(orjson.loads(request.input), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).digest()
