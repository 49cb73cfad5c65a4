"""Engine connections, whatever the server's time zone and however many descriptors the process has."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from pgflow.config import Settings
from pgflow.db import connect


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_instants_are_in_utc_wherever_the_server_stands(database: Settings, zone: str) -> None:
    instants = [datetime(1, 1, 1, 0, 30, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("alter database {} set timezone to {}").format(name, zone))
    with connect.open_sync(database, "test") as connection:
        found = connection.execute("select unnest(%s::timestamptz[])", (instants,)).fetchall()
    assert [instant for (instant,) in found] == instants
    assert {instant.utcoffset() for (instant,) in found} == {UTC.utcoffset(None)}


@pytest.fixture
def thousands() -> Iterator[None]:
    """The process has more descriptors than `select.select` can look at."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        made = os.open(os.devnull, os.O_RDONLY)
        opened.callback(os.close, made)
        while made < 1100:
            made = os.dup(made)
            opened.callback(os.close, made)
        yield


def test_a_pool_works_in_a_process_with_thousands_of_descriptors(database: Settings, thousands: None) -> None:
    with connect.pool_sync(database) as pool:
        pids = set()
        for _ in range(3):
            with pool.connection(10) as connection:
                assert connection.fileno() > 1024
                pids.add(connection.info.backend_pid)
        assert len(pids) == 1


async def test_so_does_one_for_async_code(database: Settings, thousands: None) -> None:
    async with connect.pool_async(database) as pool:
        pids = set()
        for _ in range(3):
            async with pool.connection(10) as connection:
                assert connection.fileno() > 1024
                pids.add(connection.info.backend_pid)
        assert len(pids) == 1


def test_a_resting_connection_that_was_closed_is_not_handed_out(database: Settings) -> None:
    with connect.pool_sync(database) as pool, psycopg.connect(database.require_url(), autocommit=True) as other:
        with pool.connection(10) as connection:
            ended = connection.info.backend_pid
        other.execute("select pg_terminate_backend(%s, 5000)", (ended,))
        with pool.connection(10) as connection:
            assert connection.info.backend_pid != ended
            connection.execute("select 1")
