from __future__ import annotations

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.db import migrations
from tests.cli.conftest import Cli, invoke


@pytest.fixture
def fresh(empty_database: Settings, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", empty_database.require_url())
    return invoke


def test_a_fresh_database_is_planned_then_migrated_then_left_alone(fresh: Cli) -> None:
    planned = fresh("migrate", "--plan").out.splitlines()
    assert planned[0] == "migrations/0001_places.sql"
    assert "sql/views/task_state.sql" in planned
    assert fresh("migrate", "--plan", "--json").json == planned, "planning applies nothing"
    status = fresh("migrate", "--status", "--json").json
    assert (status["current"], status["pending"]) == (0, planned)
    applied = fresh("migrate", "--json").json
    assert (len(applied["applied"]), applied["version"]) == (len(planned), migrations.latest_version())
    again = fresh("migrate")
    assert (again.code, "applied" in again.out) == (0, False)
    assert fresh("migrate", "--plan").err == "nothing to do\n"
    assert fresh("migrate", "--status").out.split() == [
        "schema", "pgflow", "current", str(applied["version"]), "latest", str(applied["version"]), "pending", "-",
    ]  # fmt: skip


def test_status_and_plan_exclude_each_other(fresh: Cli) -> None:
    assert fresh("migrate", "--status", "--plan").code == 2


def test_a_newer_schema_is_refused_by_every_command(cli: Cli, database: Settings) -> None:
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        connection.execute("insert into pgflow.migration values (999, '0999_later', 'x', now())")
    for command in (["migrate"], ["migrate", "--plan"], ["run", "list"], ["audit", "timers"], ["queue", "list"]):
        answer = cli(*command)
        assert (answer.code, answer.out) == (4, ""), command
        assert "version 999, newer than this pgflow" in answer.err
        assert "upgrade pgflow-engine" in answer.err


def test_an_older_schema_is_refused_by_what_needs_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    latest = migrations.latest_version() + 1
    monkeypatch.setattr(migrations, "latest_version", lambda: latest)
    answer = cli("run", "list", "--json")
    assert answer.code == 4
    assert f"this pgflow needs {latest}" in answer.problem["message"]
    assert answer.problem["hint"] == "run `pgflow migrate`"


def test_a_missing_schema_is_told_by_name(fresh: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_SCHEMA", "tenant_a")
    for command in (["run", "list"], ["run", "start", "x"], ["workers"], ["audit", "timers"], ["task", "show", "1"]):
        answer = fresh(*command)
        assert answer.code == 4, command
        assert "'tenant_a'" in answer.err
        assert "pgflow migrate" in answer.err


def test_a_user_without_rights_may_not_migrate(fresh: Cli, user, empty_database: Settings, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    url = psycopg.conninfo.make_conninfo(
        user(), dbname=psycopg.conninfo.conninfo_to_dict(empty_database.require_url())["dbname"]
    )
    monkeypatch.setenv("PGFLOW_DATABASE_URL", url)
    answer = fresh("migrate")
    assert (answer.code, "Traceback" in answer.err) == (5, False)
