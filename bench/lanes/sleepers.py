"""sleepers: what 100,000 sleeping runs cost, and how late 1,000 of them wake that are due at one instant.

The same worker is measured twice: before there is a sleeper, which is the floor, and with all of them asleep. That they
hold nothing is read from the database (leases, what the worker says it is running) and from /proc (threads, memory).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.apps import alarm, noop, sleeper
from bench.cpu import Meter
from bench.ground import Ground
from bench.lanes import Options
from bench.result import NO_CPU, Result, percentiles
from bench.worker import Worker
from pgflow import Client

RUNS, WOKEN = 100_000, 1_000
SECONDS, SETTLE = 20.0, 8.0
LEAD = 5.0
HOURS = 6.0
_STARTED = """
    select extract(epoch from max(e.at))::float8 from pgflow.event e join pgflow.task t on t.root_id = e.root_id
     where t.name = 'bench.alarm' and e.type = 'task.started' group by e.root_id having count(*) = 2"""
_ENDED = """
    select extract(epoch from o.finished_at)::float8 from pgflow.outcome o join pgflow.task t on t.root_id = o.root_id
     where t.name = 'bench.alarm' and o.state = 'completed'"""
_RUNNING = "select sum(running)::integer from pgflow.worker where closed_at is null"
_ASLEEP = "select count(*) from pgflow.delayed where reason = 'sleeping'"


@dataclass(slots=True)
class Held:
    """What a worker holds.

    Args:
        leases: tasks that are leased.
        running: tasks that it says it is running.
        threads: of its executor.
        megabytes: resident memory of its executor.
    """

    leases: int
    running: int
    threads: int
    megabytes: float


def held(ground: Ground, worker: Worker, patience: float = 0.0) -> Held:
    """What the worker holds now; what it says it is running may be as old as its last beat, hence the patience."""
    deadline = time.monotonic() + patience
    while (running := ground.value(_RUNNING)) and time.monotonic() < deadline:
        time.sleep(0.05)
    process = Path("/proc", str(worker.executor()))
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
    return Held(
        ground.value("select count(*) from pgflow.lease"),
        running,
        int(status["Threads"]),
        round(int(status["VmRSS"].split()[0]) / 1024, 1),
    )


def cost(ground: Ground, worker: Worker, seconds: float, settle: float) -> tuple[float, float]:
    """CPU that worker and server use, in percent of a core."""
    ground.connection.execute("vacuum (analyze)")  # so that autovacuum finds nothing to do meanwhile
    ground.connection.execute("checkpoint")
    time.sleep(settle)
    meter = Meter(ground.connection, [worker.pid])
    time.sleep(seconds)
    spent = meter.spent()
    return spent.worker / seconds * 100, spent.postgres / seconds * 100


def wait_asleep(ground: Ground, number: int, timeout: float, unless: Callable[[], bool] = lambda: False) -> None:
    """Wait until that many runs are asleep, or until `unless` holds.

    Raises:
        TimeoutError: it took longer than `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while (asleep := ground.value(_ASLEEP)) < number or ground.value("select exists (select from pgflow.lease)"):
        if unless():
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{asleep} of {number} runs asleep after {timeout:g} s")
        time.sleep(0.1)


def lateness(ground: Ground, due: float, woken: int) -> tuple[list[float], list[float]]:
    """Seconds from the instant they were due to their claims, and to their outcomes."""
    deadline = due + 120
    while ground.value(f"select count(*) from ({_ENDED}) x") < woken:
        if time.time() > deadline:
            raise TimeoutError("not all of those that were due have ended")
        time.sleep(0.1)
    claimed = [at - due for (at,) in ground.connection.execute(_STARTED.encode()).fetchall()]
    ended = [at - due for (at,) in ground.connection.execute(_ENDED.encode()).fetchall()]
    if len(claimed) != woken or min(claimed) < 0:
        raise AssertionError(f"{len(claimed)} of {woken} were woken, the first {min(claimed):g} s after it was due")
    return claimed, ended


def run(ground: Ground, options: Options) -> Result:
    """A worker without sleepers, then with them, then some of them wake."""
    runs = options.tasks or (300 if options.quick else RUNS)
    woken = min(WOKEN, runs // 10)
    seconds, settle, lead = (0.3, 0.2, 4.0) if options.quick else (SECONDS, SETTLE, LEAD)
    beats = {"PGFLOW_HEARTBEAT": "0.2"} if options.quick else {}
    ground.clear()
    with Worker(ground.settings, environment=beats) as worker, Client(ground.settings) as client:
        worker.wait_registered(ground.connection)
        client.result(client.start(alarm, 0.0), timeout=30)  # opens connections
        base = cost(ground, worker, seconds, settle)
        before = held(ground, worker)
        ground.clear_history()
        began = time.monotonic()
        client.enqueue_many(sleeper.request(HOURS) for _ in range(runs - woken))
        wait_asleep(ground, runs - woken, 60 + runs / 500)
        put_to_sleep = time.monotonic() - began
        # Far enough away for the measurement between; a vacuum of what was just written comes before it.
        due = ground.value("select extract(epoch from pgflow.now())::float8") + 2 * settle + seconds + lead
        client.enqueue_many(alarm.request(due) for _ in range(woken))
        wait_asleep(ground, runs, 60)
        asleep = cost(ground, worker, seconds, settle)
        after = held(ground, worker, patience=lead / 2)
        early = ground.value("select extract(epoch from pgflow.now())::float8") - due
        if early >= 0:
            raise AssertionError(f"the measurement ended {early:g} s after the instant of waking")
        sent = time.perf_counter()
        client.result(client.enqueue(noop), timeout=30)
        answered = time.perf_counter() - sent
        claimed, ended = lateness(ground, due, woken)
    figure, floor = sum(asleep), sum(base)
    return Result(
        "sleepers", round(figure, 3), "% of a core", round(floor, 3), round(figure / max(floor, 1e-9), 3), NO_CPU, None,
        {"runs": runs, "woken": woken, "seconds": seconds, "settled_for_s": settle, "hours": HOURS,
         "worker": "pgflow worker bench/apps.py -p 1 -c 100",
         "floor": "the same worker and server before there was a sleeper"}, {},
        {"worker_percent": round(asleep[0], 3), "postgres_percent": round(asleep[1], 3),
         "floor_worker_percent": round(base[0], 3), "floor_postgres_percent": round(base[1], 3),
         "leases": after.leases, "running": after.running, "more_threads": after.threads - before.threads,
         "held": after.leases + after.running + max(0, after.threads - before.threads),
         "executor_mb": {"before": before.megabytes, "asleep": after.megabytes},
         "put_to_sleep_per_s": round((runs - woken) / put_to_sleep), "task_meanwhile_ms": round(answered * 1e3, 2),
         "claimed_late_ms": percentiles(claimed), "ended_late_ms": percentiles(ended)},
    )  # fmt: skip
