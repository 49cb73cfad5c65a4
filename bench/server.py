"""The server that is measured: durable as in production, and a fresh database on it for each lane.

Its own unless PGFLOW_BENCH_DATABASE_URL names another, on which each lane makes a database and drops it again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from pgflow.config import Settings
from pgflow.db import migrations
from pgflow.embedded import EmbeddedPostgres

URL = "PGFLOW_BENCH_DATABASE_URL"
BINARIES = "PGFLOW_BENCH_PG"
SETTINGS = {
    "shared_buffers": "1GB",
    "wal_buffers": "16MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "effective_cache_size": "3GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
}
SHOWN = (
    "server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size",
    "wal_compression", "autovacuum", "checkpoint_timeout",
)  # fmt: skip


def settings_of(url: str) -> Settings:
    """The default settings, with that database; whatever .env file may lie about is not read."""
    return Settings(database_url=url, _env_file=None)  # type: ignore[call-arg]


@contextmanager
def server() -> Iterator[str]:
    """The URL of a running server's maintenance database, as superuser."""
    given = os.environ.get(URL)
    if given:
        yield given
        return
    directory = Path(tempfile.mkdtemp(prefix="pgflow-bench-"))
    directory.chmod(0o755)  # as root, the server runs under another account, which has to get in
    binaries = os.environ.get(BINARIES)
    try:
        with EmbeddedPostgres(directory, settings=SETTINGS, binaries=Path(binaries) if binaries else None) as running:
            yield running.url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def database(server_url: str) -> Iterator[Settings]:
    """A migrated database of its own on that server."""
    name = f"pgflow_bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            url = urlsplit(server_url)._replace(path=f"/{name}").geturl()
            settings = settings_of(url)
            migrations.migrate(settings)
            yield settings
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def shown(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, str]:
    """The server settings that matter to the figures."""
    rows = connection.execute("select name, current_setting(name) from unnest(%s::text[]) as name", [list(SHOWN)])
    return {str(name): str(value) for name, value in rows.fetchall()}
