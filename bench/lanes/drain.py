"""drain: how fast one worker empties a backlog of no-op tasks, beside the same SQL with nothing around it."""

from __future__ import annotations

import statistics
import subprocess
import sys
from dataclasses import dataclass

from bench.cpu import Meter, Spent
from bench.ground import Ground
from bench.lanes import Options
from bench.result import Result, spread
from bench.worker import HOME, Worker

TASKS, ROUNDS = 300_000, 5
BATCH = 500
CONCURRENCY = 100


@dataclass(slots=True)
class Round:
    """One drain."""

    tasks: int
    seconds: float
    spent: Spent

    @property
    def rate(self) -> float:
        """Tasks a second, from the first claim to the last outcome."""
        return self.tasks / self.seconds


def worker_round(ground: Ground, tasks: int) -> Round:
    """Drain a fresh backlog with a worker."""
    ground.clear()
    ground.fill(tasks)
    ground.connection.execute("checkpoint")
    target = ground.events() + 2 * tasks
    with Worker(ground.settings, CONCURRENCY) as worker:
        worker.wait_registered(ground.connection)
        meter = Meter(ground.connection, [worker.pid])
        ground.wait_for_events(target, 60 + tasks / 2_000)
        spent = meter.spent()
    done, seconds = ground.span()
    ground.check_history(tasks)
    return Round(done, seconds, spent)


def floor_round(ground: Ground, tasks: int) -> Round:
    """Drain a fresh backlog with the bare driver."""
    ground.clear()
    ground.fill(tasks)
    ground.connection.execute("checkpoint")
    meter = Meter(ground.connection, [])
    command = [sys.executable, "-m", "bench.floor", ground.settings.require_url(), str(tasks), str(BATCH)]
    subprocess.run(command, check=True, cwd=HOME)
    spent = meter.spent()
    done, seconds = ground.span()
    ground.check_history(tasks)
    return Round(done, seconds, spent)


def run(ground: Ground, options: Options) -> Result:
    """Rounds of both, interleaved."""
    tasks = options.tasks or (2_000 if options.quick else TASKS)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    drains, floors = [], []
    for _ in range(rounds):
        drains.append(worker_round(ground, tasks))
        floors.append(floor_round(ground, tasks))
    figure = statistics.median(r.rate for r in drains)
    floor = statistics.median(r.rate for r in floors)
    costs = [r.spent.per(r.tasks) for r in drains]
    floor_costs = [r.spent.per(r.tasks) for r in floors]
    worker = [cpu["worker"] for cpu, _ in costs]
    postgres = [cpu["postgres"] for cpu, _ in costs]
    return Result(
        "drain", round(figure), "tasks/s", round(floor), round(figure / floor, 3),
        {"worker": statistics.median(worker), "postgres": statistics.median(postgres)},
        statistics.median(wal for _, wal in costs),
        {"tasks": tasks, "rounds": rounds, "worker": f"pgflow worker bench/apps.py -p 1 -c {CONCURRENCY}",
         "floor": f"bench.floor: claim and settle, {BATCH} a statement, two connections, two threads",
         "recorded": "outcome, task.started and task.completed event per task"},
        {"figure": spread([r.rate for r in drains], 0), "floor": spread([r.rate for r in floors], 0),
         "worker_us": spread(worker), "postgres_us": spread(postgres)},
        {"cpu_us_total": round(statistics.median(w + p for w, p in zip(worker, postgres, strict=True)), 2),
         "floor_postgres_us": statistics.median(cpu["postgres"] for cpu, _ in floor_costs),
         "rounds": [round(r.rate) for r in drains], "floor_rounds": [round(r.rate) for r in floors]},
    )  # fmt: skip
