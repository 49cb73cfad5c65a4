"""keyed: tasks of a queue that is limited to one at a time for each of 1,000 keys, beside the same without a limit.

From the history it also counts how often a task of a key started before the one before it had ended: it must be never.
"""

from __future__ import annotations

import random
import statistics

from bench.apps import KEYED_QUEUE, keyed
from bench.cpu import Meter
from bench.ground import Ground
from bench.lanes import Options
from bench.lanes.drain import CONCURRENCY, Round
from bench.result import Result, spread
from bench.worker import Worker
from pgflow import Client, Limit

TASKS, ROUNDS, KEYS = 150_000, 3, 1_000
_OVERLAPS = """
    select count(*) filter (where ended > started) from (
           select s.at as started, lag(e.at) over (partition by t.slot order by s.at) as ended
             from pgflow.task t
             join pgflow.event s on s.root_id = t.root_id and s.task_id = t.id and s.type = 'task.started'
             join pgflow.event e on e.root_id = t.root_id and e.task_id = t.id and e.type = 'task.completed') x"""


def keyed_round(ground: Ground, tasks: int, keys: int, *, limited: bool) -> tuple[Round, int]:
    """A drain of tasks of random keys, and how often two of a key overlapped."""
    ground.clear()
    numbers = random.Random(1)
    with Client(ground.settings) as client:
        if limited:
            client.limit_queue(KEYED_QUEUE, Limit(concurrency=keys, slot_concurrency=1))
        else:
            client.lift_limit(KEYED_QUEUE)
        before = ground.events()
        client.enqueue_many((keyed.request(numbers.randrange(keys)) for _ in range(tasks)), wake=False)
        ground.connection.execute("checkpoint")
        with Worker(ground.settings, CONCURRENCY) as worker:
            worker.wait_registered(ground.connection)
            meter = Meter(ground.connection, [worker.pid])
            ground.wait_for_events(before + 2 * tasks, 60 + tasks / 500)
            spent = meter.spent()
    done, seconds = ground.span()
    ground.check_history(tasks)
    return Round(done, seconds, spent), ground.value(_OVERLAPS)


def run(ground: Ground, options: Options) -> Result:
    """Rounds of both, interleaved."""
    tasks = options.tasks or (500 if options.quick else TASKS)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    keys = 10 if options.quick else KEYS
    bound, free, overlaps = [], [], 0
    for _ in range(rounds):
        measured, overlapped = keyed_round(ground, tasks, keys, limited=True)
        bound.append(measured)
        overlaps += overlapped
        free.append(keyed_round(ground, tasks, keys, limited=False)[0])
    figure, floor = statistics.median(r.rate for r in bound), statistics.median(r.rate for r in free)
    costs = [r.spent.per(r.tasks) for r in bound]
    return Result(
        "keyed", round(figure), "tasks/s", round(floor), round(figure / floor, 3),
        {side: statistics.median(cpu[side] for cpu, _ in costs) for side in ("worker", "postgres")},
        statistics.median(wal for _, wal in costs),
        {"tasks": tasks, "rounds": rounds, "keys": keys, "limit": "1 task at a time of each key",
         "floor": "the same tasks, the queue not limited"},
        {"figure": spread([r.rate for r in bound], 0), "floor": spread([r.rate for r in free], 0)},
        {"overlaps": overlaps},
    )  # fmt: skip
