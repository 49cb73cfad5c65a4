"""steps: how fast workflows of 10 no-op steps run, each step durable before the next one starts.

With 1,000 runs in flight, with 50, and one run alone on an idle worker. From the history it takes how many steps went
into one commit, and the floor records steps in batches of that size, from one bare connection.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from bench import floors
from bench.apps import chain
from bench.cpu import Meter, Spent
from bench.floors import Bare
from bench.ground import Ground
from bench.lanes import Options
from bench.result import Result, spread
from bench.worker import Worker
from pgflow import Client

STEPS = 10
MANY, FEW = 1_000, 50
RUNS, RUNS_OF_FEW, ALONE, ROUNDS = 6_000, 3_000, 100, 3
EVENTS = STEPS + 4
"""A run's events: task.started, workflow.started, its steps, workflow.finished, task.completed."""
_HISTORY = """
    select count(*) filter (where type = 'step.completed'),
           count(*) filter (where type = 'workflow.finished' and data ->> 'state' = 'completed'),
           count(*) filter (where type = 'step.completed')::float8
             / count(distinct xid) filter (where type = 'step.completed') from pgflow.event"""
_ALONE = """
    select extract(epoch from o.finished_at - e.at)::float8 from pgflow.outcome o
      join pgflow.event e on e.root_id = o.root_id and e.task_id = o.task_id and e.type = 'task.started'"""


@dataclass(slots=True)
class Round:
    """One drain of runs.

    Args:
        runs: how many.
        seconds: from the first claim to the last outcome.
        batch: steps a commit, on average.
        spent: CPU and WAL.
    """

    runs: int
    seconds: float
    batch: float
    spent: Spent

    @property
    def rate(self) -> float:
        """Steps a second."""
        return self.runs * STEPS / self.seconds


def busy_round(ground: Ground, runs: int, in_flight: int) -> Round:
    """Run a backlog of workflows."""
    ground.clear()
    ground.connection.execute("vacuum (analyze)")  # as on a database that was idle: it takes its tables for empty
    with Client(ground.settings) as client:
        client.enqueue_many((chain.request(STEPS) for _ in range(runs)), wake=False)
    ground.connection.execute("checkpoint")
    target = ground.events() + EVENTS * runs
    with Worker(ground.settings, in_flight) as worker:
        worker.wait_registered(ground.connection)
        meter = Meter(ground.connection, [worker.pid])
        ground.wait_for_events(target, 60 + runs * STEPS / 500)
        spent = meter.spent()
    done, seconds = ground.span()
    found = ground.connection.execute(_HISTORY).fetchone()
    assert found is not None
    if (done, *found[:2]) != (runs, runs * STEPS, runs):
        raise AssertionError(f"expected {runs} runs of {STEPS} steps, found {done} outcomes and {found[:2]}")
    return Round(done, seconds, float(found[2]), spent)


def floor_round(ground: Ground, runs: int, in_flight: int, batch: float) -> Bare:
    """Record as many steps with nothing around it."""
    ground.clear()
    return floors.record(ground.settings, runs, STEPS, in_flight, max(1, round(batch)))


def alone_round(ground: Ground, runs: int) -> list[float]:
    """Milliseconds a step of runs that run one after another, from claim to outcome on the database's clock."""
    ground.clear()
    with Worker(ground.settings) as worker, Client(ground.settings) as client:
        worker.wait_registered(ground.connection)
        client.result(client.start(chain, STEPS), timeout=30)  # the first opens connections
        ground.clear_history()
        for _ in range(runs):
            client.result(client.start(chain, STEPS), timeout=30)
    return [seconds / STEPS * 1e3 for (seconds,) in ground.connection.execute(_ALONE).fetchall()]


def run(ground: Ground, options: Options) -> Result:
    """Rounds of everything, interleaved."""
    runs = options.tasks or (100 if options.quick else RUNS)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    few, ones = (50, 5) if options.quick else (min(runs, RUNS_OF_FEW), ALONE)
    manys, many_floors, fews, few_floors, alone = [], [], [], [], []
    for _ in range(rounds):
        manys.append(busy_round(ground, runs, MANY))
        many_floors.append(floor_round(ground, runs, MANY, manys[-1].batch))
        fews.append(busy_round(ground, few, FEW))
        few_floors.append(floor_round(ground, few, FEW, fews[-1].batch))
        alone.append(alone_round(ground, ones))
    rates, floor_rates = [r.rate for r in manys], [runs * STEPS / bare.seconds for bare in many_floors]
    few_rates, few_floor_rates = [r.rate for r in fews], [few * STEPS / bare.seconds for bare in few_floors]
    figure, floor = statistics.median(rates), statistics.median(floor_rates)
    costs = [r.spent.per(r.runs * STEPS) for r in manys]
    few_costs = [r.spent.per(r.runs * STEPS) for r in fews]
    sides = ("worker", "postgres")
    return Result(
        "steps", round(figure), "steps/s", round(floor), round(figure / floor, 3),
        {side: statistics.median(cpu[side] for cpu, _ in costs) for side in sides},
        statistics.median(wal for _, wal in costs),
        {"per": "step", "runs": runs, "steps": STEPS, "rounds": rounds, "runs_of_50_in_flight": few,
         "runs_alone": ones, "worker": f"pgflow worker bench/apps.py -p 1 -c {MANY} (or {FEW})",
         "floor": "task/record on one bare connection, as many steps a statement as the lane's commits had",
         "recorded": "each run's start and end, each step, before the next one starts"},
        {"figure": spread(rates, 0), "floor": spread(floor_rates, 0), "in_flight_50": spread(few_rates, 0),
         "in_flight_50_floor": spread(few_floor_rates, 0),
         "alone_ms_a_step": spread([statistics.median(found) for found in alone])},
        {"in_flight_50": round(statistics.median(few_rates)),
         "in_flight_50_ratio": round(statistics.median(few_rates) / statistics.median(few_floor_rates), 3),
         "in_flight_50_cpu_us": {side: statistics.median(cpu[side] for cpu, _ in few_costs) for side in sides},
         "alone_ms_a_step": round(statistics.median(ms for found in alone for ms in found), 3),
         "steps_a_commit": round(statistics.median(r.batch for r in manys), 1),
         "in_flight_50_steps_a_commit": round(statistics.median(r.batch for r in fews), 1),
         "floor_postgres_us": round(statistics.median(b.cpu for b in many_floors) / (runs * STEPS) * 1e6, 2),
         "rounds": [round(rate) for rate in rates], "floor_rounds": [round(rate) for rate in floor_rates]},
    )  # fmt: skip
