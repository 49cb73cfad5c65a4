"""Changes to many runs: which fit a filter, and what a bulk has changed. The statements.

What fits is asked page by page, in the order of ids, between two positions. The upper one is fixed when somebody looks
for the first time, so that what comes later is never touched by what was confirmed before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import numbers
from pgflow.engine.control import Located


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which tasks, or runs.

    Attributes:
        runs: only runs.
        states: in one of these states.
        upto: with at most this id.
        name: of this name.
        queue: of this queue.
        tags: with all of these tags.
        since: asked for from then on.
        until: asked for before then.
        ids: only these.
        paused: only runs that are paused, or are not.
        names: only of runs whose name is like one of these patterns, or
        queues: whose queue is like one of these; None: all.
    """

    runs: bool
    states: Sequence[str]
    upto: int
    name: str | None = None
    queue: str | None = None
    tags: Mapping[str, str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: Sequence[int] | None = None
    paused: bool | None = None
    names: Sequence[str] | None = None
    queues: Sequence[str] | None = None

    def params(self, after: int) -> dict[str, Any]:
        """What the statements name."""
        return {
            "runs": self.runs, "states": list(self.states), "after": after, "upto": self.upto, "name": self.name,
            "queue": self.queue, "tags": None if not self.tags else orjson.dumps(dict(self.tags)).decode(),
            "since": self.since, "until": self.until, "ids": None if self.ids is None else list(self.ids),
            "paused": self.paused, "names": None if self.names is None else list(self.names),
            "queues": list(self.queues or ()),
        }  # fmt: skip


class Found(NamedTuple):
    """Something that fits."""

    id: int
    root_id: int
    name: str
    queue: str
    state: str
    created_at: datetime


def match(which: Filter, after: int, limit: int) -> Call[list[Found]]:
    """The first ones that fit, past an id."""
    params = {**which.params(after), "limit": limit}
    return Call("bulk/match", params, lambda rows: [Found(*row) for row in rows], literal=True)


def count(which: Filter) -> Call[int]:
    """How many fit."""
    return Call("bulk/count", which.params(0), lambda rows: int(rows[0][0]), literal=True)


class Page(NamedTuple):
    """What a step has changed.

    Args:
        id: where it stands among the others.
        data: what the step gave.
    """

    id: int
    data: Any


def changed(run: int, key: str, after: int, limit: int) -> Call[list[Page]]:
    """What the steps of a bulk have changed, past a position.

    Args:
        run: the bulk.
        key: a pattern of what its steps are recorded under.
        after: the `id` of the last one seen.
        limit: how many.
    """
    params = {"run": run, "key": key, "after": after, "limit": limit}

    def parse(rows: Rows) -> list[Page]:
        return [Page(*row) for row in rows]

    return Call("bulk/changed", params, parse)


def cancelled(runs: Sequence[int], since: datetime) -> Call[list[Located]]:
    """What was cancelled in these runs since an instant."""
    params = {"runs": numbers(runs), "since": since}
    return Call("bulk/cancelled", params, lambda rows: [Located(task, root, True) for task, root in rows])
