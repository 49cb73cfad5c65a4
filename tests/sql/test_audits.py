"""What each audit answers, on facts made by the engine's own verbs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest

from pgflow.db.call import Session
from pgflow.db.statements import statement
from pgflow.engine import control, reaping, runs, timers, workers
from pgflow.engine.audit import Audit, audits
from pgflow.model import Claimed, State
from tests.fixtures.database import Engine
from tests.sql.conftest import Ask

AUDITS = audits()


def in_order(engine: Engine, limit: int = 100) -> list[Claimed]:
    """Claim, oldest first: a claim's rows come in no order."""
    return sorted(engine.claim(limit), key=lambda claimed: claimed.task_id)


def error(kind: str, message: str) -> bytes:
    return orjson.dumps({"type": kind, "message": message, "reason": "spent"})


def test_every_audit_has_the_columns_it_declares_and_runs_on_an_empty_database(
    connection: psycopg.Connection[Any],
) -> None:
    for audit in AUDITS:
        given = {parameter.name: "1" for parameter in audit.parameters if parameter.default is None}
        call = audit.call(given)
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(statement(call.name), call.params)
        assert tuple(column.name for column in cursor.description or ()) == audit.columns, audit.name
        assert isinstance(Session(connection).run(call), list)


@pytest.mark.parametrize("audit", AUDITS, ids=lambda audit: audit.name)
def test_an_audit_can_be_run_in_psql_with_variables(audit: Audit) -> None:
    """A percent sign that is no parameter would have to be doubled here and single there."""
    bare = re.sub(r"%\(([a-z_]+)\)s", "", statement(f"audit/{audit.name}"))
    assert "%" not in bare
    assert all(parameter.default != "null" for parameter in audit.parameters), "psql has no way to give none"


@pytest.mark.parametrize("audit", AUDITS, ids=lambda audit: audit.name)
def test_an_audits_purpose_fits_a_line(audit: Audit) -> None:
    assert 20 < len(audit.purpose) < 110


def test_history_that_rests_since_long_ago_is_not_read(engine: Engine, connection: psycopg.Connection[Any]) -> None:
    """Old partitions make up nearly all of a database."""

    def read(audit: Audit) -> bool:
        """Whether the audit reads the events of the first partition."""
        call = audit.call({})
        cursor = psycopg.ClientCursor(connection)
        cursor.execute("explain (analyze, costs off) " + statement(call.name), call.params)
        scans = [line for (line,) in cursor.fetchall() if re.search(r"[Ss]can.* on event_0 ", line)]
        return any("never executed" not in line for line in scans)

    engine.register(1)
    for first in (1, 10_000_001):  # facts in two partitions, so that no join ends early for want of rows
        engine.query("select setval('pgflow.task_id_seq', %s)", first)
        engine.enqueue(3)
        held = in_order(engine)
        engine.settle(held[0])
        engine.settle(held[1], state=State.RETRYING, error=error("E", "m"), delay=60.0)
        engine.run(control.cancel([held[2].task_id]))
    bounded = [audit for audit in AUDITS if "pgflow.partition" in statement(f"audit/{audit.name}") and audit.parameters]
    assert len(bounded) >= 7
    assert [audit.name for audit in bounded if not read(audit)] == []
    connection.execute("update pgflow.partition set idle_since = now() - interval '30 days' where lower = 0")
    assert [audit.name for audit in bounded if read(audit)] == []


def test_a_timeline_tells_who_did_what_to_which_task(engine: Engine, ask: Ask) -> None:
    engine.register(1)
    (run,) = engine.enqueue(key="k")
    engine.settle(*engine.claim(), state=State.RETRYING, error=error("IOError", "broken\npipe"), delay=60.0)
    engine.run(control.cancel([run], actor="ann"))
    told = ask("run_timeline", run=run)
    assert [(row["event"], row["attempt"], row["worker"]) for row in told] == [
        ("task.enqueued", None, None), ("task.started", 1, "h:1"), ("task.retried", 1, "h:1"),
        ("task.cancelled", 2, None),
    ]  # fmt: skip
    assert told[0]["note"] == "queue default, key k"
    assert re.fullmatch(r"due .*, IOError: broken", told[2]["note"])
    assert told[3]["note"] == "by ann"
    assert told[0]["after"] == timedelta(0)
    assert told[3]["after"] == told[3]["at"] - told[0]["at"] > timedelta(0)
    assert ask("run_timeline", run=run + 1) == []


def test_dead_letters_are_those_that_failed_newest_first(engine: Engine, ask: Ask) -> None:
    crunch, send = engine.enqueue(name="crunch") + engine.enqueue(name="send", queue="mail")
    engine.settle(*engine.claim(), state=State.FAILED, error=error("ValueError", "first\nsecond"))
    engine.settle(*engine.claim(queue="mail"), state=State.FAILED, error=error("E", "m"))
    engine.enqueue(2)
    engine.settle(engine.claim(1)[0])
    engine.run(control.cancel([engine.enqueue()[0]]))
    assert [row["task_id"] for row in ask("dead_letters")] == [send, crunch]
    (row,) = ask("dead_letters", name="cr%")
    assert (row["error"], row["message"], row["reason"], row["queue"]) == ("ValueError", "first", "spent", "default")
    assert [row["task_id"] for row in ask("dead_letters", queue="mail")] == [send]
    assert [row["task_id"] for row in ask("dead_letters", limit=1)] == [send]
    assert ask("dead_letters", since="0 s") == []


def test_failures_that_differ_in_numbers_and_names_alone_are_one(engine: Engine, ask: Ask) -> None:
    messages = [
        "row 17 of 'a' at 0xFF is gone", "row 4.5 of 'bcd' at 0x0 is gone", 'row 1 of "x y" at 0xab is gone',
        "no 6b3f0c9e-5b0e-4d8e-9f5c-0a1b2c3d4e5f", "no 00000000-0000-0000-0000-000000000000", "other",
    ]  # fmt: skip
    engine.enqueue(len(messages))
    for claimed, message in zip(in_order(engine), messages, strict=True):
        engine.settle(claimed, state=State.FAILED, error=error("KeyError", message))
    found = {row["message"]: row["tasks"] for row in ask("failures_by_error")}
    assert found == {"row <n> of <text> at <n> is gone": 3, "no <id>": 2, "other": 1}
    assert ask("failures_by_error")[0]["tasks"] == 3, "the most frequent first"
    assert ask("failures_by_error")[0]["names"] == ["noop"]


def test_the_slowest_attempts_come_first_and_those_still_running_too(engine: Engine, ask: Ask) -> None:
    slow, quick, running = engine.enqueue(3)
    engine.shift_clock(-600)
    (first,) = engine.claim(1)
    engine.shift_clock(-300)
    second, _ = in_order(engine)
    engine.shift_clock(-290)
    engine.settle(second)
    engine.shift_clock(-100)
    engine.settle(first, state=State.RETRYING, error=error("E", "m"), delay=1e6)
    found = ask("slow_tasks")
    assert [(row["task_id"], row["ended_with"]) for row in found] == [
        (slow, "task.retried"), (running, "still running"), (quick, "task.completed"),
    ]  # fmt: skip
    assert timedelta(seconds=499) < found[0]["took"] < timedelta(seconds=560)
    assert timedelta(seconds=299) < found[1]["took"] < timedelta(seconds=360)
    assert ask("slow_tasks", name="other") == []


def test_an_attempt_that_slept_is_measured_from_its_last_start(engine: Engine, ask: Ask) -> None:
    (id,) = engine.enqueue()
    engine.shift_clock(-600)
    engine.settle(*engine.claim(), state=State.SLEEPING, delay=0.0)
    engine.shift_clock(-100)
    engine.run(timers.fire(10))
    (claimed,) = engine.claim()
    engine.shift_clock(-90)
    engine.settle(claimed)
    by_event = {row["ended_with"]: row["took"] for row in ask("slow_tasks") if row["task_id"] == id}
    assert timedelta(seconds=9) < by_event["task.completed"] < timedelta(seconds=60)
    assert len(by_event) == 1
    (total,) = ask("durations")
    assert (total["attempts"], total["failed"]) == (1, 0)
    assert timedelta(seconds=9) < total["longest"] < timedelta(seconds=60)


def test_latency_is_from_when_a_task_was_due_to_its_first_start(engine: Engine, ask: Ask) -> None:
    engine.shift_clock(-100)
    engine.enqueue(2)
    engine.shift_clock(-90)
    engine.claim()
    (row,) = ask("queue_latency")
    assert (row["queue"], row["priority"], row["started"]) == ("default", "normal", 2)
    assert timedelta(seconds=9) < row["median"] <= row["p99"] <= row["longest"] < timedelta(seconds=60)


def test_depth_is_told_by_lane(engine: Engine, ask: Ask) -> None:
    engine.register(1)
    engine.enqueue(3)
    engine.enqueue(2, priority=0)
    engine.enqueue(queue="mail", delay=60.0)
    urgent = min(engine.claim(3), key=lambda claimed: claimed.priority)
    engine.settle(urgent, state=State.WAITING, needed=1)
    engine.run(control.pause_queue("mail"))
    lanes = {(row["queue"], row["priority"]): row for row in ask("queue_depth")}
    critical, normal, mail = lanes["default", "critical"], lanes["default", "normal"], lanes["mail", "normal"]
    assert (critical["queued"], critical["running"], critical["waiting"]) == (0, 1, 1)
    assert (normal["queued"], normal["running"], normal["workers"]) == (2, 1, 1)
    assert (mail["delayed"], mail["workers"]) == (1, 0)
    assert isinstance(mail["paused_at"], datetime)
    assert isinstance(normal["next_since"], datetime)


STUCK = timedelta(minutes=5).total_seconds()


def why(ask: Ask, **given: object) -> dict[str, int]:
    return {row["why"]: row["tasks"] for row in ask("stuck_tasks", **given)}


def test_a_task_that_waits_for_its_turn_is_not_stuck(engine: Engine, ask: Ask) -> None:
    engine.register(1)
    engine.shift_clock(-STUCK)
    engine.enqueue(3)
    engine.enqueue(delay=3600.0)
    engine.shift_clock(0)
    engine.claim(1)
    assert ask("stuck_tasks") == []


def test_ready_tasks_that_nobody_will_claim_are_stuck(engine: Engine, ask: Ask) -> None:
    engine.register(1)
    engine.shift_clock(-STUCK)
    engine.enqueue(2, queue="mail")
    engine.enqueue(3, name="other")
    engine.enqueue(4, queue="paused")
    engine.run(control.pause_queue("paused", actor="ann"))
    assert why(ask) == {
        "no worker serves its queue": 2,
        "no worker of its queue has code for it": 3,
        "its queue is paused by ann": 4,
    }
    assert ask("stuck_tasks")[0]["tasks"] == 4
    assert why(ask, older="1 hour") == {"its queue is paused by ann": 4}, "those just enqueued get their time"


def test_timers_that_nobody_fires_are_stuck(engine: Engine, ask: Ask) -> None:
    engine.register(1)
    engine.shift_clock(-STUCK)
    engine.enqueue(delay=1.0)
    engine.enqueue(2)
    held = engine.claim()
    engine.settle(held[0], state=State.RETRYING, error=error("E", "m"), delay=1.0)
    engine.settle(held[1], state=State.WAITING, delay=1.0, needed=1)
    rows = ask("stuck_tasks")
    assert {(row["state"], row["why"]) for row in rows} == {
        (state, "due, but nobody fires timers: there has never been a leader")
        for state in ("scheduled", "retrying", "waiting")
    }


def test_leases_that_nobody_takes_back_are_stuck(engines: Callable[..., Engine], ask: Ask) -> None:
    engine = engines()
    engine.shift_clock(-STUCK)
    engine.connection.execute(
        "insert into pgflow.leader (term, host, pid, backend_pid, since, seen_at)"
        " values (1, 'h', 1, 1, pgflow.now(), pgflow.now())"
    )
    for worker, lease in ((1, 3600), (2, 30), (3, 3600)):
        engine.register(worker, lease=lease)
    engine.enqueue(3, timeout=10.0)
    for worker in (1, 2, 3):
        engine.claim(1, worker=worker)
    engine.enqueue()
    engine.claim(worker=99)
    engine.run(workers.close([3], "drained"))
    found = why(ask)
    assert [text for text in found if text.startswith("past its deadline and not ended: the leader was last seen 2")]
    assert [text for text in found if text.startswith("its worker is silent")]
    assert [text for text in found if text.startswith("its worker ended (drained)")]
    assert found["its worker is unknown"] == 1
    assert sum(found.values()) == 4


def test_parked_and_throttled_tasks_are_stuck_with_their_reason(
    engine: Engine, connection: psycopg.Connection[Any], ask: Ask
) -> None:
    a, b, c, d = engine.enqueue(4)
    engine.run(runs.pause([d], actor="ann"))
    engine.run(runs.park(d))
    connection.execute(
        "with moved as (delete from pgflow.ready where task_id = any(%s) returning *)"
        " insert into pgflow.parked (task_id, root_id, reason, since, detail, attempt, crashes)"
        " select task_id, root_id, 'needs_attention', now(), '{\"type\": \"HistoryMismatch\"}', attempt, crashes"
        " from moved",
        ([a, b],),
    )
    connection.execute(
        "with moved as (delete from pgflow.ready where task_id = %s returning *)"
        " insert into pgflow.throttled (task_id, root_id, slot, queue, priority, attempt, crashes)"
        " select task_id, root_id, 'api', queue, priority, attempt, crashes from moved",
        (c,),
    )
    assert why(ask) == {
        "needs attention: HistoryMismatch": 2, "held back by the limit of default": 1, "its run is paused by ann": 1,
    }  # fmt: skip
    (held,) = ask("throttled")
    assert (held["slot"], held["tasks"], held["next_task_id"], held["queues"]) == ("api", 1, c, ["default"])


def test_retries_are_counted_by_error(engine: Engine, ask: Ask) -> None:
    engine.enqueue(3)
    for number, claimed in enumerate(in_order(engine)):
        kind = "Timeout" if number else "Gone"
        engine.settle(claimed, state=State.RETRYING, error=error(kind, f"m{number}\nx"), delay=60.0)
    first, second = ask("retries")
    assert (first["error"], first["retries"], first["tasks"], first["last_message"]) == ("Timeout", 2, 2, "m2")
    assert (second["error"], second["waiting"]) == ("Gone", 3)
    assert isinstance(first["next_due_at"], datetime)
    assert ask("retries", name="other") == []
    assert ask("retries", since="0 s") == []


def test_throughput_counts_each_stretch_of_time(engine: Engine, ask: Ask) -> None:
    engine.shift_clock(-180)
    ids = engine.enqueue(5)
    engine.shift_clock(0)
    held = engine.claim(3)
    engine.settle(held[0])
    engine.settle(held[1], state=State.FAILED, error=error("E", "m"))
    engine.settle(held[2], state=State.RETRYING, error=error("E", "m"), delay=60.0)
    engine.run(control.cancel(ids[-1:]))
    rows = ask("throughput", since="10 minutes")
    assert len(rows) == 11
    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    assert [row["enqueued"] for row in rows if row["enqueued"]] == [5]
    recent = {name: sum(row[name] for row in rows[:2]) for name in rows[0] if name not in {"at", "enqueued"}}
    assert recent == {"started": 3, "completed": 1, "failed": 1, "retried": 1, "cancelled": 1, "lost_leases": 0}
    assert len(ask("throughput", since="1 day", every="1 hour")) == 25


def test_workers_are_told_by_what_they_did_and_hold(engines: Callable[..., Engine], ask: Ask) -> None:
    engine = engines()
    engine.register(1)
    engine.register(2, lease=-60)
    engine.enqueue(4)
    first, second, _ = in_order(engine, 3)
    engine.settle(first)
    engine.settle(second, state=State.FAILED, error=error("E", "m"))
    engine.run(workers.close([2], "killed"))
    told = {row["worker_id"]: row for row in ask("worker_activity")}
    one, two = told[1], told[2]
    assert (one["state"], one["holds"], one["started"], one["completed"], one["failed"]) == ("alive", 1, 3, 1, 1)
    assert isinstance(one["oldest_claim"], datetime)
    assert (two["state"], two["started"]) == ("closed: killed", 0)


def test_lost_leases_are_told_with_what_became_of_the_task(engine: Engine, ask: Ask) -> None:
    engine.register(1)
    (id,) = engine.enqueue()
    engine.claim()
    engine.run(workers.close([1], "executor died: SIGKILL"))
    engine.run(reaping.reap([1], max_crashes=3))
    (lost,) = ask("lost_leases")
    assert (lost["task_id"], lost["worker"], lost["state_now"]) == (id, "h:1", "queued")
    assert lost["why"] == "executor died: SIGKILL"


def test_interventions_name_who_it_was(engine: Engine, ask: Ask) -> None:
    (id,) = engine.enqueue()
    engine.run(control.cancel([id], actor="ann"))
    engine.run(control.redrive(engine.run(control.locate([id])), actor="bob"))
    assert [(row["event"], row["by"], row["task_id"]) for row in ask("interventions")] == [
        ("task.redriven", "bob", id), ("task.cancelled", "ann", id),
    ]  # fmt: skip
    engine.run(runs.pause([id], actor="cid"))
    engine.run(runs.resume([id], actor="dan"))
    fork = engine.run(runs.fork(runs.Copy(id, id, b"{}", None, b'{"from": 1}'), actor="eve"))
    assert [(row["event"], row["by"], row["task_id"]) for row in ask("interventions", limit=3)] == [
        ("workflow.forked", "eve", fork), ("task.resumed", "dan", id), ("task.paused", "cid", id),
    ]  # fmt: skip


def test_timers_come_in_the_order_they_are_due(engine: Engine, ask: Ask) -> None:
    (late,), (soon,) = engine.enqueue(delay=7200.0), engine.enqueue(delay=60.0)
    (waiting,) = engine.enqueue()
    engine.settle(*engine.claim(), state=State.WAITING, delay=600.0, needed=1)
    told = ask("timers")
    assert [(row["task_id"], row["state"]) for row in told] == [
        (soon, "scheduled"), (waiting, "waiting"), (late, "scheduled"),
    ]  # fmt: skip
    assert timedelta(seconds=30) < told[0]["in_time"] < timedelta(seconds=61)
    assert [row["task_id"] for row in ask("timers", within="1 hour")] == [soon, waiting]


def test_partitions_are_told_with_their_size_and_what_holds_them_back(engine: Engine, ask: Ask) -> None:
    (first, *_) = engine.enqueue(3)
    rows = ask("partitions")
    assert [row["first_run"] for row in rows] == sorted((row["first_run"] for row in rows), reverse=True)
    assert rows[-1]["holds_back"] == first
    assert all(row["holds_back"] is None for row in rows[:-1])
    assert rows[-1]["task_bytes"] > rows[0]["task_bytes"] > 0
