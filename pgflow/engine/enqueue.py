"""The verb enqueue: what is asked for, as values, and the statements that write a batch of it or one plain task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import documents, numbers, optional_numbers
from pgflow.errors import IdempotencyConflict
from pgflow.model import Priority

MAX_ROWS = 1_000
MAX_BYTES = 8 * 1024 * 1024
BULKY = 16 * 1024
"""Inputs of more bytes do not travel with a claim's batch."""
ANY = b""
"""Stands for the hash of a request whose arguments do not count."""


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
    throttle: bool = False
    """Its key's holder is its answer, whatever the arguments of the two."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What a batch became.

    Args:
        ids: the tasks' ids, in the order asked; that of the holder where a key was taken.
        existing: positions of those whose key was taken.
    """

    ids: list[int]
    existing: frozenset[int]


def batches(requests: Iterable[Request]) -> Iterator[list[Request]]:
    """Cut into statements bounded in rows and in bytes, each as soon as its requests are there."""
    part: list[Request] = []
    size = 0
    for request in requests:
        size += len(request.input)
        if len(part) >= MAX_ROWS or (size > MAX_BYTES and part):
            yield part
            part, size = [], len(request.input)
        part.append(request)
    if part:
        yield part


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
    request: Request, *, actor: str | None = None, trace: str | None = None, own_transaction: bool = True,
    wake: bool = True,
) -> Call[int | None]:  # fmt: skip
    """Write one plain task, at half the cost of `enqueue`. Returns its id, or None when its queue is limited: nothing
    was written then, and it is for `enqueue`."""
    spec = request.spec
    params = {
        "name": spec.name,
        "queue": spec.queue,
        "priority": spec.priority,
        "timeout": spec.timeout,
        "retry": None if spec.retry == b"null" else spec.retry.decode(),
        "input": request.input.decode(),
        "actor": actor,
        "trace": trace,
        "wake": wake,
        "consume": own_transaction,
    }
    return Call("task/enqueue_plain", params, lambda rows: rows[0][0] if rows else None)


def enqueue(
    requests: Sequence[Request], *, actor: str | None = None, trace: str | None = None, own_transaction: bool = True,
    wake: bool = True,
) -> Call[Enqueued]:  # fmt: skip
    """Write these tasks; more than `MAX_ROWS` belong into several calls (see `batches`).

    Args:
        requests: what is asked for.
        actor: who asks, for the audit.
        trace: the asker's W3C traceparent.
        own_transaction: False inside a transaction that may be long: it then holds on to no idle worker's row, and
            leaves limited queues to the leader.
        wake: False leaves idle workers to their safety poll.
    """
    specs: dict[Spec, int] = {}
    numbered = [specs.setdefault(request.spec, len(specs) + 1) for request in requests]
    queues = [spec.queue for spec in specs]
    keys = [request.key for request in requests]
    keyed = keys.count(None) < len(keys)
    anything = [ANY if request.throttle else None for request in requests]
    delays = [request.delay for request in requests]
    dues = [request.due for request in requests]
    sizes = [len(request.input) if len(request.input) > BULKY else None for request in requests]
    slots = [request.slot for request in requests]
    tags = [request.tags for request in requests]
    params = {
        "names": [spec.name for spec in specs],
        "queues": queues,
        "priorities": numbers(spec.priority for spec in specs),
        "timeouts": optional_numbers(spec.timeout for spec in specs),
        "retries": documents(spec.retry for spec in specs),
        "holds": optional_numbers(spec.hold for spec in specs),
        "specs": numbers(numbered),
        "inputs": documents([request.input for request in requests]),
        # What no task of the batch has, which is the rule, does not travel.
        "delays": optional_numbers(delays) if delays.count(None) < len(delays) else None,
        "dues": dues if dues.count(None) < len(dues) else None,
        "keys": keys if keyed else None,
        "hashes": anything if any(request.throttle for request in requests) else None,
        "sizes": optional_numbers(sizes) if sizes.count(None) < len(sizes) else None,
        "slots": slots if slots.count(None) < len(slots) else None,
        "tags": documents(tag or b"null" for tag in tags) if tags.count(None) < len(tags) else "[]",
        "actor": actor,
        "trace": trace,
        "wake": list(dict.fromkeys(queues)) if wake else None,
        "consume": own_transaction,
    }
    scoped = [(request.spec.name, request.key) for request in requests] if keyed else None

    def parse(rows: Rows) -> Enqueued:
        ids, scopes, keys, holders, held_hashes, hashes = rows[0][:6]
        if scoped is None:
            return Enqueued(ids or [], frozenset())
        holder_of = dict(zip(zip(scopes, keys, strict=True), zip(holders, held_hashes, strict=True), strict=True))
        existing = set()
        asked_hashes = iter(hashes)
        for position, (name, key) in enumerate(scoped):
            if key is None:
                continue
            holder, held_hash = holder_of[name, key]
            asked_hash = next(asked_hashes)
            if held_hash != asked_hash and ANY not in {held_hash, asked_hash}:
                raise IdempotencyConflict(key, holder, position)
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
