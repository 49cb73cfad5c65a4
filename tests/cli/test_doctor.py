from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgflow.cli import checks, doctor
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.engine import leadership, workers
from tests.cli.conftest import Answer, Cli, invoke
from tests.cli.pooler import pooler
from tests.fixtures.database import Engine

# What depends on the test's server, and not on the database.
OF_THE_SERVER = {"durability", "connections", "vacuum"}


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notification that takes long because the machine is busy is a good one all the same."""
    monkeypatch.setattr(checks, "SLOW_NOTIFY", 60.0)
    monkeypatch.setattr(doctor, "HEARING_TIME", 60.0)


def levels(answer: Answer) -> dict[str, str]:
    return {check["check"]: check["level"] for check in answer.json["checks"]}


def found(answer: Answer, name: str) -> dict[str, Any]:
    (check,) = [check for check in answer.json["checks"] if check["check"] == name]
    return check  # type: ignore[no-any-return]


def test_a_healthy_engine_is_all_well(cli: Cli, engines: Callable[..., Engine]) -> None:
    engine = engines()
    engine.register(1)
    assert engine.run(leadership.elect())
    engine.run(leadership.begin_term("h", 1))
    answer = cli("doctor", "--json")
    told = levels(answer)
    assert {name for name, level in told.items() if level != "ok"} <= OF_THE_SERVER
    assert {
        "database", "version", "durability", "autovacuum", "schema", "roles", "rights", "clock", "test clock",
        "planner", "pooler", "notify", "leader", "workers", "partitions", "vacuum", "dead rows",
    } <= told.keys()  # fmt: skip
    assert answer.json["ok"] == ("fail" not in told.values())
    assert answer.code == (1 if "fail" in told.values() else 0)


def test_each_finding_is_a_line_and_what_to_do_another(cli: Cli) -> None:
    lines = cli("doctor").out.splitlines()
    assert lines[0].startswith("ok    database      reached in ")
    (at,) = [i for i, line in enumerate(lines) if line.startswith("warn  leader")]
    assert lines[at + 1].strip().startswith("-> start a worker")


def test_the_leaders_lock_is_seen(cli: Cli, engines: Callable[..., Engine]) -> None:
    engine, other = engines(), engines()
    engine.register(1)
    engine.run(leadership.begin_term("h", 1))
    engine.connection.execute("update pgflow.leader set seen_at = now() - interval '10 minutes'")
    assert "still holds" not in found(cli("doctor", "--json"), "leader")["found"]
    assert other.run(leadership.elect())
    silent = found(cli("doctor", "--json"), "leader")
    assert silent["level"] == "fail"
    assert re.search(r"\b10m( \d+s)? ago; a connection still holds its lock", silent["found"])


def test_an_unreachable_database_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", "postgresql://ann:secret-word@127.0.0.1:1/x")
    answer = invoke("doctor", "--json")
    assert (answer.code, levels(answer)) == (1, {"database": "fail"})
    assert "secret-word" not in answer.out


def test_a_missing_schema_is_a_failed_check_among_others(
    empty_database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", empty_database.require_url())
    answer = invoke("doctor", "--json")
    assert (answer.code, found(answer, "schema")["do"]) == (1, "run `pgflow migrate`")
    assert levels(answer)["notify"] == "ok"


def test_a_newer_schema_is_a_failed_check(cli: Cli, database: Settings) -> None:
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        connection.execute("insert into pgflow.migration values (999, '0999_later', 'x', now())")
    answer = cli("doctor", "--json")
    assert (answer.code, "newer" in found(answer, "schema")["found"]) == (1, True)


def test_a_user_without_grants_is_told_what_it_lacks(
    cli: Cli, user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", user())
    answer = cli("doctor", "--json")
    assert (answer.code, found(answer, "schema")["level"]) == (1, "fail")
    assert "permission denied" in found(answer, "schema")["found"]
    monkeypatch.setenv("PGFLOW_DATABASE_URL", user("pgflow_reader"))
    reader = cli("doctor", "--json")
    assert (found(reader, "rights")["level"], "may only look" in found(reader, "rights")["found"]) == ("warn", True)
    assert levels(reader)["leader"] == "warn", "a reader sees all the rest"
    monkeypatch.setenv("PGFLOW_DATABASE_URL", user("pgflow_worker"))
    worker = found(cli("doctor", "--json"), "rights")
    assert (worker["level"], "not migrate" in worker["found"]) == ("ok", True)


def test_a_test_clock_left_on_is_found_wherever_it_is_set(cli: Cli, database: Settings) -> None:
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("alter database {} set pgflow.clock_offset = '3 days'").format(name))
        answer = cli("doctor", "--json")
        connection.execute(sql.SQL("alter database {} reset pgflow.clock_offset").format(name))
    assert answer.code == 1
    assert "3 days" in found(answer, "test clock")["found"]
    assert levels(cli("doctor", "--json"))["test clock"] == "ok"


def test_an_old_transaction_is_named_with_its_query(
    cli: Cli, database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgflow.cli.checks.OLD_SNAPSHOT", 0.0)
    with psycopg.connect(database.require_url(), application_name="a long report") as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select 'the culprit'")
        held = found(cli("doctor", "--json"), "vacuum")
    assert held["level"] == "warn"
    assert "a long report" in held["found"]
    assert "the culprit" in held["found"]


def test_ready_tasks_that_no_worker_serves_are_found(cli: Cli, engine: Engine) -> None:
    engine.enqueue(queue="mail")
    engine.enqueue(queue="paused")
    engine.register(1)
    cli("queue", "pause", "paused")
    unserved = found(cli("doctor", "--json"), "queues")
    assert (unserved["level"], "mail" in unserved["found"], "paused" in unserved["found"]) == ("fail", True, False)


def test_running_out_of_partitions_is_found(cli: Cli, engine: Engine) -> None:
    ((upper,),) = engine.query("select max(upper) from pgflow.partition")
    engine.query("select setval('pgflow.task_id_seq', %s)", upper - 1000)
    low = found(cli("doctor", "--json"), "partitions")
    assert (low["level"], "1,000 ids ahead" in low["found"]) == ("fail", True)


def test_a_pooler_that_refuses_the_engines_settings_is_recognised(
    cli: Cli, database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pooler(database.require_url(), refuse_options=True) as url:
        monkeypatch.setenv("PGFLOW_DATABASE_URL", url)
        answer = cli("doctor", "--json")
        assert (answer.code, "PGFLOW_POOLED=true" in found(answer, "database")["do"]) == (1, True)
        monkeypatch.setenv("PGFLOW_POOLED", "true")
        assert "PGFLOW_POOLED=true" in found(cli("doctor", "--json"), "direct")["do"]
        monkeypatch.setenv("PGFLOW_DIRECT_URL", database.require_url())
        told = cli("doctor", "--json")
        assert (levels(told)["pooler"], levels(told)["notify"]) == ("ok", "ok")
        lost = found(told, "planner")
        assert (lost["level"], "alter role" in lost["do"]) == ("fail", True)


def test_planner_settings_that_the_role_carries_are_enough_behind_a_pooler(
    cli: Cli, database: Settings, user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = user("pgflow_worker")
    name = sql.Identifier(str(psycopg.conninfo.conninfo_to_dict(url)["user"]))
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        for setting, value in connect.PLANNER.items():
            connection.execute(
                sql.SQL("alter role {} set {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
            )
    with pooler(url, refuse_options=True) as pooled:
        monkeypatch.setenv("PGFLOW_DATABASE_URL", pooled)
        monkeypatch.setenv("PGFLOW_DIRECT_URL", url)
        monkeypatch.setenv("PGFLOW_POOLED", "true")
        assert levels(cli("doctor", "--json"))["planner"] == "ok"


def test_a_pooler_that_nobody_told_of_is_found_by_its_made_up_key(
    cli: Cli, database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pooler(database.require_url()) as url:
        monkeypatch.setenv("PGFLOW_DATABASE_URL", url)
        assert "straight to Postgres" in found(cli("doctor", "--json"), "pooler")["do"]
        monkeypatch.setenv("PGFLOW_DIRECT_URL", database.require_url())
        assert found(cli("doctor", "--json"), "pooler")["do"] == "set PGFLOW_POOLED=true"


def test_notifications_that_get_lost_are_found(cli: Cli, database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "HEARING_TIME", 0.1)
    with pooler(database.require_url(), deaf=True) as url:
        monkeypatch.setenv("PGFLOW_DATABASE_URL", url)
        deaf = found(cli("doctor", "--json"), "notify")
    assert (deaf["level"], "PGFLOW_DIRECT_URL" in deaf["do"]) == ("fail", True)


def test_two_urls_that_lead_to_different_databases_are_found(
    cli: Cli, empty_database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGFLOW_DIRECT_URL", empty_database.require_url())
    elsewhere = found(cli("doctor", "--json"), "direct")
    assert (elsewhere["level"], "elsewhere" in elsewhere["found"]) == ("fail", True)


def test_the_doctor_changes_nothing(cli: Cli, engine: Engine) -> None:
    engine.register(1)
    engine.run(workers.idle(["default"], "pgflow.worker.1", 12))
    count = (
        "select (select count(*) from pgflow.worker), (select count(*) from pgflow.idle),"
        " (select count(*) from pgflow.leader), (select count(*) from pgflow.event)"
    )
    before = engine.query(count)
    cli("doctor")
    assert engine.query(count) == before
