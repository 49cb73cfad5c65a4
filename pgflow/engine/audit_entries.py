"""The record of who changed what, which is only ever added to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import documents, numbers, optional_numbers
from pgflow.engine.enqueue import Request


@dataclass(frozen=True, slots=True)
class Entry:
    """What was done.

    Args:
        actor: by whom, as in `token:deploy` or `user:ann`.
        action: what, as in `run.cancel`.
        target: to what, as in `run:17`.
        before: what it was, as JSON text.
        after: what it is now, as JSON text.
        address: from where.
        request_id: of the request.
    """

    actor: str
    action: str
    target: str | None = None
    before: bytes | None = None
    after: bytes | None = None
    address: str | None = None
    request_id: str | None = None


class Written(NamedTuple):
    """An entry as it was written."""

    id: int
    at: datetime
    actor: str
    address: str | None
    request_id: str | None
    action: str
    target: str | None
    before: Any
    after: Any


def write(entry: Entry) -> Call[None]:
    """Write an entry: in the transaction that changes what it tells of."""
    params = {
        "actor": entry.actor, "address": entry.address, "request": entry.request_id, "action": entry.action,
        "target": entry.target, "before": entry.before and entry.before.decode(),
        "after": entry.after and entry.after.decode(),
    }  # fmt: skip
    return Call("audit_entry/write", params, lambda _: None)


def enqueue_told(asked: Sequence[tuple[Request, Entry]]) -> Call[list[int | None]]:
    """Write plain tasks (`enqueue.is_plain`), each with the entry about it, whose target it is. Returns their ids, None
    for each whose queue is limited: nothing was written of it."""
    specs = [request.spec for request, _ in asked]
    entries = [entry for _, entry in asked]
    params = {
        "names": [spec.name for spec in specs],
        "queues": [spec.queue for spec in specs],
        "priorities": numbers(spec.priority for spec in specs),
        "timeouts": optional_numbers(spec.timeout for spec in specs),
        "retries": documents(spec.retry for spec in specs),
        "inputs": documents(request.input for request, _ in asked),
        "actors": [entry.actor for entry in entries],
        "addresses": [entry.address for entry in entries],
        "requests": [entry.request_id for entry in entries],
        "afters": documents(entry.after or b"null" for entry in entries),
        "action": entries[0].action,
    }

    def parse(rows: Rows) -> list[int | None]:
        ids: list[int | None] = [None] * len(asked)
        for position, id, _ in rows:
            ids[position] = id
        return ids

    return Call("task/enqueue_audited", params, parse)


def entries(
    *, actor: str | None = None, target: str | None = None, action: str | None = None, before: int | None = None,
    limit: int = 100,
) -> Call[list[Written]]:  # fmt: skip
    """Entries, newest first."""
    params = {"actor": actor, "target": target, "action": action, "before": before, "limit": limit}
    return Call("audit_entry/list", params, lambda rows: [Written(*row) for row in rows], literal=True)
