"""What each of the three roles may do, by doing it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from pgflow.access import Role
from pgflow.config import Settings
from pgflow.db import connect, migrations, partitions
from pgflow.db.call import Session
from pgflow.db.statements import statement
from pgflow.engine import (
    access,
    approvals,
    audit_entries,
    children,
    control,
    definitions,
    emissions,
    facts,
    inspection,
    leadership,
    leases,
    reaping,
    runs,
    secrets,
    timers,
    upkeep,
    workers,
    workflows,
)
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.errors import PermissionDenied
from pgflow.model import EventType, Parking, State
from pgflow.sealing import Keyring, new_key
from tests.fixtures.database import Engine, url_of

As = Callable[[str], Engine]


@pytest.fixture
def acting(engines: Callable[..., Engine]) -> As:
    """An engine connection that has only this role's rights."""

    def act(role: str) -> Engine:
        engine = engines()
        engine.connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        return engine

    return act


def test_a_worker_may_do_all_that_the_engine_does(acting: As) -> None:
    engine = acting("pgflow_worker")
    engine.register(1)
    first, second, third, later = (*engine.enqueue(3, key=None), *engine.enqueue(delay=1000.0, key="k"))
    one, two, _ = engine.claim()
    engine.run(facts.record([facts.Fact(first, one.epoch, EventType.STEP_COMPLETED, "s", b"1")], 1))
    engine.settle(one)
    engine.settle(two, state=State.WAITING, needed=1, delay=1000.0)
    engine.run(control.cancel([third]))
    engine.run(control.redrive([control.Located(third, third, True)]))
    engine.run(timers.fire(10))
    engine.run(timers.time_out(10))
    engine.run(reaping.reap([1], max_crashes=3))
    engine.run(workers.beat([workers.Pulse(1, 0, {})], 30))
    engine.run(workers.idle(["default"], "c", 12))
    engine.run(workers.expire())
    engine.run(control.pause_queue("default"))
    engine.run(leadership.begin_term("h", 1))
    engine.run(leadership.pulse())
    engine.run(leadership.lanes())
    for sweep in upkeep.sweeps(86_400.0):
        engine.run(sweep)
    engine.run(upkeep.note_partitions())
    assert engine.run(partitions.make()) == 0
    listed = engine.run(inspection.task_page()).tasks
    assert {row["state"] for row in listed} == {"completed", "waiting", "queued", "scheduled"}
    assert (second, later) != (None, None)
    engine.run(workers.close([1], "done"))


def test_a_worker_may_do_all_that_workflows_need(acting: As) -> None:
    engine = acting("pgflow_worker")
    engine.register(1)
    engine.enqueue(2)
    one, two = engine.claim()
    run, epoch = one.task_id, one.epoch
    step = facts.Fact(run, epoch, EventType.STEP_COMPLETED, "$cleanup", b'{"result": true}')
    assert engine.run(facts.record([step], 1))
    assert engine.run(facts.note_tries([facts.Try(run, epoch, EventType.STEP_RETRIED, "s", 1, b"{}", 1.0)], 1))
    assert engine.run(children.spawn([children.Child(run, epoch, "c", Request(Spec("noop"), b"{}"))], 1))
    engine.run(facts.tell_progress([facts.Progress(run, epoch, b"{}", 0.5, "half")], 1))
    assert engine.run(workflows.signal([workflows.Signal(run, "s")])) == [(run, "sent")]
    assert engine.run(workflows.interrupt([(run, run)])) == [run]
    assert engine.run(workflows.history([(run, run)]))[run]
    assert engine.run(workflows.news([workflows.Known(run, run, ())]))[run]
    engine.run(workflows.define([workflows.Definition("w", "code", b"1", b"{}")]))
    assert engine.run(runs.pause([run])) == [run]
    engine.run(runs.park(run))
    assert engine.run(runs.resume([run])) == [run]
    engine.run(runs.unpark([run]))
    assert engine.run(runs.fork(runs.Copy(run, run, b"{}", None, b"{}")))
    assert engine.run(leases.park([Parking(two.task_id, two.epoch, State.NEEDS_ATTENTION)], 1)) == {two.task_id}
    engine.settle(one)


def test_a_worker_may_do_all_that_secrets_need(acting: As) -> None:
    engine = acting("pgflow_worker")
    ring = Keyring([new_key(), new_key()])
    sealed = ring.seal("hunter22", "pgflow", "TOKEN")
    assert engine.run(secrets.put("TOKEN", sealed)) == 1
    assert engine.run(secrets.put("TOKEN", sealed)) == 2
    assert engine.run(secrets.read(["TOKEN", "OTHER"])) == engine.run(secrets.page("", 10)) == [("TOKEN", sealed)]
    assert engine.run(secrets.page("", 10, unless=sealed.key_id)) == engine.run(secrets.page("TOKEN", 10)) == []
    again = ring.seal("hunter22", "pgflow", "TOKEN")
    assert engine.run(secrets.reseal([secrets.Resealed("TOKEN", sealed, again)])) == ["TOKEN"]
    assert engine.run(secrets.reseal([secrets.Resealed("TOKEN", sealed, again)])) == []
    assert [row["version"] for row in engine.run(secrets.listed())] == [2]
    assert engine.run(secrets.remove(["TOKEN", "OTHER"])) == ["TOKEN"]


def test_a_worker_may_do_all_that_events_need(acting: As) -> None:
    engine = acting("pgflow_worker")
    engine.enqueue()
    (run,) = engine.claim()
    expected = emissions.Expected(run.task_id, run.epoch, "$event:tick", "tick")
    (since,) = engine.run(emissions.expect([expected]))
    emitted = engine.run(emissions.emit("tick", b"1", given_id="mine"))
    assert not engine.run(emissions.emit("tick", b"1", given_id="mine")).fresh
    event = engine.run(emissions.emission(emitted.id))
    assert engine.run(emissions.look([emissions.Sought("tick", None, (since, 0))])) == [[event]]
    assert engine.run(emissions.triggers(["tick"])) == []
    assert engine.run(emissions.deliver(event, engine.run(emissions.waiting("tick", None, (0, ""), 9)))) == 1
    engine.run(emissions.forget([emissions.Forgotten(run.task_id, "$event:tick")]))
    engine.run(upkeep.sweep_emissions(60.0))
    engine.settle(run)


def test_a_worker_may_do_all_that_approvals_need(acting: As) -> None:
    engine = acting("pgflow_worker")
    (run,) = engine.enqueue()
    place = approvals.Place(run, run, "ask")
    question = approvals.Question("Well?", assignees=["ann"], escalations=[(60.0, ["bob"])], timeout=3600.0)
    asked = engine.run(approvals.ask(place, "w", question))
    assert engine.run(approvals.ask(place, "w", question)) == asked
    assert [one.id for one in engine.run(approvals.approvals(state="pending", names=["ann"]))] == [asked.id]
    verdict = engine.run(approvals.decide(asked.id, True, b"null", by="ann", names=["ann"], comment=None))
    assert verdict is not None
    assert verdict.what == "done"
    assert engine.run(approvals.expire(place)) == "approved"


def test_a_worker_may_do_all_that_publishing_needs(acting: As) -> None:
    engine = acting("pgflow_worker")
    assert engine.run(definitions.publish("w", b"1", b'{"nodes": {}}', expected=0)).version == 1
    assert engine.run(definitions.publish("w", b"1", b'{"nodes": {}}')).same
    assert engine.run(definitions.newest("w")) == engine.run(definitions.version("w", 1))
    assert engine.run(definitions.save_draft("w", b"{}")).revision == 1
    assert [(one.name, one.draft) for one in engine.run(definitions.listed())] == [("w", 1)]
    assert engine.run(definitions.draft("w")).base == 1
    assert engine.run(definitions.discard_draft("w", expected=1))
    assert len(engine.run(definitions.versions("w"))) == 1


def test_a_worker_may_do_all_that_access_needs(acting: As) -> None:
    engine = acting("pgflow_worker")
    token = engine.run(access.create_token("t", "pgf_", b"hash", Role.VIEWER, None, None))
    assert engine.run(access.by_token(b"hash")).principal.role is Role.VIEWER
    assert engine.run(access.revoke(id=token.id))
    assert engine.run(access.tokens(revoked=True))
    user = engine.run(access.create_user("ann", Role.ADMIN, ["queue:mail"], "hash"))
    engine.run(access.begin_session(b"secret", user.id, 60.0, None))
    assert engine.run(access.by_session(b"secret")).principal.scopes == ("queue:mail",)
    assert engine.run(access.end_session(b"secret"))
    assert engine.run(access.change_user("ann", password="other"))
    assert engine.run(access.remove_user("ann"))
    engine.run(audit_entries.write(audit_entries.Entry("user:ann", "run.cancel", "run:1")))
    assert len(engine.run(audit_entries.entries(target="run:1"))) == 1
    assert not engine.run(access.anybody())


def test_nobody_changes_what_the_audit_says(acting: As, engine: Engine) -> None:
    engine.run(audit_entries.write(audit_entries.Entry("user:ann", "run.cancel", "run:1")))
    for change in ("update pgflow.audit_entry set actor = 'x'", "delete from pgflow.audit_entry"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            acting("pgflow_worker").connection.execute(change)
        with pytest.raises(psycopg.DatabaseError, match="is final"):
            engine.connection.execute(change)  # not even the owner


@pytest.mark.parametrize(
    "forbidden",
    [
        "update pgflow.task set name = 'x'",
        "delete from pgflow.outcome",
        "update pgflow.event set type = 'task.started'",
        "delete from pgflow.event",
        "update pgflow.definition set version = 2",
        "delete from pgflow.definition",
        "truncate pgflow.ready",
        "drop table pgflow.ready",
        "create table pgflow.mine (id int)",
        "alter table pgflow.task add column x int",
        "drop trigger outcome_is_final on pgflow.outcome",
    ],
)
def test_a_worker_may_neither_rewrite_history_nor_change_tables(acting: As, forbidden: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        acting("pgflow_worker").connection.execute(forbidden)


def test_making_partitions_runs_as_the_owner_whoever_asks(acting: As, engine: Engine) -> None:
    engine.query("select setval('pgflow.task_id_seq', 25000000)")
    assert acting("pgflow_worker").run(partitions.make()) > 0


def test_a_reader_may_look_at_everything_and_touch_nothing(acting: As, engine: Engine) -> None:
    engine.enqueue()
    reader = acting("pgflow_reader")
    assert len(reader.query("select * from pgflow.run")) == 1
    assert len(reader.query("select * from pgflow.task_state")) == 1
    assert reader.query("select pgflow.now() is not null") == [(True,)]
    for forbidden in (
        "insert into pgflow.queue (name, created_at) values ('q', now())",
        "delete from pgflow.ready",
        "select pgflow.reopen('{1}', '{1}', null)",
        "select pgflow.make_partitions(9)",
        "select pgflow.wake('{default}')",
        "select name from pgflow.secret",
        "select pg_get_userbyid(1) from pgflow.secret",
        "select name from pgflow.token",
        "select name from pgflow.user",
        "select user_id from pgflow.session",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.connection.execute(forbidden)


def test_a_stranger_may_do_nothing_and_is_told_what_to_do(database: Settings, server_url: str) -> None:
    with stranger(server_url) as (name, password):
        url = psycopg.conninfo.make_conninfo(database.require_url(), user=name, password=password)
        connection = connect.open_sync(Settings(database_url=url, _env_file=None), "test")
        with connection, pytest.raises(PermissionDenied, match="pgflow_worker"):
            Session(connection).run(enqueue([Request(Spec("noop"), b"{}")]))


def test_without_the_right_to_create_roles_everything_works_under_ones_own_name(server_url: str) -> None:
    with stranger(server_url) as (name, password):
        database = f"pgflow_own_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(server_url, autocommit=True) as admin:
            admin.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(database), sql.Identifier(name)))
            try:
                url = psycopg.conninfo.make_conninfo(url_of(server_url, database), user=name, password=password)
                settings = Settings(database_url=url, _env_file=None, schema_name="own_schema")
                assert migrations.migrate(settings)
                with connect.open_sync(settings, "test") as connection:
                    done = Session(connection, "own_schema").run(enqueue([Request(Spec("noop"), b"{}")]))
                    assert done.ids == [1]
                    assert connection.execute(statement("connection/keeper", "own_schema")).fetchall() == [(None,)]
                    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="does not belong"):
                        connection.execute("select own_schema.look('select 1', '{}', '{}', 1)")
            finally:
                admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database)))


def test_one_who_may_only_create_roles_gives_the_readers_what_is_theirs(server_url: str) -> None:
    """And another who is no more than an owner can bring the schema up to date after that."""
    with stranger(server_url) as (first, password), stranger(server_url) as (second, other):
        schema = f"of_{first.removeprefix('pgflow_')}"
        with psycopg.connect(server_url, autocommit=True) as admin:
            admin.execute(sql.SQL("alter role {} createrole").format(sql.Identifier(first)))
            admin.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(schema), sql.Identifier(first)))
            try:
                for name, word in ((first, password), (second, other)):
                    url = psycopg.conninfo.make_conninfo(url_of(server_url, schema), user=name, password=word)
                    settings = Settings(database_url=url, _env_file=None, schema_name=schema)
                    assert migrations.migrate(settings)
                    with connect.open_sync(settings, "test") as connection:
                        assert connection.execute(statement("connection/keeper", schema)).fetchall() == [(True,)]
                        assert connection.execute(MAY_CREATE, {"schema": schema}).fetchall() == [(False,)]
                    with psycopg.connect(url_of(server_url, schema), autocommit=True) as there:
                        there.execute(sql.SQL(STALE).format(sql.Identifier(schema)))
                        there.execute(
                            sql.SQL("grant {} to {}").format(sql.Identifier(f"{schema}_owner"), sql.Identifier(second))
                        )
            finally:
                admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(schema)))
                for role in ("owner", "worker", "reader"):
                    admin.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(f"{schema}_{role}")))


STALE = "update {}.migration set checksum = 'old' where name = 'functions/look'"
MAY_CREATE = "select has_schema_privilege(%(schema)s || '_reader', %(schema)s, 'create')"


@contextmanager
def stranger(server_url: str) -> Iterator[tuple[str, str]]:
    """A role with a password and no rights."""
    name, password = f"pgflow_stranger_{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(name), sql.Literal(password)))
        try:
            yield name, password
        finally:
            admin.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
