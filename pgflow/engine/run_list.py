"""Runs, listed: page by page, each of which costs the same whatever is asked for.

There is no index for every combination of filters, and none is needed. Each list follows one index in its order (by
key, by name, by state, by when they ended, or all runs), looks at the next so many there (the window) and keeps those
that fit. A page may so hold fewer than asked for, even none, and still have one after it.

Nothing is counted and nothing skipped over: a page begins where the one before ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from pgflow.db.call import Call, Rows
from pgflow.engine.inspection import Row, rows_of
from pgflow.engine.runs import MAX_ID
from pgflow.model import FINAL_STATES, State

WINDOW = 1000
"""How many candidates a page looks at."""
STEPS = 400
"""The window where each candidate is looked up in more than one place."""
_COLUMNS = (
    "id", "name", "queue", "priority", "state", "attempt", "crashes", "key", "tags", "actor", "created_at", "due_at",
    "claimed_at", "finished_at", "edge",
)  # fmt: skip
_EVER = datetime(9999, 1, 1, tzinfo=UTC)
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs; None: whichever.

    Args:
        workflow: of this name.
        state: in this state.
        queue: of this queue.
        key: started with this key.
        tags: with all of these.
        since: asked for then or later; of finished ones: ended.
        until: asked for before then; of finished ones: ended.
        names: only those of names like one of these, or of queues like one of `queues`.
        queues: see `names`.
    """

    workflow: str | None = None
    state: State | None = None
    queue: str | None = None
    key: str | None = None
    tags: Mapping[str, str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    names: Sequence[str] | None = None
    queues: Sequence[str] | None = None


class Position(NamedTuple):
    """Where a page ended.

    Args:
        id: of the last run that was looked at.
        at: when it ended, in the order of ends.
    """

    id: int = MAX_ID
    at: datetime | None = None


class Bounds(NamedTuple):
    """Between which ids a span of time lies."""

    lowest: int
    highest: int


class Listing(NamedTuple):
    """A page.

    Args:
        runs: those that fit.
        next: where to go on; None: there is nothing more.
    """

    runs: list[Row]
    next: Position | None


def bounds(wanted: Wanted) -> Call[Bounds]:
    """Where the ids of the wanted span of time lie, about."""
    return Call(
        "run/id_at", {"since": wanted.since, "until": wanted.until},
        lambda rows: Bounds(rows[0][0] or 0, MAX_ID if rows[0][1] is None else rows[0][1]),
    )  # fmt: skip


def newest(wanted: Wanted, position: Position, within: Bounds, limit: int) -> Call[Listing]:
    """The newest first."""
    name, window = _followed(wanted)
    params = _params(wanted, limit) | {
        "before": min(position.id, within.highest), "lowest": within.lowest, "window": window,
    }  # fmt: skip
    return Call(name, params, lambda rows: _listing(rows, limit))


def _followed(wanted: Wanted) -> tuple[str, int]:
    """What goes along the index that leads there soonest, and how far it looks."""
    if wanted.key is not None:
        return "run/list_keyed", WINDOW if wanted.state is None else STEPS
    if wanted.state is not None and wanted.state is not State.COMPLETED:
        return "run/list_ended" if wanted.state in FINAL_STATES else "run/list_standing", WINDOW
    if wanted.workflow is not None:
        return "run/list_named", WINDOW if wanted.state is None else STEPS
    return "run/list_newest", STEPS


def last_finished(wanted: Wanted, position: Position, limit: int) -> Call[Listing]:
    """Those that have ended, the last first."""
    params = _params(wanted, limit) | {
        "before": position.id, "ended": position.at or wanted.until or _EVER, "since": wanted.since or _NEVER,
        "window": WINDOW, "state": wanted.state if wanted.state in FINAL_STATES else None,
    }  # fmt: skip
    if position.at is None and wanted.until is not None:
        params["before"] = 0  # what ended in that very instant does not belong to it
    return Call("run/list_finished", params, lambda rows: _listing(rows, limit, by_end=True))


def _params(wanted: Wanted, limit: int) -> dict[str, object]:
    return {
        "workflow": wanted.workflow,
        "state": wanted.state,
        "queue": wanted.queue,
        "key": wanted.key,
        "tags": orjson.dumps(dict(wanted.tags)).decode() if wanted.tags else None,
        "since": wanted.since,
        "until": wanted.until,
        "names": None if wanted.names is None else list(wanted.names),
        "queues": None if wanted.queues is None else list(wanted.queues),
        "limit": limit,
    }


def _listing(rows: Rows, limit: int, *, by_end: bool = False) -> Listing:
    *found, (*rest, edge) = rows
    runs = rows_of(_COLUMNS[:-1], [row[:-1] for row in found])
    if len(runs) == limit:
        return Listing(runs, Position(runs[-1]["id"], runs[-1]["finished_at"] if by_end else None))
    if edge is None:
        return Listing(runs, None)
    return Listing(runs, Position(edge, rest[13] if by_end else None))
