"""fanout: a workflow that maps 1,000 children and joins them, on an idle worker; and one of 10,000.

The time is the database's: from `created_at` of the run to its `finished_at`.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from bench import floors
from bench.apps import fan
from bench.cpu import Meter, Spent
from bench.ground import Ground
from bench.lanes import Options
from bench.result import Result, spread
from bench.worker import Worker
from pgflow import Client

CHILDREN, TIMES, ROUNDS = 1_000, 10, 5
REST = 0.7
"""Seconds between two, so that the worker is idle again and has to be woken."""
_SECONDS = """
    select extract(epoch from o.finished_at - t.created_at)::float8
      from pgflow.task t join pgflow.outcome o on o.root_id = t.root_id and o.task_id = t.id
     where t.root_id = %s and t.id = t.root_id and o.state = 'completed'"""
_CHILDREN = "select count(*) from pgflow.outcome where root_id = %s and task_id <> %s and state = 'completed'"


@dataclass(slots=True)
class Fan:
    """One fan-out.

    Args:
        children: how many.
        seconds: by the database's clock.
        client: seconds from the call of `start` to the return of `result`.
        spent: CPU and WAL.
    """

    children: int
    seconds: float
    client: float
    spent: Spent


def fan_out(ground: Ground, client: Client, worker: Worker, children: int, rest: float = REST) -> Fan:
    """One run on a worker that has nothing else to do."""
    time.sleep(rest)
    meter = Meter(ground.connection, [worker.pid])
    began = time.perf_counter()
    handle = client.start(fan, children)
    joined = client.result(handle, timeout=120)
    passed = time.perf_counter() - began
    spent = meter.spent()
    ended = ground.value(_CHILDREN, handle.id, handle.id)
    if joined != children or ended != children:
        raise AssertionError(f"{children} children asked for, {ended} ended, {joined} joined")
    return Fan(children, ground.value(_SECONDS, handle.id), passed, spent)


def run(ground: Ground, options: Options) -> Result:
    """Rounds of small ones, a large one and the floors of both, interleaved."""
    children = options.tasks or (50 if options.quick else CHILDREN)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    rest = options.rest(REST)
    small, large, small_floors, large_floors = [], [], [], []
    for _ in range(rounds):
        ground.clear()
        ground.connection.execute("vacuum (analyze)")  # as on a database that was idle: it takes its tables for empty
        with Worker(ground.settings) as worker, Client(ground.settings) as client:
            worker.wait_registered(ground.connection)
            fan_out(ground, client, worker, 20, rest)  # opens connections
            small += [fan_out(ground, client, worker, children, rest) for _ in range(3)]
            large.append(fan_out(ground, client, worker, children * TIMES, rest))
        ground.clear()
        small_floors += [floors.fan_out(ground.settings, children) for _ in range(3)]
        large_floors.append(floors.fan_out(ground.settings, children * TIMES))
    seconds, floor_seconds = [f.seconds for f in small], [bare.seconds for bare in small_floors]
    figure, floor = statistics.median(seconds), statistics.median(floor_seconds)
    figure_10, floor_10 = (
        statistics.median(f.seconds for f in large),
        statistics.median(bare.seconds for bare in large_floors),
    )
    costs = [f.spent.per(f.children) for f in small]
    large_costs = [f.spent.per(f.children) for f in large]
    sides = ("worker", "postgres")
    return Result(
        "fanout", round(figure, 4), "s", round(floor, 4), round(figure / floor, 3),
        {side: statistics.median(cpu[side] for cpu, _ in costs) for side in sides},
        statistics.median(wal for _, wal in costs),
        {"per": "child", "children": children, "rounds": rounds, "a_round": f"3 of {children}, 1 of {children * TIMES}",
         "worker": "pgflow worker bench/apps.py -p 1 -c 100",
         "measured": "created_at of the run to its finished_at, the worker idle before",
         "floor": f"spawn {floors.ROWS}, claim and settle {floors.CLAIM} a statement, on one bare connection"},
        {"figure": spread(seconds, 4), "floor": spread(floor_seconds, 4),
         "ten_times": spread([f.seconds for f in large], 4),
         "ten_times_floor": spread([bare.seconds for bare in large_floors], 4),
         "seen_by_client": spread([f.client for f in small], 4)},
        {"ten_times_s": round(figure_10, 4), "ten_times_ratio": round(figure_10 / floor_10, 3),
         "ten_times_to_ten_of_one": round(figure_10 / TIMES / figure, 3),
         "ten_times_cpu_us": {side: statistics.median(cpu[side] for cpu, _ in large_costs) for side in sides},
         "floor_postgres_us": round(statistics.median(b.cpu for b in small_floors) / children * 1e6, 2)},
    )  # fmt: skip
