"""latency: how soon a task is picked up, up to the first line of its handler, on one clock: that of this machine.

Idle: one task at a time, after a random rest, so that the worker is asleep and must be woken. The figure counts from
the return of `enqueue`, when the task exists; `from_call` from before it was called, its own commit included.
Busy: 32 clients enqueue singly, as fast as they can, while the worker runs what they enqueue.
"""

from __future__ import annotations

import random
import time

from bench.apps import probe
from bench.clients import Crowd
from bench.cpu import Meter
from bench.ground import Ground
from bench.lanes import Options
from bench.result import Result, percentiles, spread
from bench.worker import Worker
from pgflow import Client

TASKS, ROUNDS = 400, 3
RESTS = (0.03, 0.25)
CLIENTS, SECONDS = 32, 5.0


def idle_round(ground: Ground, tasks: int) -> tuple[list[float], list[float]]:
    """Seconds from the call, and from the commit, of each task."""
    returned: dict[int, float] = {}
    with Client(ground.settings) as client:
        for _ in range(tasks):
            time.sleep(random.uniform(*RESTS))
            sent = time.time()
            handle = client.enqueue(probe, sent)
            returned[handle.id] = time.time() - sent
    time.sleep(0.3)
    rows = ground.connection.execute("select task_id, output::float8 from pgflow.outcome").fetchall()
    took = {task: seconds for task, seconds in rows if task in returned}
    if len(took) != tasks:
        raise AssertionError(f"{tasks} asked, {len(took)} done")
    return list(took.values()), [max(0.0, took[task] - returned[task]) for task in took]


def busy_round(ground: Ground, seconds: float) -> tuple[list[float], float]:
    """Seconds from the call of each task, and tasks enqueued a second."""
    rate = Crowd(ground.settings, CLIENTS, seconds, "probe", wake=True).rate()
    time.sleep(0.5)
    rows = ground.connection.execute("select output::float8 from pgflow.outcome where output is not null").fetchall()
    return [row[0] for row in rows], rate


def run(ground: Ground, options: Options) -> Result:
    """Idle rounds and busy rounds, interleaved, each with a fresh worker."""
    tasks = options.tasks or (8 if options.quick else TASKS)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    seconds = 0.5 if options.quick else SECONDS
    from_call: list[float] = []
    from_commit: list[float] = []
    busy: list[float] = []
    p50s, p99s, rates, costs = [], [], [], []
    for _ in range(rounds):
        ground.clear()
        with Worker(ground.settings) as worker:
            worker.wait_registered(ground.connection)
            time.sleep(0.2 if options.quick else 1.0)
            meter = Meter(ground.connection, [worker.pid])
            called, committed = idle_round(ground, tasks)
            costs.append(meter.spent().per(tasks))
            from_call += called
            from_commit += committed
            p50s.append(percentiles(committed)["p50"])
            p99s.append(percentiles(committed)["p99"])
            ground.clear_history()
            picked, rate = busy_round(ground, seconds)
            busy += picked
            rates.append(rate)
    figures = percentiles(from_commit)
    cpu, wal = costs[len(costs) // 2]
    return Result(
        "latency", figures["p50"], "ms", None, None, {**cpu}, wal,
        {"tasks": tasks, "rounds": rounds, "rest_between_s": RESTS, "worker": "pgflow worker bench/apps.py -p 1 -c 100",
         "measured": "from the return of enqueue to the handler's first line",
         "busy": f"{CLIENTS} clients enqueue singly for {seconds} s"},
        {"p50": spread(p50s), "p99": spread(p99s), "busy_enqueued_per_s": spread(rates, 0)},
        {"from_commit_ms": figures, "from_call_ms": percentiles(from_call), "busy_ms": percentiles(busy),
         "busy_tasks": len(busy)},
    )  # fmt: skip
