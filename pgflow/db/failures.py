"""Errors cross the SQL border once, here: SQLSTATE in, one of our own errors out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolTimeout

from pgflow.errors import DatabaseUnavailable, PermissionDenied, PgflowError, SchemaError

_MISSING = (pg.UndefinedTable, pg.InvalidSchemaName, pg.UndefinedFunction, pg.UndefinedColumn, pg.UndefinedObject)
# 57P01..57P05: the server or this session is being shut down; 25006: a writer that became a standby; 53: no resources.
_OUTAGE_STATES = ("57P", "25006", "53", "08")


CONFLICT_TRIES = 5
"""How often a statement of its own transaction is sent before its conflict is told."""


def is_outage(error: BaseException) -> bool:
    """Whether the database, not the statement, is at fault: worth waiting for and trying again elsewhere."""
    if isinstance(error, DatabaseUnavailable | PoolTimeout | OSError):
        return True
    if isinstance(error, psycopg.Error):
        state = error.sqlstate
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and (
            state is None or state.startswith(_OUTAGE_STATES)
        )
    return False


def is_conflict(error: BaseException) -> bool:
    """Whether trying the same again may work: a deadlock, a serialization failure or a lock time-out."""
    cause = error.__cause__ if isinstance(error, PgflowError) else error
    return isinstance(cause, pg.DeadlockDetected | pg.SerializationFailure | pg.LockNotAvailable)


def is_cancelled(error: BaseException) -> bool:
    """Whether the database gave up a statement: `statement_timeout`, mostly behind a lock, or `pg_cancel_backend`."""
    return isinstance(error, pg.QueryCanceled)


def is_passing(error: BaseException) -> bool:
    """Whether the engine's own loops wait and try the same again, for as long as it takes.

    More than what a client tries again: who cancels a user's statement, or lets it run into a time-out, means it.
    """
    return is_outage(error) or is_conflict(error) or is_cancelled(error)


def first_line(error: BaseException) -> str:
    """What it says, in a line: of an error without words, its name."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def translate(error: BaseException) -> PgflowError | None:
    """Our error for one of psycopg's, or None when it is not a kind that a person could mend."""
    said = first_line(error)
    if isinstance(error, _MISSING):
        return SchemaError(
            f"the database's pgflow schema is missing or older than this version: {said}",
            hint="run `pgflow migrate`",
        )
    if isinstance(error, pg.InsufficientPrivilege):
        return PermissionDenied(
            f"the database role may not do this: {said}",
            hint="connect as a member of the role pgflow_worker, or as the schema's owner to migrate",
        )
    if isinstance(error, pg.CheckViolation) and "no partition of relation" in said:
        return SchemaError(
            f"there is no partition for new tasks: {said}",
            hint="run a worker or `pgflow scheduler`: its leader makes partitions ahead; or `pgflow migrate` now",
        )
    if is_outage(error):
        return DatabaseUnavailable(
            f"the database cannot be reached: {said}", hint="check PGFLOW_DATABASE_URL and that Postgres runs"
        )
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Turn psycopg's errors into ours; the original stays as the cause."""
    try:
        yield
    except (psycopg.Error, PoolTimeout) as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error
