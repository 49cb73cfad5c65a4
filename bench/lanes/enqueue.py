"""enqueue: how fast tasks are taken in: many a call, one awaited after another, and by 1, 8 and 32 clients singly.

Many and one go through the public client. The clients are pgbench's, because Python's would hide what the statement
costs (they stand in where there is no pgbench); a worker runs what they send, once with wake-ups, once without, with a
worker that polls so often that it runs the same tasks all the same; then both again with no worker at all. What
wake-ups cost is the greater of the two differences. The floor of many is the same statement on one bare connection;
that of one is a bare INSERT and its commit.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from bench import pgbench
from bench.apps import noop
from bench.clients import Crowd, single
from bench.cpu import Meter
from bench.ground import Ground
from bench.lanes import Options
from bench.result import Result, spread
from bench.worker import Worker
from pgflow import AsyncClient, Client

TASKS, ROUNDS = 200_000, 3
ONES, SECONDS = 3_000, 4.0
CLIENTS = (1, 8, 32)
MODES = (("wake", True), ("quiet", False))
POLLING = {"PGFLOW_SAFETY_POLL": "0.02"}


def many(ground: Ground, tasks: int) -> float:
    """Tasks a second of one `enqueue_many`, from making the requests to its return."""
    with Client(ground.settings) as client:
        client.enqueue(noop)
        started = time.perf_counter()
        client.enqueue_many(noop.request() for _ in range(tasks))
        return tasks / (time.perf_counter() - started)


def one(ground: Ground, tasks: int) -> float:
    """Tasks a second of `Client.enqueue`, one after another."""
    with Client(ground.settings) as client:
        client.enqueue(noop)
        started = time.perf_counter()
        for _ in range(tasks):
            client.enqueue(noop)
        return tasks / (time.perf_counter() - started)


async def one_awaited(ground: Ground, tasks: int) -> float:
    """Tasks a second of `AsyncClient.enqueue`, each awaited."""
    async with AsyncClient(ground.settings) as client:
        await client.enqueue(noop)
        started = time.perf_counter()
        for _ in range(tasks):
            await client.enqueue(noop)
        return tasks / (time.perf_counter() - started)


def bare_inserts(ground: Ground, tasks: int) -> float:
    """Rows a second of a bare INSERT into a narrow table, committed one by one."""
    ground.connection.execute("create table if not exists bare (id bigint generated always as identity, input jsonb)")
    started = time.perf_counter()
    for _ in range(tasks):
        ground.connection.execute("insert into bare (input) values (%s::jsonb)", ["{}"], prepare=True)
    return tasks / (time.perf_counter() - started)


def singly(ground: Ground, size: int, seconds: float, *, wake: bool) -> float:
    """Tasks a second of that many clients, each task awaited."""
    if pgbench.program() is None:
        return Crowd(ground.settings, size, seconds, wake=wake).rate()
    return pgbench.rate(ground.settings, single(wake=wake), size, seconds)


def crowds(ground: Ground, seconds: float, sizes: tuple[int, ...]) -> dict[str, float]:
    """Tasks a second by number of clients, with a worker at work and, for the last number, without."""
    rates = {}
    for size in sizes:
        for name, wake in MODES:
            ground.clear()
            with Worker(ground.settings, environment={} if wake else POLLING) as worker:
                worker.wait_registered(ground.connection)
                time.sleep(min(1.5, seconds))
                rates[f"clients_{size}_{name}"] = singly(ground, size, seconds, wake=wake)
    for name, wake in MODES:
        ground.clear()
        rates[f"clients_{sizes[-1]}_{name}_no_worker"] = singly(ground, sizes[-1], seconds, wake=wake)
    return rates


def lost(rates: dict[str, float], size: int, where: str = "") -> float:
    """The share of the rate that wake-ups cost."""
    return 1 - rates[f"clients_{size}_wake{where}"] / rates[f"clients_{size}_quiet{where}"]


def run(ground: Ground, options: Options) -> Result:
    """Rounds of everything, interleaved."""
    tasks = options.tasks or (4_000 if options.quick else TASKS)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    ones = 100 if options.quick else ONES
    seconds = 0.3 if options.quick else SECONDS
    sizes = CLIENTS[:1] if options.quick else CLIENTS
    manys, floors, costs, bares, singles, awaited = [], [], [], [], [], []
    clients: list[dict[str, float]] = []
    for _ in range(rounds):
        ground.clear()
        meter = Meter(ground.connection, [])
        manys.append(many(ground, tasks))
        costs.append(meter.spent().per(tasks))
        ground.clear()
        floors.append(tasks / ground.fill(tasks))
        ground.clear()
        bares.append(bare_inserts(ground, ones))
        singles.append(one(ground, ones))
        awaited.append(asyncio.run(one_awaited(ground, ones)))
        clients.append(crowds(ground, seconds, sizes))
    figure, floor = statistics.median(manys), statistics.median(floors)
    lost_at_work = [lost(rates, sizes[-1]) for rates in clients]
    lost_alone = [lost(rates, sizes[-1], "_no_worker") for rates in clients]
    return Result(
        "enqueue", round(figure), "tasks/s", round(floor), round(figure / floor, 3),
        {"worker": None, "postgres": statistics.median(cpu["postgres"] for cpu, _ in costs)},
        statistics.median(wal for _, wal in costs),
        {"tasks": tasks, "rounds": rounds, "many": "Client.enqueue_many, one transaction",
         "floor": "the same statement, 1,000 tasks each, one bare connection", "one": f"{ones} times Client.enqueue",
         "clients": f"singly for {seconds:g} s, one worker running what they send",
         "driver": "pgbench" if pgbench.program() else "Python"},
        {"many": spread(manys, 0), "floor": spread(floors, 0), "one": spread(singles, 0),
         "one_awaited": spread(awaited, 0), "bare_insert": spread(bares, 0),
         "lost_with_worker": spread(lost_at_work), "lost_no_worker": spread(lost_alone),
         **{name: spread([rates[name] for rates in clients], 0) for name in clients[0]}},
        {"one": round(max(statistics.median(singles), statistics.median(awaited))),
         "one_to_bare_insert": round(statistics.median(singles) / statistics.median(bares), 3),
         "lost_to_wake_ups": round(max(statistics.median(lost_at_work), statistics.median(lost_alone)), 4)},
    )  # fmt: skip
