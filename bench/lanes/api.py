"""api: starting runs over HTTP, and lists of runs among millions that have ended.

One gunicorn process, its load from another process on the same machine, Postgres on the same cores. What is started is
a task that nobody runs, without a key; each request is its own transaction, with an entry in the audit. The lists are
asked for one after another, a page of 50 each, with every filter that there is: alone, with a rare value, together.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from bench.apps import QUEUE
from bench.cpu import Meter
from bench.ground import Ground
from bench.lanes import Options
from bench.load import Load, loaded
from bench.result import Result, spread
from bench.worker import HOME
from pgflow import access
from pgflow.access import Role
from pgflow.config import Settings
from pgflow.db import partitions
from pgflow.embedded.port import free_port
from pgflow.engine import access as verbs

RUNS, SECONDS, CONNECTIONS, ROUNDS, LISTS = 5_000_000, 8.0, 32, 3, 300
BATCH = 100_000
WORKFLOWS, CUSTOMERS = 20, 5_000
_TASKS = """
    insert into pgflow.task (id, root_id, name, queue, priority, input, created_at, key, tags)
    select i, i, 'bench.w' || i %% %(workflows)s, case when i %% 100 = 0 then 'rare' else 'bench' end, 2, '{}',
           now() - make_interval(secs => (%(last)s - i) * 0.01), case when i %% 10 = 0 then 'k' || i end,
           jsonb_build_object('customer', (i %% %(customers)s)::text)
      from generate_series(%(first)s::bigint, %(end)s::bigint) i"""
_OUTCOMES = """
    insert into pgflow.outcome (root_id, task_id, state, attempt, error, finished_at)
    select i, i, case when i %% 1000 = 0 then 'failed' when i %% 1000 = 1 then 'cancelled' else 'completed'
           end::pgflow.state, 1, case when i %% 1000 = 0 then '{"type": "E"}'::jsonb end,
           now() - make_interval(secs => (%(last)s - i) * 0.01 - 1)
      from generate_series(%(first)s::bigint, %(end)s::bigint) i"""


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[int, int]]:
    """The API as a process. Gives its port and its process id."""
    port = free_port()
    environment = {
        "PGFLOW_DATABASE_URL": settings.require_url(), "PGFLOW_API_RATE": "1000000/second",
        "PGFLOW_API_ADDRESS_RATE": "1000000/second", "PYTHONPATH": str(HOME),
    }  # fmt: skip
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pgflow", "api", "--port", str(port), "--processes", "1", "--graceful", "1"],
            env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=log, cwd=HOME,
        )  # fmt: skip
        try:
            end = time.monotonic() + 30
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise RuntimeError(f"the API did not start:\n{log.read()[-4000:]}")
                time.sleep(0.02)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(20)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def token(ground: Ground) -> str:
    """A token for everything."""
    made = access.new_token()
    ground.session.run(
        verbs.create_token(made[4:24].strip("-_"), made[: access.SHOWN], access.digest(made), Role.ADMIN, None, None)
    )
    return made


def fill(ground: Ground, runs: int) -> None:
    """So many runs that have ended, a hundredth of a second apart, the last one now."""
    for first in range(1, runs + 1, BATCH):
        given = {
            "first": first, "end": min(runs, first + BATCH - 1), "last": runs, "workflows": WORKFLOWS,
            "customers": CUSTOMERS,
        }  # fmt: skip
        ground.connection.execute("select setval('pgflow.task_id_seq', %(end)s)", given)
        ground.session.run(partitions.make())
        ground.connection.execute(_TASKS, given)
        ground.connection.execute(_OUTCOMES, given)
    ground.connection.execute("vacuum analyze pgflow.task, pgflow.outcome")
    ground.connection.execute("checkpoint")


def lists(runs: int) -> dict[str, str]:
    """What is asked for, by name."""
    middle, day = runs // 2, "%Y-%m-%dT%H:%M:%SZ"
    since = time.strftime(day, time.gmtime(time.time() - (runs - middle) * 0.01))
    until = time.strftime(day, time.gmtime(time.time() - (runs - middle) * 0.01 + 600))
    single = {
        "all": "",
        "workflow": "workflow=bench.w7",
        "failed": "state=failed",
        "completed": "state=completed",
        "running": "state=running",
        "rare queue": "queue=rare",
        "key": f"key=k{middle // 10 * 10}",
        "tag": "tag=customer%3D17",
        "tag that nobody has": "tag=customer%3Dnobody",
        "time": f"since={quote(since)}&until={quote(until)}",
    }
    together = {
        "workflow, failed": "workflow=bench.w0&state=failed",
        "workflow, tag, time": f"workflow=bench.w17&tag=customer%3D17&since={quote(since)}",
        "all of them": f"workflow=bench.w0&state=failed&queue=rare&tag=customer%3D0&since={quote(since)}",
    }
    newest = single | together
    ended = {
        f"{name}, by end": f"{query}&order=finished" for name, query in newest.items() if name != "running"
    }  # fmt: skip
    return {name: f"/api/v1/runs?limit=50&{query}".rstrip("&") for name, query in (newest | ended).items()}


def run(ground: Ground, options: Options) -> Result:
    """First the starts, then the lists."""
    quick = options.quick
    rounds = options.rounds or (1 if quick else ROUNDS)
    runs = options.tasks or (500 if quick else RUNS)
    seconds, connections = (0.3, 4) if quick else (SECONDS, CONNECTIONS)
    secret = token(ground)
    body = json.dumps({"name": "bench.noop", "queue": QUEUE, "input": {"order": 17}})
    found, costs = [], []
    with serving(ground.settings) as (port, pid):
        start = Load(port, secret, "POST", ["/api/v1/runs"], body, connections, 2.0)
        if not quick:
            loaded(start)
        start.seconds = seconds
        for _ in range(rounds):
            ground.clear()
            meter = Meter(ground.connection, [pid])
            one = loaded(start)
            assert one.refused == 0, one
            assert ground.value("select count(*) from pgflow.task") == one.answers
            costs.append(meter.spent().per(one.answers))
            found.append(one)
        ground.clear()
        fill(ground, runs)
        times: dict[str, dict[str, float]] = {}
        for name, path in list(lists(runs).items())[: 1 if quick else None]:
            answered = loaded(Load(port, secret, "GET", [path], seconds=60.0, requests=3 if quick else LISTS))
            assert answered.refused == 0, (name, answered)
            times[name] = answered.ms
    rates = [one.rate for one in found]
    cpu, wal = costs[len(costs) // 2]
    detail: dict[str, Any] = {
        "starts": asdict(sorted(found, key=lambda one: one.rate)[len(found) // 2]),
        "lists_ms": times,
        "slowest_list": max(times, key=lambda name: times[name]["p99"]),
        "lists_p99_ms": max(one["p99"] for one in times.values()),
    }
    return Result(
        "api", statistics.median(rates), "requests/s", None, None, {**cpu}, wal,
        {"starts": f"POST /api/v1/runs for {seconds} s over {connections} connections", "runs": runs,
         "lists": f"{LISTS} times one after another, 50 a page", "rounds": rounds, "per": "start",
         "worker": "the API: pgflow api --processes 1"},
        {"figure": spread(rates, 0)}, detail,
    )  # fmt: skip
