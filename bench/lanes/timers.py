"""timers: how late a task begins that was to start at an instant, beside 10,000 and beside 1,000,000 pending ones.

Three times with each: `steady`, at random instants, asked for before; `fresh`, asked for one by one shortly before they
are due, so that a resting leader has to hear of each; and a `burst` due at one instant. Two lags are told apart: how
late the database makes the task ready (`fired`, the event's instant), and how late its handler's first line runs
(`begun`), by this machine's clock. Nothing may be early by either.

Before that, while all that is pending is far away, the statements are counted that the idle worker and its leader send:
the leader must not look for due timers at all.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench.apps import QUEUE
from bench.cpu import Meter
from bench.ground import NOOP, Ground
from bench.lanes import Options
from bench.result import Result, percentiles
from bench.worker import Worker
from pgflow.engine.enqueue import Request, Spec, enqueue

PENDING = {"ten_thousand": 10_000, "million": 1_000_000}
STEADY, RATE = 3_000, 200.0
FRESH, REST, DELAYS = 150, (0.0, 0.05), (0.02, 0.5)
BURST = 1_000
SECONDS, SETTLE, LEAD = 12.0, 8.0, 2.0
GOOD_FOR = 60.0
FAR = (3_600.0, 36_000.0)
PROBE = Spec("bench.probe", QUEUE)
_CLOCK = "select extract(epoch from pgflow.now())::float8"
_BEGUN = "select o.output::float8 from pgflow.outcome o where o.output is not null"
_FIRED = """select extract(epoch from e.at - (e.data->>'due_at')::timestamptz)::float8
              from pgflow.event e where e.type = 'timer.fired'"""
_CALLS = """select coalesce(sum(calls), 0)::float8,
                   coalesce(sum(calls) filter (where query like '%timer.fired%'), 0)::float8
              from pg_stat_statements
             where dbid = (select oid from pg_database where datname = current_database()) and toplevel
               and query not like '%pg_stat_statements%' and query not like '%pg_current_wal_insert_lsn%'"""


@dataclass(slots=True)
class Lags:
    """Seconds by which tasks were late.

    Args:
        fired: by the database.
        begun: in their handlers.
    """

    fired: list[float]
    begun: list[float]

    def document(self) -> dict[str, Any]:
        """As milliseconds, with how many were early."""
        return {
            "timers": len(self.begun),
            "fired_ms": percentiles(self.fired),
            "begun_ms": percentiles(self.begun),
            "early": sum(late < 0 for late in (*self.fired, *self.begun)),
        }


def pend(ground: Ground, tasks: int) -> None:
    """Have that many timers pending that are due in hours."""
    for start in range(0, tasks, 1_000):
        count = min(1_000, tasks - start)
        far = [Request(NOOP, b"{}", delay=random.uniform(*FAR)) for _ in range(count)]
        ground.session.run(enqueue(far, wake=False))
    ground.connection.execute("vacuum (analyze)")
    ground.connection.execute("checkpoint")


def ask(ground: Ground, delays: list[float]) -> None:
    """Ask for a probe at each of these instants, in seconds from now."""
    now = ground.value(_CLOCK)
    asked = []
    for delay in delays:
        due = datetime.fromtimestamp(now + delay, UTC)
        asked.append(Request(PROBE, b'{"sent":%.6f}' % due.timestamp(), due=due))
    for start in range(0, len(asked), 1_000):
        ground.session.run(enqueue(asked[start : start + 1_000]))


def lags(ground: Ground, timers: int, timeout: float) -> Lags:
    """What became of these, once all have ended; and forget them.

    Raises:
        TimeoutError: it took longer than `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while (ended := ground.value("select count(*) from pgflow.outcome")) < timers:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{ended} of {timers} timers have ended after {timeout:g} s")
        time.sleep(0.1)
    found = Lags(*([late for (late,) in ground.connection.execute(text.encode())] for text in (_FIRED, _BEGUN)))
    if len(found.fired) != timers or len(found.begun) != timers:
        raise AssertionError(f"{timers} timers, {len(found.fired)} fired, {len(found.begun)} begun")
    ground.connection.execute("truncate pgflow.outcome, pgflow.event")
    return found


@dataclass(slots=True)
class Quiet:
    """What is sent while nothing is due.

    Args:
        statements: a second, by the worker and its leader.
        looks: for timers that are due, in all.
        percent: of a core, that worker and server use.
    """

    statements: float
    looks: int
    percent: float


def quiet(ground: Ground, worker: Worker, seconds: float, settle: float) -> Quiet | None:
    """Count while all that is pending is far away; None where the server does not count statements."""
    if not ground.value("select current_setting('shared_preload_libraries') like '%pg_stat_statements%'"):
        return None
    ground.connection.execute("create extension if not exists pg_stat_statements")
    time.sleep(settle)
    ground.connection.execute("select pg_stat_statements_reset()")
    meter = Meter(ground.connection, [worker.pid])
    time.sleep(seconds)
    spent = meter.spent()
    ((calls, looks),) = ground.connection.execute(_CALLS.encode()).fetchall()
    return Quiet(calls / seconds, int(looks), (spent.worker + spent.postgres) / seconds * 100)


def beside(ground: Ground, pending: int, quick: bool) -> dict[str, Any]:
    """All that is measured with so many timers pending."""
    seconds, settle, lead = (0.5, 0.5, 0.5) if quick else (SECONDS, SETTLE, LEAD)
    steady, fresh, burst = (40, 5, 20) if quick else (STEADY, FRESH, BURST)
    ground.clear()
    pend(ground, pending)
    with Worker(ground.settings) as worker:
        worker.wait_registered(ground.connection)
        rested = quiet(ground, worker, seconds, settle)
        ask(ground, [lead])  # opens connections, plans statements
        lags(ground, 1, GOOD_FOR)
        meter = Meter(ground.connection, [worker.pid])
        ask(ground, [lead + random.uniform(0, steady / RATE) for _ in range(steady)])
        evenly = lags(ground, steady, GOOD_FOR)
        cpu, wal = meter.spent().per(steady)
        for _ in range(fresh):
            time.sleep(random.uniform(*REST))
            ask(ground, [random.uniform(*DELAYS)])
        singly = lags(ground, fresh, GOOD_FOR)
        ask(ground, [lead] * burst)
        together = lags(ground, burst, GOOD_FOR)
    left = ground.value("select count(*) from pgflow.delayed")
    if left != pending:
        raise AssertionError(f"{left} timers are pending, not {pending}")
    return {
        "pending": pending,
        "steady": evenly.document(),
        "fresh": singly.document(),
        "burst": together.document(),
        "quiet": None if rested is None else {
            "statements_per_s": round(rested.statements, 2), "looks": rested.looks,
            "percent_of_a_core": round(rested.percent, 3),
        },
        "cpu_us_per_task": cpu,
        "wal_bytes_per_task": wal,
    }  # fmt: skip


def run(ground: Ground, options: Options) -> Result:
    """Beside few, then beside many."""
    sizes = {"ten_thousand": 200, "million": 1_200} if options.quick else PENDING
    if options.tasks:
        sizes = {"ten_thousand": min(options.tasks, PENDING["ten_thousand"]), "million": options.tasks}
    found = {name: beside(ground, pending, options.quick) for name, pending in sizes.items()}
    few, many = found["ten_thousand"], found["million"]
    parts = [part[kind] for part in found.values() for kind in ("steady", "fresh", "burst")]
    rested = [part["quiet"]["looks"] for part in found.values() if part["quiet"]]
    return Result(
        "timers", few["steady"]["begun_ms"]["p99"], "ms late", None, None, few.pop("cpu_us_per_task"),
        few.pop("wal_bytes_per_task"),
        {"pending": sizes, "steady_per_s": RATE, "fresh_delays_s": DELAYS, "burst": BURST,
         "worker": "pgflow worker bench/apps.py -p 1 -c 100", "measured": "from due_at to the handler's first line"},
        {},
        found | {"early": sum(part["early"] for part in parts), "looks": max(rested, default=None),
                 "million_cpu_us_per_task": many.pop("cpu_us_per_task"),
                 "million_wal_bytes_per_task": many.pop("wal_bytes_per_task")},
    )  # fmt: skip
