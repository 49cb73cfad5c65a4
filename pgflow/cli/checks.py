"""What the doctor thinks of what it found. Pure, so that every verdict is a fast test.

`fail` is what loses work, stops it, or will; `warn` is what somebody should know of. Both say what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pgflow import duration
from pgflow.db.connect import PLANNER
from pgflow.db.migrations import MINIMUM_SERVER, Plan
from pgflow.engine.diagnosis import Crew, Holder, Leader, Rights, Role, Server, Supply, Table

CLOCK_SKEW = 2.0
SLOW_NOTIFY = 0.25
LEADER_SILENCE = 30.0
OLD_SNAPSHOT = 60.0
DEAD_ROWS = 200_000
FREEZE_MARGIN = 1_500_000_000


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing examined.

    Args:
        name: what was looked at.
        level: how bad it is.
        found: what was found.
        do: what to do about it.
    """

    name: str
    level: Level
    found: str
    do: str | None = None


def _ok(name: str, found: str) -> Check:
    return Check(name, Level.OK, found)


def _warn(name: str, found: str, do: str) -> Check:
    return Check(name, Level.WARN, found, do)


def _fail(name: str, found: str, do: str) -> Check:
    return Check(name, Level.FAIL, found, do)


def server(found: Server, version: int) -> Iterator[Check]:
    """Version, mode, durability, clean-up, connections. `version` is the protocol's number, as in 150004."""
    if version < MINIMUM_SERVER:
        yield _fail("version", f"PostgreSQL {found.version}", "pgflow needs PostgreSQL 15 or newer")
    else:
        yield _ok("version", f"PostgreSQL {found.version}")
    if found.in_recovery or found.read_only:
        what = "a standby" if found.in_recovery else "read-only"
        yield _fail("writable", f"the database is {what}", "let PGFLOW_DATABASE_URL point at the primary")
    yield _durability(found)
    if not (found.autovacuum and found.track_counts):
        yield _fail("autovacuum", "off: the tables that churn grow without end", "turn autovacuum and track_counts on")
    else:
        yield _ok("autovacuum", "on")
    used, most = found.connections, found.max_connections
    if used > 0.9 * most:
        yield _warn(
            "connections",
            f"{used} of {most} are in use",
            "raise max_connections, or put a pooler in front of the clients",
        )
    if found.frozen_age > FREEZE_MARGIN:
        yield _fail(
            "wraparound", f"the oldest transaction id is {found.frozen_age:,} transactions old",
            "let vacuum freeze: end what holds it back (see `vacuum` below), then vacuum the database",
        )  # fmt: skip


def _durability(found: Server) -> Check:
    if not found.fsync:
        return _fail(
            "durability", "fsync is off: a crash of the machine may lose or corrupt everything",
            "turn fsync on, unless this database may be thrown away",
        )  # fmt: skip
    if not found.full_page_writes:
        return _warn(
            "durability", "full_page_writes is off: a crash in the middle of a write may corrupt a page",
            "turn it on, unless the file system writes pages whole",
        )  # fmt: skip
    if found.synchronous_commit == "off":
        return _warn(
            "durability", "synchronous_commit is off: a crash may lose the last moments, "
            "so that accepted tasks are gone and finished ones run again; nothing is corrupted",
            "turn it on, unless that is acceptable",
        )  # fmt: skip
    return _ok("durability", f"fsync on, synchronous_commit {found.synchronous_commit}: what is acknowledged survives")


def schema(found: Plan, name: str) -> Check:
    """The schema's version."""
    if found.current == 0:
        return _fail("schema", f"there is no pgflow in the schema {name!r}", "run `pgflow migrate`")
    if found.current < found.latest:
        return _fail("schema", f"version {found.current}, this pgflow needs {found.latest}", "run `pgflow migrate`")
    if found.pending:
        stale = ", ".join(step.name for step in found.pending)
        return _warn("schema", f"version {found.current}, but with another text of: {stale}", "run `pgflow migrate`")
    return _ok("schema", f"{name}, version {found.current}")


def roles(found: Sequence[Role]) -> Check:
    """The schema's roles."""
    missing = [role.name for role in found if not role.present]
    if missing:
        return _warn(
            "roles", f"missing: {', '.join(missing)}",
            "run `pgflow migrate` as a user who may create roles; without them everything runs under one user",
        )  # fmt: skip
    held = [role.name for role in found if role.held]
    return _ok("roles", f"all there; this user has the rights of {', '.join(held) or 'none of them'}")


def rights(found: Rights | None, user: str) -> Check:
    """What the current user may do."""
    if found is None or not found.may_read:
        return _fail("rights", f"{user} may not look", "grant it the schema's reader role, or the worker role to act")
    if not found.may_work:
        return _warn("rights", f"{user} may only look", "workers need the schema's worker role")
    if not found.may_change:
        return _ok("rights", f"{user} may run the engine, but not migrate it or drop old history: that takes the owner")
    return _ok("rights", f"{user} may do everything" + (", as a superuser" if found.superuser else ""))


def clock(skew: float, uncertainty: float) -> Check:
    """Seconds that the database's clock is ahead of this host's; the engine goes by the database's alone."""
    ahead = "ahead of" if skew > 0 else "behind"
    if abs(skew) - uncertainty > CLOCK_SKEW:
        return _warn(
            "clock", f"the database's clock is {duration.text(abs(skew))} {ahead} this host's",
            "the engine goes by the database's alone, but logs will not agree: synchronise both",
        )  # fmt: skip
    return _ok("clock", f"the database's and this host's agree to {duration.text(max(abs(skew), uncertainty))}")


def clock_offset(found: Sequence[tuple[str, str]]) -> Check:
    """Whether a test left the engine's clock set."""
    if found:
        whose = ", ".join(f"{whose}: {value}" for whose, value in found)
        return _fail(
            "test clock", f"the engine's clock is set off ({whose})",
            "it is for tests; take it away with alter database ... reset pgflow.clock_offset (or alter role)",
        )  # fmt: skip
    return _ok("test clock", "not set")


def planner(found: Mapping[str, str], *, pooled: bool) -> Check:
    """Whether the engine's statements keep their plans."""
    wrong = [f"{name}={value}" for name, value in found.items() if value != PLANNER[name]]
    if not wrong:
        return _ok("planner", "the engine's settings are in force")
    wanted = ", ".join(f"{name} = {value}" for name, value in PLANNER.items())
    why = "behind a pooler they are not sent" if pooled else "something on the way drops them"
    return _fail(
        "planner", f"{', '.join(wrong)}: {why}, and a plan may go astray as tables fill",
        f"give the engine a role of its own, and that role the settings: alter role ... set {wanted}",
    )  # fmt: skip


def pooler(*, found: bool, pooled: bool, has_direct: bool, direct_found: bool) -> Check:
    """Whether something stands between, and whether it is known of."""
    if direct_found:
        return _fail(
            "pooler", f"{'PGFLOW_DIRECT_URL' if has_direct else 'the database URL'} goes through a pooler",
            "let PGFLOW_DIRECT_URL lead straight to Postgres: LISTEN and the leader's lock need a session of their own",
        )  # fmt: skip
    if found and not pooled:
        return _fail("pooler", "PGFLOW_DATABASE_URL goes through a pooler", "set PGFLOW_POOLED=true")
    if pooled and not found:
        return _warn(
            "pooler", "PGFLOW_POOLED is set, but no pooler was found",
            "unset it if there is none: prepared statements and session settings do without it",
        )  # fmt: skip
    return _ok("pooler", "in between, and gone round for LISTEN and the leader" if found else "none")


def notify(seconds: float | None) -> Check:
    """How long a notification took there and back."""
    if seconds is None:
        return _fail(
            "notify", "a notification sent was not heard",
            "set PGFLOW_DIRECT_URL to a connection without a pooler; until then idle workers find tasks by polling",
        )  # fmt: skip
    text = f"heard after {duration.text(seconds)}"
    if seconds > SLOW_NOTIFY:
        return _warn("notify", text, "look for a slow network or a database that flushes slowly")
    return _ok("notify", text)


def leader(found: Leader | None, workers_alive: int) -> Check:
    """Whether somebody leads."""
    start = "start a worker or `pgflow scheduler`: timers, crashed workers and old history wait for a leader"
    if found is None:
        bad = _fail if workers_alive else _warn
        return bad("leader", "there has never been one", start)
    who = f"{found.host}, pid {found.pid}, term {found.term}"
    if found.silence > LEADER_SILENCE:
        locked = "; a connection still holds its lock" if found.locked else ""
        bad = _fail if workers_alive else _warn
        return bad("leader", f"{who} was last seen {duration.text(found.silence)} ago{locked}", start)
    return _ok("leader", f"{who}, seen {duration.text(max(found.silence, 0.0))} ago")


def crew(found: Crew) -> Iterator[Check]:
    """Whether all that is ready is served."""
    alive = f"{found.alive} alive on {found.hosts} host{'' if found.hosts == 1 else 's'}"
    if not found.alive:
        yield _warn("workers", "none is alive", "start one: `pgflow worker MODULE`")
    elif found.silent:
        yield _warn(
            "workers", f"{alive}, {found.silent} silent", "see `pgflow workers`; the leader takes over their tasks"
        )
    else:
        yield _ok("workers", alive)
    if found.unserved:
        yield _fail(
            "queues", f"tasks are ready in {_listed(found.unserved)}, which no worker serves",
            "start a worker with --queue, or cancel them (`pgflow audit stuck_tasks`)",
        )  # fmt: skip
    if found.paused:
        yield _warn("paused", _listed(found.paused), "`pgflow queue resume NAME` when it is time")


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def supply(found: Supply) -> Check:
    """Whether new runs find a partition."""
    if found.broken:
        first = ", ".join(map(str, found.broken[:3]))
        return _fail("partitions", f"those from id {first} lack a table", "restore it, or ask for help before writing")
    text = f"{found.ids_ahead:,} ids ahead, {found.whole_ahead} whole partitions"
    if found.ids_ahead < found.width // 10:
        return _fail("partitions", text, "run `pgflow migrate` now: new tasks will be refused when they run out")
    if found.whole_ahead < 1:
        return _warn("partitions", text, "the leader makes more; is there one? `pgflow migrate` makes them too")
    return _ok("partitions", text)


def snapshots(found: Sequence[Holder], *, may_monitor: bool) -> Check:
    """Who keeps dead rows from being cleared."""
    old = [h for h in found if h.seconds is None or h.seconds > OLD_SNAPSHOT]
    if old:
        holders = "; ".join(map(_holder, old))
        return _warn(
            "vacuum", f"held back by {holders}",
            "end it if it is stuck (pg_terminate_backend), or drop the slot; the engine stays quick, but tables grow",
        )  # fmt: skip
    if not may_monitor:
        return _warn("vacuum", "other users' sessions cannot be seen", "grant pg_read_all_stats (or pg_monitor) to see")
    return _ok("vacuum", f"nobody holds it back for longer than {duration.text(OLD_SNAPSHOT)}")


def _holder(holder: Holder) -> str:
    what = f"{holder.kind} {holder.pid or ''} {holder.who}".replace("  ", " ").strip()
    since = f" for {duration.text(holder.seconds)}" if holder.seconds is not None else ""
    state = f", {holder.state}" if holder.state else ""
    return f"{what}{since}{state}" + (f": {holder.what}" if holder.what else "")


def tables(found: Sequence[Table]) -> Check:
    """Whether what churns is cleared."""
    off = [table.name for table in found if table.autovacuum_off]
    if off:
        return _fail(
            "dead rows",
            f"autovacuum is off for {', '.join(off)}",
            "turn it on again: reset the storage parameter autovacuum_enabled",
        )
    bloated = [table for table in found if table.dead > max(DEAD_ROWS, 5 * table.live)]
    if bloated:
        which = ", ".join(f"{table.name} has {table.dead:,}" for table in bloated)
        return _warn("dead rows", which, "see `vacuum` above for who holds it back; else vacuum these tables")
    return _ok("dead rows", f"{sum(table.dead for table in found):,} in the tables that churn")
