"""Databases for tests: a migrated template, made once, and copies of it, which cost milliseconds."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from pgflow.config import Settings, load
from pgflow.db import connect, migrations
from pgflow.db.call import Call, Session
from pgflow.db.statements import statement
from pgflow.engine import leadership
from pgflow.errors import EmbeddedError

URL = "PGFLOW_TEST_DATABASE_URL"
PREFIX = "pgflow-tests-"
YOUNG = 600.0
"""Seconds for which a directory without a lock may belong to a session that is about to take it."""
SETTINGS = {
    "max_wal_size": "512MB",  # it may lie in memory
    "autovacuum_naptime": "1d",  # databases live for seconds; nothing changes them behind a test
}
MEMORY = Path("/dev/shm")
ROOM = 2 * 1024**3
"""Bytes that have to be free there; the servers of a whole test session hold a tenth of it."""


def url_of(server_url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


def quick_directory() -> Path:
    """Where a server for tests best keeps its data: in memory, where the system has a place for that and room in it.

    A database is four hundred files. A disk's file system takes far longer to make and to remove them than most tests
    take for all the rest. `TMPDIR` in the environment says otherwise.
    """
    named = bool(os.environ.get("TMPDIR"))
    if not named and os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
        return MEMORY
    return Path(tempfile.gettempdir())


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server to test on: of `PGFLOW_TEST_DATABASE_URL`, or else of an embedded one that runs meanwhile.

    Raises:
        EmbeddedError: there is none: neither the variable is set nor `pgflow-engine[dev]` installed.
    """
    given = os.environ.get(URL)
    if given:
        yield given
        return
    with embedded() as url:
        yield url


@contextmanager
def embedded(binaries: Path | None = None) -> Iterator[str]:
    """The URL of an embedded server that runs meanwhile, and leaves nothing behind.

    Args:
        binaries: the directory with `postgres` and `initdb`, if not pgflow's own.
    """
    from pgflow.embedded.postgres import EmbeddedPostgres

    place = quick_directory()
    for other in {place, Path(tempfile.gettempdir())}:
        _sweep(other)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    directory.chmod(0o755)  # as root, the server runs under another account, which has to get in
    try:
        with EmbeddedPostgres(directory, durable=False, settings=SETTINGS, binaries=binaries) as running:
            yield running.url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _sweep(place: Path) -> None:
    """Remove what killed sessions left. Their servers died with them; who still runs holds its lock."""
    from pgflow.embedded.lock import DirectoryLock

    for directory in place.glob(f"{PREFIX}*"):
        with suppress(OSError, EmbeddedError):
            if time.time() - directory.stat().st_mtime > YOUNG:
                lock = DirectoryLock(directory / "lock")
                lock.acquire()
                shutil.rmtree(directory, ignore_errors=True)
                lock.release()


@contextmanager
def template(server_url: str, *, clock: bool = True) -> Iterator[str]:
    """The name of a migrated database, to be copied.

    Args:
        server_url: a server, as somebody who may create databases.
        clock: let its time be moved by `advance`.
    """
    with database(server_url) as settings:
        migrations.migrate(settings)
        if clock:
            with connect.open_sync(settings, "test") as connection:
                session = Session(connection, settings.schema_name)
                session.run(Call("testing/create_clock", {}, lambda _: None))
                session.run(Call("testing/install_clock", {}, lambda _: None))
        yield urlsplit(settings.require_url()).path[1:]


@contextmanager
def database(server_url: str, template: str = "template1") -> Iterator[Settings]:
    """A database of its own, as a copy; it is gone afterwards."""
    name = f"pgflow_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(_named("testing/create_database", name=name, template=template))
        try:
            settings = load(database_url=url_of(server_url, name))
            yield settings.model_copy(update={"direct_url": None, "pooled": False})
        finally:
            connection.execute(_named("testing/drop_database", name=name))


def _named(file: str, **names: str) -> sql.Composed:
    text: LiteralString = statement(file)
    return sql.SQL(text).format(**{key: sql.Identifier(value) for key, value in names.items()})


def advance(seconds: float) -> Call[None]:
    """Move the database's test clock on, for all sessions."""
    return Call("testing/advance_clock", {"seconds": seconds}, lambda _: None)


def set_clock(settings: Settings, instant: datetime) -> None:
    """Move the database's test clock to this instant; it runs on from there.

    Args:
        settings: of a database with a test clock.
        instant: with a time zone.
    """
    with connect.open_sync(settings, "test") as connection:
        session = Session(connection, settings.schema_name)
        session.run(advance(instant.timestamp() - session.run(leadership.pulse()).now))
