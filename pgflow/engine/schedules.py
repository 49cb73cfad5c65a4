"""Schedules: what the clock starts. The statements; when they fire is decided by `pgflow.cron` and the leader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import documents, numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What is started when.

    Attributes:
        name: its own.
        start: what it starts: `name`, `queue`, `input`, ... The input may hold `${trigger.fire_date}` and the like.
        cron: five or six fields, or `@daily`.
        every: seconds, in the place of `cron`.
        at: one instant, in the place of `cron`.
        timezone: in which `cron` is read.
        starts_at: it fires from then on; intervals are counted from there.
        ends_at: it fires before then.
        jitter: seconds that a run may start later than its instant.
        overlap: what becomes of an instant while the run before it goes on: `allow` (starts too), `skip`, `queue`
            (starts when that one has ended) or `cancel` (that one is cancelled).
        catch_up: how many instants that were missed are made up for, the latest: 0 is none.
        next_at: no instant before it is left; None: none at all.
        paused_at: since when it fires no more.
        paused_by: who paused it; `@code`: its code does not declare it any more.
        source: who keeps it up to date: `client`, `file`, or `code:` and a module.
        revision: one more at each change.
        created_at: when it was made.
        changed_at: when it was last changed.
        actor: who changed it.
        last_at: the instant that last started a run.
        last_run: that run.
    """

    name: str
    start: Mapping[str, Any]
    cron: str | None = None
    every: float | None = None
    at: datetime | None = None
    timezone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    jitter: float = 0.0
    overlap: str = "allow"
    catch_up: int = 1
    next_at: datetime | None = None
    paused_at: datetime | None = None
    paused_by: str | None = None
    source: str = "client"
    revision: int = 1
    created_at: datetime | None = None
    changed_at: datetime | None = None
    actor: str | None = None
    last_at: datetime | None = None
    last_run: int | None = None
    id: int | None = None
    now: datetime | None = None
    """The database's clock when it was read."""


_COLUMNS = (
    "id", "name", "start", "cron", "every", "at", "timezone", "starts_at", "ends_at", "jitter", "overlap", "catch_up",
    "next_at", "paused_at", "paused_by", "source", "revision", "created_at", "changed_at", "actor", "last_at",
    "last_run", "now",
)  # fmt: skip


def put(schedule: Schedule, *, create: bool = False, actor: str | None = None) -> Call[str]:
    """Create or change a schedule. Returns `created`, `changed` or `unchanged`.

    Args:
        schedule: as it shall be.
        create: leave one of that name alone, if there is one.
        actor: who asks.
    """
    params = {
        "name": schedule.name,
        "start": orjson.dumps(schedule.start).decode(),
        "cron": schedule.cron,
        "every": schedule.every,
        "at": schedule.at,
        "timezone": schedule.timezone,
        "starts_at": schedule.starts_at,
        "ends_at": schedule.ends_at,
        "jitter": schedule.jitter,
        "overlap": schedule.overlap,
        "catch_up": schedule.catch_up,
        "source": schedule.source,
        "create": create,
        "actor": actor,
    }
    return Call("schedule/put", params, lambda rows: str(rows[0][0]))


def schedules(names: Sequence[str] | None = None) -> Call[list[Schedule]]:
    """These schedules, or all, by name."""

    def parse(rows: Rows) -> list[Schedule]:
        return [Schedule(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    return Call("schedule/list", {"names": None if names is None else list(names)}, parse)


def lock(name: str) -> Call[int | None]:
    """Keep others from changing it until the transaction ends. Returns its revision; None: there is none."""
    return Call("schedule/lock", {"name": name}, lambda rows: int(rows[0][0]) if rows else None)


def pause(names: Sequence[str], *, actor: str | None = None) -> Call[list[str]]:
    """Let these fire no more. Returns those that were not paused before."""
    return Call("schedule/pause", {"names": list(names), "actor": actor}, _names)


def resume(names: Sequence[str]) -> Call[list[str]]:
    """Let these fire again, from now on. Returns those that were paused."""
    return Call("schedule/resume", {"names": list(names)}, _names)


def remove(names: Sequence[str]) -> Call[list[str]]:
    """Remove these. Returns those that there were."""
    return Call("schedule/remove", {"names": list(names)}, _names)


def retire(sources: Sequence[str], names: Sequence[str]) -> Call[list[str]]:
    """Pause the schedules of these sources, but for these names. Returns those paused."""
    return Call("schedule/retire", {"sources": list(sources), "names": list(names)}, _names)


def _names(rows: Rows) -> list[str]:
    return [row[0] for row in rows]


class Firing(NamedTuple):
    """What became of one nominal instant.

    Args:
        fire_at: the instant.
        kind: `scheduled`, `manual` or `backfill`.
        state: `started`, `pending` (waits for the run before it), `skipped` or `missed`.
        run: the run it started.
        at: when that was decided.
        outcome: the state of the run: `active` until it has ended.
    """

    fire_at: datetime
    kind: str
    state: str
    run: int | None
    at: datetime
    outcome: str | None


def firings(name: str, limit: int = 20, before: datetime | None = None) -> Call[list[Firing]]:
    """The newest instants of a schedule."""
    params = {"name": name, "limit": limit, "before": before}
    return Call("schedule/firings", params, lambda rows: [Firing(*row) for row in rows])


def fill(
    name: str, instants: Sequence[tuple[datetime, Any]], kind: str, *, more: Mapping[str, Any] | None = None,
    actor: str | None = None,
) -> Call[list[tuple[int, datetime]]]:  # fmt: skip
    """Start the runs of these (instant, input) that were never decided. Returns (run, instant) of those started.

    Args:
        name: the schedule.
        instants: when, with what the run is given.
        kind: `manual` or `backfill`.
        more: what differs from the schedule's `start`.
        actor: who asks.
    """
    params = {
        "name": name,
        "fire_ats": [instant for instant, _ in instants],
        "inputs": documents(orjson.dumps(input) for _, input in instants),
        "kind": kind,
        "more": orjson.dumps(more or {}).decode(),
        "actor": actor,
    }
    return Call("schedule/fill", params, lambda rows: [(row[0], row[1]) for row in rows])


class Due(NamedTuple):
    """A schedule that the leader must look at."""

    id: int
    revision: int
    name: str
    input: Any
    cron: str | None
    every: float | None
    at: datetime | None
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    created_at: datetime
    looked_at: datetime
    overlap: str
    catch_up: int
    now: datetime


def due(limit: int) -> Call[list[Due]]:
    """Up to `limit` schedules that may have an instant by now."""
    return Call("schedule/due", {"limit": limit}, lambda rows: [Due(*row) for row in rows])


class Decision(NamedTuple):
    """What the leader makes of a schedule it looked at.

    Args:
        due: as it was looked at.
        next_at: where it goes on; None: never.
        instants: those that count now, with what their runs are given.
        missed: those that are not made up for.
    """

    due: Due
    next_at: datetime | None
    instants: Sequence[tuple[datetime, Any]]
    missed: Sequence[datetime]


def fire(decisions: Sequence[Decision]) -> Call[list[tuple[int, datetime, str, int | None]]]:
    """Write these decisions, each once whoever else does. Returns (schedule id, instant, state, run) of what was."""
    instants = [
        (one.due.id, at, input, missed)
        for one in decisions
        for at, input, missed in [
            *((at, None, True) for at in one.missed),
            *((at, input, False) for at, input in one.instants),
        ]
    ]
    params = {
        "ids": numbers(one.due.id for one in decisions),
        "revisions": numbers(one.due.revision for one in decisions),
        "looked_at": [one.due.looked_at for one in decisions],
        "nexts": [one.next_at for one in decisions],
        "schedules": numbers(instant[0] for instant in instants),
        "fire_ats": [instant[1] for instant in instants],
        "inputs": documents(orjson.dumps(instant[2]) for instant in instants),
        "missed": [instant[3] for instant in instants],
    }
    return Call("schedule/fire", params, lambda rows: [(row[0], row[1], row[2], row[3]) for row in rows])


def review() -> Call[None]:
    """Have the leader look at every schedule anew."""
    return Call("schedule/review", {}, lambda _: None)


def release() -> Call[int]:
    """Start what waits for a run that has ended. Returns how many."""
    return Call("schedule/release", {}, lambda rows: int(rows[0][0]) if rows else 0)


def active(ids: Sequence[int]) -> Call[list[int]]:
    """The runs of these schedules that have not ended."""
    return Call("schedule/active", {"ids": numbers(ids)}, lambda rows: [row[0] for row in rows])
