"""The command line inside the test's own process, and database users with fewer rights."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql

from pgflow.cli import main
from pgflow.config import Settings


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def problem(self) -> dict[str, Any]:
        """The error that standard error has as JSON; there must be nothing else."""
        return json.loads(self.err)["error"]


Cli = Callable[..., Answer]


def invoke(*args: object, input: str | None = None) -> Answer:
    result = CliRunner().invoke(main, [str(arg) for arg in args], input=input)
    return Answer(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but the test's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("PGFLOW_DATABASE_URL", "DATABASE_URL", "PGFLOW_DIRECT_URL", "PGFLOW_POOLED", "PGFLOW_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def cli(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """`cli("run", "list")` on a migrated database."""
    monkeypatch.setenv("PGFLOW_DATABASE_URL", database.require_url())
    return invoke


@pytest.fixture
def user(database: Settings, server_url: str) -> Iterator[Callable[..., str]]:
    """`user("pgflow_reader")` makes a database user that is in those roles, and gives a URL to connect as it."""
    made: list[sql.Identifier] = []
    with psycopg.connect(server_url, autocommit=True) as connection:

        def make(*roles: str) -> str:
            name = f"pgflow_test_user_{uuid.uuid4().hex[:12]}"
            made.append(sql.Identifier(name))
            connection.execute(sql.SQL("create role {} login password 'secret-word'").format(made[-1]))
            for role in roles:
                connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), made[-1]))
            return psycopg.conninfo.make_conninfo(database.require_url(), user=name, password="secret-word")

        yield make
        for role in made:
            connection.execute(sql.SQL("drop role {}").format(role))
