"""held-snapshot: what a forgotten transaction costs, which keeps vacuum from clearing what the queue leaves behind.

Two kinds: a reader with a repeatable-read snapshot, and a writer that is idle in a transaction with an id. Throughput:
of one long drain, the rate of its last stretch, after `AFTER` tasks died under the held snapshot, to the same stretch
of a drain without one. Latency: tasks offered at a steady rate, pick-up in the last five seconds to the first five.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from bench.cpu import Meter, Spent
from bench.ground import Ground
from bench.lanes import Options
from bench.lanes.drain import CONCURRENCY
from bench.offer import offered
from bench.result import Result, spread
from bench.worker import Worker

AFTER, STRETCH, ROUNDS = 500_000, 200_000, 2
RATE, SECONDS, EDGE = 10_000, 60.0, 5.0
KINDS = ("clean", "reader", "writer")


@contextmanager
def held(ground: Ground, kind: str) -> Iterator[None]:
    """Hold a snapshot open, or nothing when `clean`."""
    if kind == "clean":
        yield
        return
    with psycopg.connect(ground.settings.require_url(), autocommit=True) as connection:
        if kind == "reader":
            connection.execute("begin isolation level repeatable read")
            connection.execute("select count(*) from pgflow.queue")
        else:
            connection.execute("create table if not exists held (id int)")
            connection.execute("begin")
            connection.execute("insert into held values (1)")
        yield
        connection.execute("rollback")


def stretch(ground: Ground, kind: str, after: int, tasks: int) -> tuple[float, Spent]:
    """Tasks a second over the last `tasks` of a drain of `after + tasks`, and what the whole drain spent."""
    ground.clear()
    ground.fill(after + tasks)
    ground.connection.execute("checkpoint")
    target = ground.events() + 2 * (after + tasks)
    with held(ground, kind), Worker(ground.settings, CONCURRENCY) as worker:
        worker.wait_registered(ground.connection)
        meter = Meter(ground.connection, [worker.pid])
        ground.wait_for_events(target, 120 + (after + tasks) / 1_000)
        spent = meter.spent()
    row = ground.connection.execute(
        """select count(*), extract(epoch from max(finished_at) - min(finished_at))::float8
             from (select finished_at from pgflow.outcome order by finished_at desc limit %s) o""", [tasks]
    ).fetchone()  # fmt: skip
    assert row is not None
    ground.check_history(after + tasks)
    return tasks / row[1], spent


def steady(ground: Ground, kind: str, rate: int, seconds: float, edge: float) -> dict[str, Any]:
    """Pick-up at a steady offer: milliseconds at p50 in the first and the last `edge` seconds, and their ratio."""
    ground.clear()
    with Worker(ground.settings, CONCURRENCY) as worker:
        worker.wait_registered(ground.connection)
        offered(ground.settings, rate, edge / 5)  # so that the first seconds are not those of a cold start
        time.sleep(edge / 5)
        before = ground.value("select last_value from pgflow.task_id_seq")
        with held(ground, kind):
            offered(ground.settings, rate, seconds)
            time.sleep(edge / 5)
    row = ground.connection.execute(
        """select percentile_cont(0.5) within group (order by o) filter (where at < %(edge)s::float8),
                  percentile_cont(0.5) within group (order by o) filter (where at > last - %(edge)s::float8),
                  percentile_cont(0.99) within group (order by o) filter (where at > last - %(edge)s::float8),
                  count(*)
             from (select output::float8 * 1e3 as o, sent - min(sent) over () as at,
                          max(sent) over () - min(sent) over () as last
                     from (select o.output, (t.input ->> 'sent')::float8 as sent
                             from pgflow.task t join pgflow.outcome o on o.root_id = t.root_id and o.task_id = t.id
                            where t.id > %(before)s::bigint and o.output is not null) s) p""",
        {"edge": edge, "before": before},
    ).fetchone()
    assert row is not None
    first, last, p99, done = row
    figures = {"first_p50_ms": first, "last_p50_ms": last, "last_p99_ms": p99, "last_to_first": last / first}
    return {**{name: round(value, 3) for name, value in figures.items()}, "tasks": done}


def run(ground: Ground, options: Options) -> Result:
    """Rounds of the three kinds, interleaved; then a steady offer of each."""
    after, tasks = (3_000, 1_000) if options.quick else (AFTER, STRETCH)
    if options.tasks:
        after, tasks = options.tasks * 5 // 7, options.tasks * 2 // 7
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    rate, seconds, edge = (500, 0.6, 0.3) if options.quick else (RATE, SECONDS, EDGE)
    kinds = KINDS[:2] if options.quick else KINDS
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    costs: dict[str, list[Spent]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            figure, spent = stretch(ground, kind, after, tasks)
            rates[kind].append(figure)
            costs[kind].append(spent)
    picked = {kind: steady(ground, kind, rate, seconds, edge) for kind in (kinds[1:] if options.quick else kinds)}
    medians = {kind: statistics.median(rates[kind]) for kind in kinds}
    worst = min(kinds[1:], key=medians.__getitem__)
    cpu, wal = costs[worst][-1].per(after + tasks)
    return Result(
        "held-snapshot", round(medians[worst]), "tasks/s", round(medians["clean"]),
        round(medians[worst] / medians["clean"], 3), {**cpu}, wal,
        {"tasks_before": after, "tasks_measured": tasks, "rounds": rounds, "offered_per_s": rate, "offered_s": seconds,
         "figure": f"the worse of reader and writer (here: {worst})", "floor": "the same stretch with nothing held"},
        {kind: spread(rates[kind], 0) for kind in kinds},
        {**{f"ratio_{kind}": round(medians[kind] / medians["clean"], 3) for kind in kinds[1:]}, "pick_up": picked,
         "worst_last_to_first": max(picked[kind]["last_to_first"] for kind in kinds[1:])},
    )  # fmt: skip
