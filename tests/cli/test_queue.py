from __future__ import annotations

from tests.cli.conftest import Cli
from tests.fixtures.database import Engine


def test_queues_are_listed_with_their_depth(cli: Cli, engine: Engine) -> None:
    engine.enqueue(3, queue="mail")
    engine.claim(1, queue="mail")
    (row,) = cli("queue", "list", "--json").json
    assert (row["name"], row["queued"], row["running"]) == ("mail", 2, 1)
    header, line = cli("queue", "list").out.splitlines()
    assert header.split()[:3] == ["name", "queued", "running"]
    assert line.split()[:3] == ["mail", "2", "1"]


def test_a_queue_is_paused_and_resumed(cli: Cli, engine: Engine) -> None:
    assert cli("queue", "pause", "mail").code == 0
    assert engine.query("select name from pgflow.queue where paused_at is not null") == [("mail",)]
    (row,) = cli("queue", "list", "--json").json
    assert "@" in row["paused_by"]
    assert cli("queue", "resume", "mail", "--json").json["was_paused"] is True
    assert "was not paused" in cli("queue", "resume", "mail").err
    assert engine.query("select count(*) from pgflow.queue where paused_at is not null") == [(0,)]


def test_what_is_no_queue_is_refused(cli: Cli) -> None:
    for command in ("pause", "resume"):
        assert cli("queue", command, "a b").code == 2


def test_workers_are_listed_with_their_state(cli: Cli, engine: Engine) -> None:
    assert "no worker is running" in cli("workers").err
    engine.register(1, queues=("default", "mail"))
    engine.register(2, lease=-5)
    engine.register(3)
    engine.connection.execute("update pgflow.worker set closed_at = now(), closed_why = 'drained' where id = 3")
    listed = {row["id"]: row["state"] for row in cli("workers", "--json").json}
    assert listed == {1: "alive", 2: "silent"}
    assert {row["id"]: row["state"] for row in cli("workers", "--all", "--json").json}[3] == "ended: drained"
    assert "default, mail" in cli("workers").out


def test_a_queue_is_limited_and_let_go_again(cli: Cli, engine: Engine) -> None:
    engine.enqueue(5)
    assert cli("queue", "limit", "default", "--concurrency", "2", "--rate", "600/m", "--burst", "10").code == 0
    (row,) = cli("queue", "limits", "--json").json
    assert (row["queue"], row["concurrency"], row["rate"]) == ("default", 2, 10.0)
    assert (row["throttled"], row["ready"], row["running"]) == (3, 2, 0)
    assert "default" in cli("queue", "limits").out
    assert cli("queue", "limit", "default", "--lift", "--json").json["was_limited"] is True
    assert len(engine.claim()) == 5
    assert "no queue is limited" in cli("queue", "limits").err


def test_a_limit_that_makes_no_sense_is_refused(cli: Cli) -> None:
    for options in ((), ("--rate", "fast"), ("--concurrency", "0"), ("--rate", "5/s", "--burst", "0")):
        assert cli("queue", "limit", "default", *options).code == 2


def test_a_queue_ages(cli: Cli, engine: Engine) -> None:
    assert cli("queue", "age", "default", "10m").code == 0
    assert engine.query("select ageing from pgflow.queue") == [(600.0,)]
    assert cli("queue", "age", "default", "never").code == 0
    assert engine.query("select ageing from pgflow.queue") == [(None,)]
    assert cli("queue", "age", "default", "2h").code == 2
