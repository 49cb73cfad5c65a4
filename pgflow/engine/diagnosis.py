"""What a diagnosis asks the database: the server, the roles, the leader, the workers, and what holds vacuum back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pgflow.db.call import Call


class Server(NamedTuple):
    """Who answered. `clock` is in seconds since the epoch, `frozen_age` in transactions."""

    version: str
    backend_pid: int
    database: str
    user: str
    started_at: datetime
    clock: float
    in_recovery: bool
    read_only: bool
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    autovacuum: bool
    track_counts: bool
    max_connections: int
    connections: int
    frozen_age: int


def server() -> Call[Server]:
    """The server and its settings."""
    return Call("doctor/server", {}, lambda rows: Server(*rows[0]))


def planner(names: Sequence[str]) -> Call[dict[str, str]]:
    """These settings, as they are in force on this connection."""
    asked = list(names)
    return Call("doctor/planner", {"names": asked}, lambda rows: {n: r[0] for n, r in zip(asked, rows, strict=True)})


def clock_offsets() -> Call[list[tuple[str, str]]]:
    """Whose engine clock is set off, and by how much."""
    return Call("doctor/clock_offset", {}, lambda rows: [(whose, value) for whose, value in rows])


class Role(NamedTuple):
    """One of the schema's roles. `held`: the current user has its rights."""

    name: str
    present: bool
    held: bool


def roles() -> Call[list[Role]]:
    """The owner's, the worker's and the reader's role."""
    return Call("doctor/roles", {}, lambda rows: [Role(*row) for row in rows])


class Rights(NamedTuple):
    """What the current user may do."""

    superuser: bool
    may_change: bool
    may_read: bool
    may_work: bool
    may_monitor: bool


def rights() -> Call[Rights | None]:
    """What the current user may do; None when there is no schema."""
    return Call("doctor/rights", {}, lambda rows: Rights(*map(bool, rows[0])) if rows else None)


class Leader(NamedTuple):
    """The last leader known. `silence` is in seconds; `locked`: somebody leads right now."""

    term: int
    host: str
    pid: int
    since: datetime
    silence: float
    locked: bool


def leader() -> Call[Leader | None]:
    """The leader; None when there has never been one."""
    return Call("doctor/leader", {}, lambda rows: Leader(*rows[0]) if rows else None)


class Crew(NamedTuple):
    """The workers, all together."""

    alive: int
    silent: int
    hosts: int
    unserved: list[str]
    """Queues with ready tasks that no living worker serves."""
    paused: list[str]


def crew() -> Call[Crew]:
    """The workers, and the queues they leave alone."""
    return Call("doctor/workers", {}, lambda rows: Crew(*rows[0]))


class Registered(NamedTuple):
    """What one living worker takes on."""

    queues: list[str]
    tasks: list[str]


def registered() -> Call[list[Registered]]:
    """The queues and tasks of every living worker."""
    return Call("doctor/registered", {}, lambda rows: [Registered(*row) for row in rows])


class Holder(NamedTuple):
    """Who keeps vacuum from clearing dead rows. Ages in seconds and in transactions."""

    kind: str
    pid: int | None
    who: str
    state: str | None
    seconds: float | None
    transactions: int | None
    what: str | None


def snapshots(limit: int = 3) -> Call[list[Holder]]:
    """Those who hold vacuum back, the oldest first."""
    return Call("doctor/snapshots", {"limit": limit}, lambda rows: [Holder(*row) for row in rows])


class Table(NamedTuple):
    """A table that churns; rows are the statistics collector's estimates."""

    name: str
    live: int
    dead: int
    bytes: int
    vacuumed_at: datetime | None
    autovacuum_off: bool


def tables() -> Call[list[Table]]:
    """The tables that churn."""
    return Call("doctor/tables", {}, lambda rows: [Table(*row) for row in rows])


class Supply(NamedTuple):
    """How far the partitions of history reach."""

    ids_ahead: int
    whole_ahead: int
    width: int
    broken: list[int]
    """First ids of registered partitions that lack a table."""


def supply() -> Call[Supply]:
    """The partitions that lie ahead."""
    return Call("doctor/partitions", {}, lambda rows: Supply(*rows[0]))


def channel(schema: str) -> str:
    """Where the doctor listens to itself."""
    return f"{schema}.doctor"


def listen() -> Call[None]:
    """Hear from now on what is sent to the doctor's channel."""
    return Call("doctor/listen", {}, lambda _: None)
