"""Triggers: what is started by an HTTP request or by an application event. The statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from pgflow.db.call import Call, Rows
from pgflow.engine.secrets import Stored
from pgflow.sealing import Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What is started when something happens outside.

    Attributes:
        name: its own.
        kind: `webhook` or `event`.
        start: what it starts: `name`, `queue`, `input`, ... The input may hold `${body.order}` and the like.
        path: of a webhook: where it listens, below `/hooks/`.
        event: the application event's name.
        filter: an expression; what it does not hold for starts nothing.
        settings: of a webhook: how it is signed, and what else `pgflow.sdk.registry.webhooks.Webhook` holds.
        paused_at: since when it starts nothing.
        paused_by: who paused it; `@code`: its source does not declare it any more.
        source: who keeps it up to date: `client`, `file`, or `code:` and a module.
        revision: one more at each change.
        created_at: when it was made.
        changed_at: when it was last changed.
        actor: who changed it.
    """

    name: str
    kind: str
    start: Mapping[str, Any]
    path: str | None = None
    event: str | None = None
    filter: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    paused_at: datetime | None = None
    paused_by: str | None = None
    source: str = "client"
    revision: int = 1
    created_at: datetime | None = None
    changed_at: datetime | None = None
    actor: str | None = None
    id: int | None = None


_COLUMNS = (
    "id", "name", "kind", "path", "event", "start", "filter", "settings", "paused_at", "paused_by", "source",
    "revision", "created_at", "changed_at", "actor",
)  # fmt: skip


def put(trigger: Trigger, *, create: bool = False, actor: str | None = None) -> Call[tuple[str, str | None]]:
    """Create or change a trigger. Returns `created`, `changed` or `unchanged`, and who else has its path: nothing was
    done then.

    Args:
        trigger: as it shall be.
        create: leave one of that name alone, if there is one.
        actor: who asks.
    """
    given = {
        "name": trigger.name,
        "kind": trigger.kind,
        "path": trigger.path,
        "event": trigger.event,
        "start": trigger.start,
        "filter": trigger.filter,
        "settings": trigger.settings,
        "source": trigger.source,
    }
    params = {"given": orjson.dumps(given).decode(), "create": create, "actor": actor}
    return Call("trigger/put", params, lambda rows: tuple(rows[0][0]))


def triggers(names: Sequence[str] | None = None, kind: str | None = None) -> Call[list[Trigger]]:
    """These triggers, or all of a kind, or all; by name."""
    params = {"names": None if names is None else list(names), "kind": kind}
    return Call("trigger/list", params, _triggers)


def at(path: str) -> Call[tuple[Trigger, list[Stored]] | None]:
    """The webhook trigger that listens at this path, below `/hooks/`, with what is stored of its secrets."""

    def parse(rows: Rows) -> tuple[Trigger, list[Stored]] | None:
        if not rows:
            return None
        *_, names, sealed, keys = rows[0]
        stored = zip(names or (), map(Sealed, sealed or (), keys or ()), strict=True)
        return _triggers([rows[0][:-3]])[0], [Stored(*one) for one in stored]

    return Call("trigger/find", {"path": path}, parse)


def lock(name: str) -> Call[int | None]:
    """Keep others from changing it until the transaction ends. Returns its revision; None: there is none."""
    return Call("trigger/lock", {"name": name}, lambda rows: int(rows[0][0]) if rows else None)


def pause(names: Sequence[str], *, actor: str | None = None) -> Call[list[str]]:
    """Let these start nothing more. Returns those that were not paused before."""
    return Call("trigger/pause", {"names": list(names), "actor": actor}, _names)


def resume(names: Sequence[str]) -> Call[list[str]]:
    """Let these start runs again. Returns those that were paused."""
    return Call("trigger/resume", {"names": list(names)}, _names)


def remove(names: Sequence[str]) -> Call[list[str]]:
    """Remove these. Returns those that there were."""
    return Call("trigger/remove", {"names": list(names)}, _names)


def rotate(name: str, secret: str, keep: int, *, actor: str | None = None) -> Call[list[str] | None]:
    """Check a webhook with this secret first, and with so many of those before. Returns all; None: no such webhook."""
    params = {"name": name, "secret": secret, "keep": keep, "actor": actor}
    return Call("trigger/rotate", params, lambda rows: list(rows[0][0]) if rows else None)


def _triggers(rows: Rows) -> list[Trigger]:
    return [Trigger(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _names(rows: Rows) -> list[str]:
    return [row[0] for row in rows]
