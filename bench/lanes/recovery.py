"""recovery: how soon tasks run again when what ran them is killed, and whether a clean restart runs any twice.

Executor killed: its supervisor is alive and sees it. Worker killed: supervisor and executor at once, another worker
alive, lease and heartbeat as they are by default. Restart: workers are replaced, one after another, each drained by
SIGTERM, while a backlog is worked off; every handler leaves a mark of its own, so that nothing rests on the history.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.apps import mark, nap
from bench.ground import Ground
from bench.lanes import Options
from bench.result import NO_CPU, Result, spread
from bench.worker import Worker
from pgflow import Client

TASKS, ROUNDS = 100, 3
MARKS, RESTARTS = 150_000, 4
_AGAIN = """select max(extract(epoch from s.at))::float8, count(*) from pgflow.event s
             where s.type = 'task.started' and s.attempt = 2"""


def _running(ground: Ground, tasks: int) -> None:
    deadline = time.monotonic() + 30
    while ground.value("select count(*) from pgflow.lease") < tasks:
        if time.monotonic() > deadline:
            raise TimeoutError("the tasks did not start")
        time.sleep(0.02)


def _all_again(ground: Ground, tasks: int, timeout: float) -> float:
    """The instant at which the last of them had started its second attempt."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        row = ground.connection.execute(_AGAIN).fetchone()
        assert row is not None
        if row[1] >= tasks:
            return float(row[0])
        time.sleep(0.05)
    raise TimeoutError(f"not all of {tasks} tasks ran again within {timeout:g} s")


def executor_killed(ground: Ground, tasks: int) -> float:
    """Seconds until the last of its tasks ran again."""
    ground.clear()
    with Client(ground.settings) as client, Worker(ground.settings, tasks) as worker:
        worker.wait_registered(ground.connection)
        client.enqueue_many(nap.request(60.0) for _ in range(tasks))
        _running(ground, tasks)
        time.sleep(0.5)
        killed = time.time()
        os.kill(worker.executor(), signal.SIGKILL)
        took = _all_again(ground, tasks, 30) - killed
        worker.kill()
    return took


def worker_killed(ground: Ground, tasks: int) -> float:
    """Seconds until another worker had started the last of its tasks."""
    ground.clear()
    with Client(ground.settings) as client, Worker(ground.settings, tasks) as doomed:
        doomed.wait_registered(ground.connection)
        client.enqueue_many(nap.request(120.0) for _ in range(tasks))
        _running(ground, tasks)
        with Worker(ground.settings, tasks) as other:
            other.wait_registered(ground.connection)
            time.sleep(2.0)
            killed = time.time()
            doomed.kill()
            took = _all_again(ground, tasks, 120) - killed
            other.kill()
    return took


def restarts(ground: Ground, tasks: int, times: int) -> tuple[int, int]:
    """Handlers run twice, and never, over that many clean restarts."""
    ground.clear()
    with tempfile.TemporaryDirectory() as folder, Client(ground.settings) as client:
        path = Path(folder, "marks")
        path.touch()
        client.enqueue_many((mark.request(str(path), number) for number in range(tasks)), wake=False)
        for turn in range(times + 1):
            with Worker(ground.settings) as worker:
                worker.wait_registered(ground.connection)
                goal = tasks * 8 * (turn + 1) // (times + 1)
                deadline = time.monotonic() + 120
                while path.stat().st_size < goal and time.monotonic() < deadline:
                    time.sleep(0.001)
        marks = path.read_bytes()
    seen = Counter(marks[at : at + 8] for at in range(0, len(marks), 8))
    return sum(count - 1 for count in seen.values()), tasks - len(seen)


def run(ground: Ground, options: Options) -> Result:
    """Each of the three."""
    tasks = options.tasks or (5 if options.quick else TASKS)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    marks, times = (2_000, 1) if options.quick else (MARKS, RESTARTS)
    executors = [executor_killed(ground, tasks) for _ in range(rounds)]
    lease = ground.settings.lease
    workers: list[float] = [] if options.quick else [worker_killed(ground, tasks)]
    twice, never = restarts(ground, marks, times)
    return Result(
        "recovery", round(max(executors), 3), "s", None, None, NO_CPU, None,
        {"tasks": tasks, "rounds": rounds, "lease_s": lease, "heartbeat_s": ground.settings.heartbeat,
         "figure": "executor killed: until the last of its tasks runs again, worst round",
         "restart": f"{marks} tasks, {times} restarts by SIGTERM"},
        {"executor_killed": spread(executors), **({"worker_killed": spread(workers)} if workers else {})},
        {"executor_killed_s": round(max(executors), 3), "worker_killed_s": round(max(workers), 3) if workers else None,
         "worker_killed_beyond_lease_s": round(max(workers) - lease, 3) if workers else None,
         "run_twice": twice, "never_run": never},
    )  # fmt: skip
