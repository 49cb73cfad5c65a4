"""The query that every test of the engine ends with has to find what is broken, and nothing else."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from pgflow.engine import control, leases, timers
from pgflow.engine.control import Located
from pgflow.model import Settlement, State
from tests.fixtures.database import Engine
from tests.sql.conftest import Ask

MISSING = 987654
BROKEN = [
    ("in no place", "delete from pgflow.ready where task_id = {ready}"),
    ("in no place", "delete from pgflow.lease where task_id = {lease}"),
    ("in several places", "{parked} values ({ready}, {ready}, 'paused', now(), 1, 0)"),
    ("has its outcome and is in a place", "{outcome} values ({lease}, {lease}, 'completed', 1, now())"),
    ("in a place, but there is no such task", "{parked} values ({missing}, {missing}, 'paused', now(), 1, 0)"),
    ("in a place, but there is no such task", "update pgflow.ready set root_id = {lease} where task_id = {ready}"),
    ("has its outcome, but there is no such task", "{outcome} values ({missing}, {missing}, 'completed', 1, now())"),
    ("leased to an unknown worker", "update pgflow.lease set worker_id = 2 where task_id = {lease}"),
    ("shares its epoch with another lease", "update pgflow.lease set epoch = 1"),
    ("has an instant to wake at, but does not wait", "{inbox} values ({done}, {done}, 1, 1, now(), 1, 0)"),
    ("has an instant to wake at, but does not wait", "{inbox} values ({done}, null, 0, null, now(), null, null)"),
    ("has an inbox, but there is no such task", "{inbox} values ({missing}, null, 1, null, null, null, null)"),
]
INSERTS = {
    "parked": "insert into pgflow.parked (task_id, root_id, reason, since, attempt, crashes)",
    "outcome": "insert into pgflow.outcome (root_id, task_id, state, attempt, finished_at)",
    "inbox": "insert into pgflow.inbox (task_id, root_id, arrived, needed, wake_at, attempt, crashes)",
}


@pytest.fixture
def tasks(engine: Engine) -> dict[str, int]:
    """One task of each kind: done, leased (two of them) and ready."""
    engine.register(1)
    done, lease, other, ready = engine.enqueue(4)
    engine.settle(*engine.claim(1))
    engine.claim(2)
    return {"done": done, "lease": lease, "other": other, "ready": ready}


def test_what_is_broken_is_found_by_its_name(
    tasks: dict[str, int], connection: psycopg.Connection[Any], ask: Ask
) -> None:
    for problem, breakage in BROKEN:
        assert ask("misplaced_tasks") == []
        with connection.transaction(force_rollback=True):
            connection.execute(breakage.format(**tasks, **INSERTS, missing=MISSING).encode())
            assert problem in {row["problem"] for row in ask("misplaced_tasks")}, breakage


def test_a_task_in_every_kind_of_place_is_well_placed(engine: Engine, ask: Ask) -> None:
    engine.register(1)
    engine.enqueue(9)
    held = engine.claim(8)
    error = b'{"type": "E", "message": "m"}'
    ends = [
        {"state": State.COMPLETED},
        {"state": State.FAILED, "error": error},
        {"state": State.RETRYING, "error": error, "delay": 60.0},
        {"state": State.SLEEPING, "delay": 60.0},
        {"state": State.WAITING, "delay": 60.0, "needed": 1},
        {"state": State.WAITING, "needed": 2},
        {"state": State.QUEUED},
    ]
    for claimed, end in zip(held, ends, strict=False):
        engine.settle(claimed, **end)
    engine.enqueue(delay=60.0)
    engine.run(control.cancel([held[7].task_id]))
    states = {state for (state,) in engine.query("select distinct state::text from pgflow.task_state")}
    assert states == {
        "completed", "failed", "retrying", "sleeping", "waiting", "queued", "scheduled", "cancelled",
    }  # fmt: skip
    assert ask("misplaced_tasks") == []


def test_nothing_is_found_while_workers_move_tasks_at_full_speed(engines: Callable[..., Engine], ask: Ask) -> None:
    """Each look is one snapshot, and each move one statement, so no look may ever catch a task between two places."""
    stop = threading.Event()

    settled = [0, 0, 0]

    def work(worker: int) -> None:
        engine, seed = engines(worker), random.Random(worker)
        engine.register(worker)
        error = b'{"type": "E", "message": "m"}'
        while not stop.is_set():
            ids = engine.enqueue(20, delay=seed.choice([None, 0.01]))
            held = engine.claim(25)
            ends = [
                Settlement(c.task_id, c.epoch, *seed.choice([
                    (State.COMPLETED,), (State.FAILED, b"null", error), (State.RETRYING, b"null", error, 0.01),
                    (State.SLEEPING, b"null", b"null", 0.01), (State.WAITING, b"null", b"null", 0.01, 5),
                    (State.QUEUED,),
                ])) for c in held
            ]  # fmt: skip
            if ends:
                engine.run(leases.settle(ends, worker))
                settled[worker - 1] += len(ends)
            engine.run(timers.fire(50))
            engine.run(timers.time_out(50))
            engine.run(control.cancel(seed.sample(ids, 3)))
            engine.run(control.redrive([Located(id, id, True) for id in sorted(seed.sample(ids, 5))]))

    with ThreadPoolExecutor(3) as threads:
        working = [threads.submit(work, worker) for worker in (1, 2, 3)]
        looks, end = 0, time.monotonic() + 60
        try:
            while (looks < 50 or sum(settled) < 5000) and time.monotonic() < end:
                assert ask("misplaced_tasks") == []
                looks += 1
        finally:
            stop.set()
        for task in working:
            task.result()
    assert looks >= 50
    assert sum(settled) >= 5000
