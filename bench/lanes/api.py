"""api: starting runs over HTTP, and lists of runs among millions that have ended.

One gunicorn process, its load from another process on the same machine, Postgres on the same cores. What is started is
a task that nobody runs, without a key; each request is its own transaction, with an entry in the audit. The lists are
asked for one after another, a page of 50 each, with every filter that there is: alone, with a rare value, together,
from halfway on; then all of them over some connections at once. `bench/past.py` has what lies there; `--tasks` says
how many.
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from bench import past
from bench.apps import QUEUE
from bench.cpu import Meter
from bench.ground import Ground
from bench.lanes import Options
from bench.load import Load, loaded
from bench.result import Result, spread
from bench.worker import HOME
from pgflow import access
from pgflow.access import Role
from pgflow.api.cursor import packed
from pgflow.config import Settings
from pgflow.embedded.port import free_port
from pgflow.engine import access as verbs

RUNS, SECONDS, CONNECTIONS, ROUNDS, LISTS = 5_000_000, 8.0, 32, 3, 300
TOGETHER, CHARTS = 8, 20
"""How many connections ask for lists at once, and how often each chart is asked for."""


@contextmanager
def serving(settings: Settings, more: Mapping[str, str] = {}) -> Iterator[tuple[int, int]]:
    """The API as a process, with more settings. Gives its port and its process id."""
    port = free_port()
    environment = {
        "PGFLOW_DATABASE_URL": settings.require_url(), "PGFLOW_API_RATE": "1000000/second",
        "PGFLOW_API_ADDRESS_RATE": "1000000/second", "PYTHONPATH": str(HOME), **more,
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


def lists(runs: int) -> dict[str, str]:
    """What is asked for, by name."""
    middle = runs // 2

    def at(number: float) -> str:
        return quote(past.time_of(int(number), runs).strftime("%Y-%m-%dT%H:%M:%SZ"))

    day = runs / past.DAYS
    deep = f"after={packed(past.id_of(middle, runs), None)}"
    deep_by_end = f"after={packed(past.id_of(middle, runs), past.time_of(middle, runs))}"
    time = f"since={at(middle)}&until={at(middle + day / 144)}"
    either = {
        "all": "", "a workflow that is nearly all": "workflow=bench.busy", "one of a thousandth": "workflow=bench.w7",
        "fifty runs, long ago": "workflow=bench.rare", "a workflow that is not there": "workflow=bench.none",
        "rare queue": "queue=rare", "a key": f"key=k{middle // 20 * 20 + 10}", "a key that comes again": "key=nightly",
        "tag": "tag=customer%3D17", "tag of one old run": "tag=order%3D17",
        "tag that nobody has": "tag=customer%3Dnobody",
        "ten minutes": time, "before the first": f"until={at(-day)}", "since a week": f"since={at(middle)}",
        "workflow, tag": "workflow=bench.busy&tag=customer%3Dnobody",
        "workflow, failed": "workflow=bench.w0&state=failed",
        "workflow, completed, tag": "workflow=bench.w7&state=completed&tag=customer%3Dnobody",
        "workflow, tag, time": f"workflow=bench.busy&tag=customer%3D17&since={at(middle)}",
        "key, cancelled": "key=nightly&state=cancelled",
        "all of them": f"workflow=bench.w0&state=failed&queue=rare&key=nightly&tag=customer%3D0&since={at(0)}",
    }  # fmt: skip
    final = {state: f"state={state}" for state in ("completed", "failed", "cancelled", "skipped")} | {
        f"{state}, tag that nobody has": f"state={state}&tag=customer%3Dnobody" for state in ("completed", "failed")
    }
    live = {state: f"state={state}" for state in ("queued", "running", "sleeping", "waiting", "needs_attention")} | {
        "waiting, tag that nobody has": "state=waiting&tag=customer%3Dnobody",
    }
    found = {
        **either, **final, **live,
        **{f"{name}, halfway": f"{query}&{deep}" for name, query in (either | final).items()},
        **{f"{name}, by end": f"{query}&order=finished" for name, query in (either | final).items()},
        **{f"{name}, by end, halfway": f"{query}&order=finished&{deep_by_end}" for name, query in either.items()},
    }  # fmt: skip
    return {name: f"/api/v1/runs?limit=50&{query}".rstrip("&") for name, query in found.items()}


def charts() -> dict[str, list[str]]:
    """The same with many values, because an answer is kept for some seconds."""
    spans = {"an hour": 3600, "a day": 86400, "a fortnight": 14 * 86400}
    return {
        f"{name}{', by ' + by if by else ''}": [
            f"/api/v1/stats?since={seconds - 1 - seconds * number // 100}" + (f"&by={by}" if by else "")
            for number in range(CHARTS)
        ]
        for name, seconds in spans.items()
        for by in ("", "workflow")
    }


def asked(port: int, secret: str, runs: int, *, quick: bool) -> dict[str, Any]:
    """How long each list takes, alone and beside others, and each chart."""
    times: dict[str, dict[str, float]] = {}
    wanted = dict(list(lists(runs).items())[: 1 if quick else None])
    for name, path in wanted.items():
        loaded(Load(port, secret, "GET", [path], seconds=10.0, requests=1 if quick else 20))  # each connection plans
        found = loaded(Load(port, secret, "GET", [path], seconds=60.0, requests=3 if quick else LISTS))
        assert found.refused == 0, (name, found)
        times[name] = found.ms
    together = loaded(Load(port, secret, "GET", list(wanted.values()), "", TOGETHER, 0.3 if quick else 10.0))
    assert together.refused == 0, together
    drawn = {}
    for name, paths in dict(list(charts().items())[: 1 if quick else None]).items():
        found = loaded(Load(port, secret, "GET", paths[: 1 if quick else None], seconds=60.0,
                            requests=1 if quick else CHARTS))  # fmt: skip
        assert found.refused == 0, (name, found)
        drawn[name] = found.ms
    return {
        "slowest_list": max(times, key=lambda name: times[name]["p99"]),
        "lists_p99_ms": max(one["p99"] for one in times.values()),
        "lists_p50_ms": max(one["p50"] for one in times.values()),
        "lists_together_ms": together.ms,
        "lists_ms": times,
        "charts_ms": drawn,
    }


def run(ground: Ground, options: Options) -> Result:
    """First the starts, then the lists."""
    quick = options.quick
    rounds = options.rounds or (1 if quick else ROUNDS)
    wanted = options.tasks or (2_000 if quick else RUNS)
    runs = wanted if quick else past.room_for(wanted)
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
        past.fill(ground, runs)
        listed = asked(port, secret, runs, quick=quick)
    rates = [one.rate for one in found]
    cpu, wal = costs[len(costs) // 2]
    detail: dict[str, Any] = {
        "starts": asdict(sorted(found, key=lambda one: one.rate)[len(found) // 2]),
        **listed,
    }
    return Result(
        "api", statistics.median(rates), "requests/s", None, None, {**cpu}, wal,
        {"starts": f"POST /api/v1/runs for {seconds} s over {connections} connections", "runs": runs,
         "left_out_for_lack_of_disk": wanted - runs,
         "lists": f"{LISTS} times one after another, 50 a page; then {TOGETHER} at once", "rounds": rounds,
         "per": "start",
         "worker": "the API: pgflow api --processes 1"},
        {"figure": spread(rates, 0)}, detail,
    )  # fmt: skip
