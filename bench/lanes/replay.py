"""replay: from the claim of a run that has recorded 1,000 steps to the first line of the step that comes next.

Runs record their steps and sleep; then another worker takes the place of theirs, which may have kept them in memory,
and each wakes alone. So the figure holds the claim's own commit, the reading of the history and the running of the code
up to its end. Runs of 10 recorded steps tell what of it does not grow; runs whose worker stays, what keeping saves.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import floors
from bench.apps import chain, long
from bench.cpu import Meter, Spent
from bench.ground import Ground
from bench.lanes import Options
from bench.lanes.sleepers import wait_asleep
from bench.result import Result, percentiles, spread
from bench.worker import Worker
from pgflow import Client

STEPS, FEW = 1_000, 10
RUNS, ROUNDS = 20, 3
REST, APART = 5.0, 0.1
_TOOK = """
    select o.output::float8 - extract(epoch from (
               select max(e.at) from pgflow.event e where e.root_id = o.root_id and e.type = 'task.started'))::float8
      from pgflow.outcome o
     where o.state = 'completed' and 2 = (
           select count(*) from pgflow.event e where e.root_id = o.root_id and e.type = 'task.started')"""
_WOKEN = "select exists (select from pgflow.event where type = 'timer.fired')"
_ENDED = """
    select count(*) from pgflow.outcome o join pgflow.task t on t.root_id = o.root_id where t.name = 'bench.long'"""


@dataclass(slots=True)
class Round:
    """Some runs of a kind.

    Args:
        took: seconds of each, from claim to step.
        history: seconds that reading one history takes on a bare connection.
        spent: CPU and WAL from when all were asleep until all had ended.
    """

    took: list[float]
    history: float
    spent: Spent


def replays(ground: Ground, steps: int, runs: int, rest: float, *, kept: bool = False) -> Round:
    """Have runs record that many steps and sleep, and wake one after another: in another worker, unless `kept`.

    They sleep for `rest` seconds; for longer, if on this machine one wakes before the stage is set.
    """
    while (found := _replays(ground, steps, runs, rest, kept=kept)) is None:
        rest *= 2
    return found


def _replays(ground: Ground, steps: int, runs: int, rest: float, *, kept: bool) -> Round | None:
    ground.clear()
    with Client(ground.settings) as client:
        with _worker(ground, client) as first:
            handles = client.enqueue_many(long.request(steps, rest + number * APART) for number in range(runs))
            wait_asleep(ground, runs, 60 + steps * runs / 500, unless=lambda: ground.value(_WOKEN))
            early = ground.value(_WOKEN)
            spent = _wake(ground, first, runs, rest) if kept and not early else None
        if early or (not kept and ground.value(_WOKEN)):
            return None
        if spent is None:
            with _worker(ground, client) as second:
                spent = _wake(ground, second, runs, rest)
    took = [seconds for (seconds,) in ground.connection.execute(_TOOK.encode()).fetchall()]
    if len(took) != runs:
        raise AssertionError(f"{len(took)} of {runs} runs went on once")
    return Round(took, floors.history(ground.settings, handles[0].id, 20), spent)


@contextmanager
def _worker(ground: Ground, client: Client) -> Iterator[Worker]:
    """A worker that has run a workflow already, so that its connections are open and its statements planned."""
    with Worker(ground.settings) as worker:
        worker.wait_registered(ground.connection)
        client.result(client.start(chain, 1), timeout=60)
        yield worker


def _wake(ground: Ground, worker: Worker, runs: int, rest: float) -> Spent:
    meter = Meter(ground.connection, [worker.pid])
    deadline = time.monotonic() + 60 + rest + runs * APART
    while ground.value(_ENDED) < runs:
        if time.monotonic() > deadline:
            raise TimeoutError("not all of them woke and ended")
        time.sleep(0.1)
    return meter.spent()


def run(ground: Ground, options: Options) -> Result:
    """Rounds of both, interleaved."""
    steps = options.tasks or (100 if options.quick else STEPS)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    runs, rest = (3, 2.0) if options.quick else (RUNS, REST)
    few = min(FEW, steps // 2)
    longs, shorts, keeps = [], [], []
    for _ in range(rounds):
        longs.append(replays(ground, steps, runs, rest))
        shorts.append(replays(ground, few, runs, rest))
        keeps.append(replays(ground, steps, runs, rest, kept=True))
    all_long = [seconds for r in longs for seconds in r.took]
    all_kept = [seconds for r in keeps for seconds in r.took]
    all_short = [seconds for r in shorts for seconds in r.took]
    figure, short = statistics.median(all_long) * 1e3, statistics.median(all_short) * 1e3
    floor = statistics.median(r.history for r in longs) * 1e3
    costs = [r.spent.per(len(r.took)) for r in longs]
    return Result(
        "replay", round(figure, 3), "ms", round(floor, 3), round(figure / floor, 3),
        {side: statistics.median(cpu[side] for cpu, _ in costs) for side in ("worker", "postgres")},
        statistics.median(wal for _, wal in costs),
        {"per": "run woken", "steps": steps, "runs": runs, "rounds": rounds, "apart_s": APART,
         "worker": "pgflow worker bench/apps.py -p 1 -c 100",
         "measured": "from the task.started event of the second claim to the first line of the next step",
         "worker_replaced": "between the sleep and the waking, but for kept_in_memory_ms",
         "floor": "workflow/history of such a run on one bare connection"},
        {"figure": spread([statistics.median(r.took) * 1e3 for r in longs]),
         "few_steps": spread([statistics.median(r.took) * 1e3 for r in shorts]),
         "floor": spread([r.history * 1e3 for r in longs])},
        {"all_ms": percentiles(all_long), "few_steps": few, "few_steps_ms": round(short, 3),
         "kept_in_memory_ms": percentiles(all_kept),
         "us_a_recorded_step": round((figure - short) / (steps - few) * 1e3, 2)},
    )  # fmt: skip
