"""The database beside the engine's that `pgflow dev` makes."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgflow.cli import dev
from pgflow.config import Settings
from pgflow.nodes.connections import Connections


@pytest.fixture
def server(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PGFLOW_SQL_SCRATCH", "")
    monkeypatch.delenv("PGFLOW_SQL_SCRATCH")
    yield server_url
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("drop database if exists scratch with (force)")


async def test_sql_nodes_may_read_and_write_it(
    database: Settings, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dev._with_scratch(database, server)
    assert settings.sql_writable == ["scratch"]
    monkeypatch.delenv("PGFLOW_SQL_SCRATCH")
    dev._with_scratch(database, server)  # at the next start it is there
    connections = Connections(settings)
    async with connections.opened("scratch", 10.0, write=True) as connection:
        await connection.execute("create table noted (it int)")
    async with connections.opened("scratch", 10.0, write=False) as connection:
        row = await (await connection.execute("select current_database(), count(*) from noted")).fetchone()
    assert row == ("scratch", 0)
    connections.close()


def test_one_that_somebody_has_set_is_left_alone(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SQL_SCRATCH", "postgresql://elsewhere/x")
    assert dev._with_scratch(database, "postgresql://nowhere/y") is database
