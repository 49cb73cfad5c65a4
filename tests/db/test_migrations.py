from __future__ import annotations

import threading

import psycopg
import pytest
from psycopg import sql

from pgflow.config import Settings
from pgflow.db import connect, migrations
from pgflow.db.call import Session
from pgflow.db.statements import in_schema, source, stems
from pgflow.engine import leases, timers
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.errors import DatabaseUnavailable, SchemaError
from pgflow.model import Lane, Settlement, State


def planned(settings: Settings) -> migrations.Plan:
    with connect.open_sync(settings, "test") as connection:
        return migrations.plan(connection, settings.schema_name)


def test_an_empty_database_is_brought_to_the_latest_and_then_left_alone(empty_database: Settings) -> None:
    assert planned(empty_database).current == 0
    applied = migrations.migrate(empty_database)
    assert applied[0] == "0001_places"
    assert planned(empty_database) == migrations.Plan(migrations.latest_version(), migrations.latest_version(), ())
    assert migrations.migrate(empty_database) == []
    migrations.check(empty_database)


def test_many_may_migrate_at_once(empty_database: Settings) -> None:
    applied: list[str] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            applied.extend(migrations.migrate(empty_database))
        except BaseException as error:  # noqa: BLE001 (told to the main thread)
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert sorted(applied) == sorted(step.name for step in migrations.known()), "each step once"


def test_a_newer_schema_is_refused_with_what_to_do(database: Settings) -> None:
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        connection.execute("insert into pgflow.migration values (9999, '9999_future', 'x', now())")
    for act in (migrations.migrate, migrations.check):
        with pytest.raises(SchemaError, match=r"9999, newer than this pgflow(?s:.*)upgrade"):
            act(database)


def test_a_changed_migration_is_refused(database: Settings) -> None:
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        connection.execute("update pgflow.migration set checksum = 'other' where version = 1")
    with pytest.raises(SchemaError, match="0001_places"):
        migrations.migrate(database)


def test_a_changed_function_is_applied_again(database: Settings) -> None:
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        connection.execute("update pgflow.migration set checksum = 'old' where name = 'functions/wake'")
        connection.execute("drop function pgflow.wake")
    assert migrations.migrate(database) == ["functions/wake"]


def test_a_missing_schema_is_told_apart(empty_database: Settings) -> None:
    with pytest.raises(SchemaError, match="pgflow migrate"):
        migrations.check(empty_database)
    with connect.open_sync(empty_database, "test") as connection, pytest.raises(SchemaError, match="pgflow migrate"):
        Session(connection).run(timers.fire(1))


def test_an_unreachable_database_is_told_apart() -> None:
    nowhere = Settings(database_url="postgresql://u:hunter2@127.0.0.1:9/none", _env_file=None)
    with pytest.raises(DatabaseUnavailable) as caught:
        migrations.migrate(nowhere)
    assert "PGFLOW_DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_locked_table_is_waited_for_in_short_steps(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "LOCK_ATTEMPTS", 2)
    monkeypatch.setattr(migrations.time, "sleep", lambda _: None)
    with psycopg.connect(database.require_url()) as holder:
        holder.execute("update pgflow.migration set checksum = 'old' where name = 'functions/outcome_is_final'")
        holder.commit()
        holder.execute("lock table pgflow.outcome in row exclusive mode")
        with pytest.raises(SchemaError, match="stayed locked"):
            migrations.migrate(database)
        holder.rollback()
    assert migrations.migrate(database) == ["functions/outcome_is_final"]


def test_the_same_text_makes_an_engine_in_another_schema(empty_database: Settings) -> None:
    other = empty_database.model_copy(update={"schema_name": "other_engine"})
    migrations.migrate(other)
    migrations.migrate(empty_database)
    with connect.open_sync(other, "test") as connection:
        session = Session(connection, "other_engine")
        (task,) = session.run(enqueue([Request(Spec("noop"), b"{}")])).ids
        (claimed,) = session.run(leases.claim([Lane("default", 2)], [0], 5, 1))
        assert session.run(leases.settle([Settlement(task, claimed.epoch, State.COMPLETED)], 1)) is None
        rows = connection.execute("select count(*) from other_engine.outcome").fetchone()
        assert rows == (1,)
        assert connection.execute("select count(*) from pgflow.task").fetchone() == (0,)
        for role in ("owner", "worker", "reader"):
            assert connection.execute(
                "select true from pg_roles where rolname = %s", (f"other_engine_{role}",)
            ).fetchone()
    with psycopg.connect(empty_database.require_url(), autocommit=True) as connection:
        for role in ("owner", "worker", "reader"):
            name = sql.Identifier(f"other_engine_{role}")
            connection.execute(sql.SQL("drop owned by {} cascade").format(name))
            connection.execute(sql.SQL("drop role {}").format(name))


def test_no_file_mentions_the_default_schema_once_another_is_put_in() -> None:
    for folder in ("functions", "views", "task", "worker", "leader", "schema"):
        for stem in stems("sql", folder):
            text = "\n".join(line for line in source(f"sql/{folder}", stem).splitlines() if not line.startswith("--"))
            assert "pgflow." not in in_schema(text, "elsewhere"), f"{folder}/{stem}"
