"""Bringing a database to this version's schema: forward only, under one lock, safe to run from many hosts at once.

migrations/NNNN_*.sql are applied once each, in order, one transaction a file. After them the repeatable files
(sql/functions, sql/views) are re-applied when their text changed, so a function's body stands once in the
repository and not once a migration; then grants and partitions. A table lock that cannot be had within two seconds
is given up and tried again, so that waiting DDL never blocks the traffic queued behind it.

A database newer than this code is refused: an older release may run on it only as far as that release's own check
allows, and migrating it with old files could only do harm.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psycopg
from psycopg import errors as pg

from pgflow.config import Settings
from pgflow.db import connect, partitions
from pgflow.db.call import Session
from pgflow.db.failures import translated
from pgflow.db.statements import in_schema, source, statement, stems
from pgflow.errors import SchemaError

T = TypeVar("T")

LOCK_ATTEMPTS = 10
MINIMUM_SERVER = 150000


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: a migration (with its version) or a repeatable file (version None)."""

    version: int | None
    name: str
    text: str
    checksum: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the database has, and what it lacks."""

    current: int
    latest: int
    pending: tuple[Step, ...]


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def known() -> list[Step]:
    """Every step of this version: migrations in order, then functions, then views."""
    steps = []
    for stem in stems("migrations"):
        text = source("migrations", stem)
        steps.append(Step(int(stem.split("_")[0]), stem, text, _checksum(text)))
    for folder in ("functions", "views"):
        for stem in stems("sql", folder):
            text = source(f"sql/{folder}", stem)
            steps.append(Step(None, f"{folder}/{stem}", text, _checksum(text)))
    return steps


def latest_version() -> int:
    """The schema version that this code was written for."""
    return max(step.version for step in known() if step.version is not None)


def plan(connection: psycopg.Connection[tuple[object, ...]], schema: str) -> Plan:
    """Compare the database with this version.

    Raises:
        SchemaError: the server is too old, the schema is newer than this code, or a migration that was applied has
            another text now.
    """
    if connection.info.server_version < MINIMUM_SERVER:
        raise SchemaError(
            f"PostgreSQL {connection.info.server_version // 10000} is too old",
            hint="pgflow needs PostgreSQL 15 or newer",
        )
    with translated():
        rows = connection.execute(statement("schema/applied", schema)).fetchall() if _exists(connection, schema) else []
    applied = {str(name): (version, checksum) for version, name, checksum in rows}
    current = max((int(str(version)) for version, _ in applied.values() if version is not None), default=0)
    latest = latest_version()
    if current > latest:
        raise SchemaError(
            f"schema {schema!r} is at version {current}, newer than this pgflow, which knows versions up to {latest}",
            hint="upgrade pgflow-engine on this host; a newer schema is never changed by older code",
        )
    pending = []
    for step in known():
        has = applied.get(step.name)
        if step.version is not None and has is not None and has[1] != step.checksum:
            raise SchemaError(
                f"migration {step.name} was applied with another text than this version ships",
                hint="restore the released file; a change to the schema is a new migration",
            )
        if has is None or has[1] != step.checksum:
            pending.append(step)
    return Plan(current, latest, tuple(pending))


def _exists(connection: psycopg.Connection[tuple[object, ...]], schema: str) -> bool:
    return connection.execute(statement("schema/exists"), {"name": f"{schema}.migration"}).fetchone() == (True,)


def _lock(connection: psycopg.Connection[tuple[object, ...]], schema: str) -> None:
    connection.execute(statement("schema/lock", schema))


def _apply(connection: psycopg.Connection[tuple[object, ...]], step: Step, schema: str) -> bool:
    """Apply one step in its own transaction, unless another migrator just did. Returns whether it did."""
    with connection.transaction():
        _lock(connection, schema)
        row = connection.execute(statement("schema/has", schema), {"name": step.name}).fetchone()
        if row is not None and row[0] == step.checksum:
            return False
        connection.execute(in_schema(step.text, schema).encode())
        connection.execute(
            statement("schema/note", schema),
            {"version": step.version, "name": step.name, "checksum": step.checksum},
        )
    return True


def _patiently(action: Callable[[], T]) -> T:
    """Do it, and again when a lock could not be had in time."""
    for attempt in range(LOCK_ATTEMPTS - 1):
        try:
            return action()
        except (pg.LockNotAvailable, pg.DeadlockDetected, pg.InternalError_):
            # The last is "tuple concurrently updated": roles are shared with migrators of other databases.
            time.sleep(min(0.2 * 2**attempt, 5.0))
    return action()


def migrate(settings: Settings) -> list[str]:
    """Bring the database to this version; returns the names of the steps applied, [] when there was nothing to do.

    Raises:
        SchemaError: see `plan`; or a lock could not be had after several tries.
        PermissionDenied: the role may not create the schema.
        DatabaseUnavailable: it cannot be reached.

    Example:
        >>> migrate(load())  # doctest: +SKIP
        ['0001_places', 'functions/arrive', ...]
    """
    schema = settings.schema_name
    applied = []
    with connect.open_sync(settings, "migrate", direct=True, lock_timeout="2s") as connection, translated():
        try:
            _prepare(connection, schema)
            for step in plan(connection, schema).pending:
                applied += [step.name] if _patiently(partial(_apply, connection, step, schema)) else []
            _patiently(partial(_finish, connection, schema, grants=bool(applied)))
        except pg.LockNotAvailable as error:
            raise SchemaError(
                "a table stayed locked by other sessions, so the migration was not applied",
                hint="find them with `pgflow doctor`, or run `pgflow migrate` again at a quieter moment",
            ) from error
    return applied


def _finish(connection: psycopg.Connection[tuple[object, ...]], schema: str, *, grants: bool) -> None:
    with connection.transaction():
        _lock(connection, schema)
        if grants:
            connection.execute(statement("schema/grants", schema))
        Session(connection, schema).run(partitions.make())


def _prepare(connection: psycopg.Connection[tuple[object, ...]], schema: str) -> None:
    if not _exists(connection, schema):
        with connection.transaction():
            _lock(connection, schema)
            connection.execute(statement("schema/create", schema))
            connection.execute(statement("schema/create_ledger", schema))


def check(settings: Settings) -> None:
    """Raise a SchemaError unless the database is at exactly this version's schema."""
    with connect.open_sync(settings, "check") as connection:
        found = plan(connection, settings.schema_name)
    if any(step.version is not None for step in found.pending):
        raise SchemaError(
            f"schema {settings.schema_name!r} is at version {found.current}, this pgflow needs {found.latest}",
            hint="run `pgflow migrate`",
        )
