"""Real worker processes and a real database, killed while they work; what the database holds afterwards."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import cast

import orjson
import psycopg
import pytest

from pgflow.config import Settings
from pgflow.db import connect, migrations
from pgflow.embedded import EmbeddedPostgres
from pgflow.engine.enqueue import Request, Spec, enqueue
from tests.fixtures.database import Engine, misplaced
from tests.fixtures.workers import eventually, leading
from tests.runtime.processes import WorkerProcess, until, worker

TASKS = 20_000
SHORT = {"PGFLOW_LEASE": "2", "PGFLOW_HEARTBEAT": "0.5"}


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, to be killed; as durable as in production."""
    with tempfile.TemporaryDirectory(prefix="pgflow-tests-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        with EmbeddedPostgres(Path(directory), durable=True) as server:
            yield server


@pytest.fixture
def own_database(server: EmbeddedPostgres) -> Settings:
    """A migrated database on it."""
    settings = Settings(database_url=server.url, _env_file=None)
    migrations.migrate(settings)
    return settings


def count(settings: Settings, table: str) -> int:
    with psycopg.connect(settings.require_url(), autocommit=True) as connection:
        row = connection.execute(f"select count(*) from pgflow.{table}").fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.xdist_group("processes")
def test_nothing_is_lost_when_executors_workers_and_the_database_are_killed(
    server: EmbeddedPostgres, own_database: Settings
) -> None:
    """A drain of 20,000 tasks, with kills of every kind; then: none lost, none with two outcomes, none misplaced."""
    seed = int(os.environ.get("PGFLOW_SEED", "20"))
    rng = random.Random(seed)
    settings = own_database
    with connect.open_sync(settings, "test") as connection:
        engine = Engine(connection)
        for _ in range(TASKS // 1000):
            spec = Spec("nap")
            engine.run(enqueue([Request(spec, b'{"seconds": %.4f}' % rng.uniform(0, 0.02)) for _ in range(1000)]))
    options = ("-p", "2", "-c", "16")
    workers = [WorkerProcess(settings, *options, **SHORT) for _ in range(2)]
    killed = {"executor": 0, "worker": 0, "database": 0, "frozen": 0}
    try:
        until(lambda: count(settings, "outcome") > 500)
        faults = ["executor"] * 8 + ["worker"] * 3 + ["database"] * 2 + ["frozen"]
        rng.shuffle(faults)
        for fault in faults:
            victim = rng.randrange(2)
            if fault == "executor":
                os.kill(rng.choice(until(workers[victim].executors)), signal.SIGKILL)
            elif fault == "worker":
                workers[victim].kill()
                workers[victim] = WorkerProcess(settings, *options, **SHORT)
            elif fault == "database":
                server.kill()
                time.sleep(rng.uniform(0.1, 0.5))
                server.start()
            else:
                _freeze(workers[victim], 4.0)
            killed[fault] += 1
            before = until(lambda: count(settings, "outcome") + 1)
            until(lambda before=before: count(settings, "outcome") > min(TASKS - 1, before + 200))
        until(lambda: count(settings, "outcome") == TASKS, 60)
    finally:
        logs = [process.stop() for process in workers]
    with connect.open_sync(settings, "test") as connection:
        engine = Engine(connection)
        assert engine.query("select state::text, count(*) from pgflow.outcome group by 1") == [("completed", TASKS)]
        assert misplaced(connection) == []
        completed = engine.query(
            "select count(*), count(distinct task_id) from pgflow.event where type = 'task.completed'"
        )
        assert completed == [(TASKS, TASKS)], "each was recorded once"
        ((expired,),) = engine.query("select count(*) from pgflow.event where type = 'lease.expired'")
        assert expired > 0, "no kill hit a running task: the test proves nothing"
    assert not any("Traceback" in log for log in logs), logs


def _freeze(process: WorkerProcess, seconds: float) -> None:
    """Stop a worker and its executors for longer than their lease, then let them go on: zombies."""
    pids = [process.pid, *process.executors()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.xdist_group("processes")
async def test_a_zombies_late_writes_are_refused(database: Settings, engine: Engine, tmp_path: Path) -> None:
    """Frozen longer than its lease while running; its tasks are done by another; then it wakes and tries to write."""
    released = tmp_path / "released"
    asked = orjson.dumps({"path": str(released)})
    tasks = [engine.run(enqueue([Request(Spec("until_file"), asked)])).ids[0] for _ in range(8)]
    with worker(database, "--no-leader", **SHORT) as zombie:
        await eventually(lambda: engine.query("select count(*) from pgflow.lease") == [(8,)])
        pids = [zombie.pid, *zombie.executors()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        released.touch()
        async with leading(database.model_copy(update={"lease": 2.0})):
            with worker(database, "--no-leader"):
                await eventually(lambda: engine.query("select count(*) from pgflow.outcome") == [(8,)])
                for pid in pids[::-1]:
                    os.kill(pid, signal.SIGCONT)
                log = zombie.stop(60)
    assert "lease_lost" in log or "reaped" in log
    assert {engine.state(task) for task in tasks} == {"completed"}
    completed = engine.query("select task_id, attempt::int from pgflow.event where type = 'task.completed'")
    assert sorted(completed) == [(task, 2) for task in tasks], "only the second attempt was recorded"


@pytest.mark.xdist_group("processes")
def test_a_killed_executors_tasks_run_again_at_once(database: Settings, engine: Engine) -> None:
    with worker(database, PGFLOW_DRAIN="0.1") as process:
        until(lambda: engine.query("select 1 from pgflow.worker"))
        (task,) = engine.run(enqueue([Request(Spec("nap"), b'{"seconds": 30}')])).ids
        until(lambda: engine.state(task) == "running")
        begun = time.monotonic()
        os.kill(process.executors()[0], signal.SIGKILL)
        until(lambda: engine.query("select 1 from pgflow.lease where attempt = 2"), every=0.01)
        took = time.monotonic() - begun
    assert took < 20, "far sooner than the lease of 30 s"
    assert engine.events(task)[:3] == ["task.started", "lease.expired", "task.started"]


@pytest.mark.xdist_group("processes")
def test_a_task_that_kills_its_worker_is_dead_lettered_after_three(database: Settings, engine: Engine) -> None:
    with worker(database):
        (poison,) = engine.run(enqueue([Request(Spec("die"), b"{}")])).ids
        others = engine.run(enqueue([Request(Spec("add"), b'{"a": 1, "b": %d}' % n) for n in range(20)])).ids
        until(lambda: engine.state(poison) == "failed")
        until(lambda: {engine.state(task) for task in others} == {"completed"})
    ((error, attempt),) = engine.query("select error, attempt::int from pgflow.outcome where state = 'failed'")
    assert (error["reason"], attempt) == ("poisoned", 3)


@pytest.mark.xdist_group("processes")
def test_a_handler_that_blocks_the_loop_loses_no_lease(database: Settings, engine: Engine, tmp_path: Path) -> None:
    released = tmp_path / "released"

    def lease() -> datetime:
        ((until,),) = engine.query("select max(lease_until) from pgflow.worker")
        return cast("datetime", until)

    with worker(database, PGFLOW_HEARTBEAT="0.5"):
        (task,) = engine.run(enqueue([Request(Spec("hog_until_file"), orjson.dumps({"path": str(released)}))])).ids
        until((tmp_path / "released.begun").exists)
        for _ in range(2):
            before = lease()
            until(lambda before=before: lease() > before)
        released.touch()
        until(lambda: engine.state(task) == "completed")
    assert engine.events(task) == ["task.started", "task.completed"]


@pytest.mark.xdist_group("processes")
def test_a_rolling_restart_runs_nothing_twice(database: Settings, engine: Engine) -> None:
    tasks = engine.run(enqueue([Request(Spec("nap"), b'{"seconds": 0.02}') for _ in range(1500)])).ids
    for _ in range(3):
        with worker(database, "-c", "8"):
            before = engine.query("select count(*) from pgflow.outcome")
            until(lambda before=before: engine.query("select count(*) from pgflow.outcome") > before)
    with worker(database, "-c", "64"):
        until(lambda: engine.query("select count(*) from pgflow.outcome") == [(len(tasks),)])
    assert engine.query("select max(attempt)::int from pgflow.outcome") == [(1,)]
    assert engine.query("select count(*) from pgflow.event where type = 'lease.expired'") == [(0,)]
