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
