"""watchers: what a request takes while many watch the stream of events, and some of them never read.

One gunicorn process; 500 streams from a second process, of which 50 are never read from; a third asks for a run over
one connection, with a little rest between an answer and the next request; and events are written one by one, at several
rates, each of which goes to everybody. Before each such stretch the same is asked while as many events are written and
nobody watches: the ratio of the two stands on a busy machine where milliseconds do not.
"""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any

from bench.cpu import Meter
from bench.ground import Ground
from bench.lanes import Options
from bench.lanes.api import serving, token
from bench.load import Load, loaded
from bench.result import Result, spread
from bench.watching import Crowd, Seen, Watchers
from pgflow.config import Settings
from pgflow.db import connect

READERS, DEAF, RATES, REQUESTS, ROUNDS = 450, 50, (5, 20, 80), 500, 3
PAUSE = 0.005
_EVENT = """
    insert into pgflow.event (root_id, task_id, type, at)
    values (%(root)s, %(root)s, 'task.started', clock_timestamp())"""


class Writing:
    """Events at a steady rate, while in a `with` block.

    Args:
        settings: where.
        root: of which run.
        rate: how many a second.
    """

    def __init__(self, settings: Settings, root: int, rate: float) -> None:
        self.written = 0
        self._settings, self._root, self._rate = settings, root, rate
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        with connect.open_sync(self._settings, "writer") as connection:
            due = time.monotonic()
            while not self._over.wait(max(0.0, due - time.monotonic())):
                connection.execute(_EVENT, {"root": self._root})
                self.written += 1
                due += 1 / self._rate

    def __enter__(self) -> Writing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def run(ground: Ground, options: Options) -> Result:
    """Each rate in turn, some rounds."""
    quick = options.quick
    rounds = options.rounds or (1 if quick else ROUNDS)
    readers, deaf, rates, requests = (3, 1, (20,), 5) if quick else (READERS, DEAF, RATES, REQUESTS)
    secret = token(ground)
    ground.fill(1)
    root = int(ground.value("select id from pgflow.task"))
    found: dict[int, list[dict[str, Any]]] = {rate: [] for rate in rates}
    with serving(ground.settings, {"PGFLOW_API_STREAMS_EACH": str(readers + deaf)}) as (port, pid):
        asked = Load(port, secret, "GET", [f"/api/v1/runs/{root}"], seconds=120.0, requests=requests, pause=PAUSE)
        crowd = Crowd(port, secret, readers, deaf)
        loaded(asked)
        for _ in range(rounds):
            for rate in rates:
                with Writing(ground.settings, root, rate):
                    alone, idle, _ = measured(ground, pid, asked)
                with Watchers(crowd) as watchers:
                    with Writing(ground.settings, root, rate) as writing:
                        watched, busy, seconds = measured(ground, pid, asked)
                    seen = watchers.seen(writing.written)
                assert (seen.least, seen.most) == (writing.written, writing.written), seen
                found[rate].append(stretch(alone, watched, seen) | {"cpu": round(busy - idle, 3), "seconds": seconds})
    middle = {f"{rate}/s": median(stretches) for rate, stretches in found.items()}
    most = found[rates[-1]]
    detail = {
        "rates": middle,
        "most": middle[f"{rates[-1]}/s"],
        "worst_p99_ratio": max(one["p99_ratio"] for one in middle.values()),
    }
    return Result(
        "watchers", median(most)["p99_ratio"], "times", None, None, {"worker": None, "postgres": None}, None,
        {"readers": readers, "deaf": deaf, "rates": list(rates), "requests": requests, "rounds": rounds,
         "asked": "GET /api/v1/runs/{id}", "worker": "the API: pgflow api --processes 1"},
        {"figure": spread([one["p99_ratio"] for one in most])}, detail,
    )  # fmt: skip


def measured(ground: Ground, pid: int, asked: Load) -> tuple[dict[str, float], float, float]:
    """How long requests take, the share of a core that the API uses meanwhile, and for how long."""
    meter, begun = Meter(ground.connection, [pid]), time.monotonic()
    answered = loaded(asked)
    assert answered.refused == 0, answered
    seconds = time.monotonic() - begun
    return answered.ms, meter.spent().worker / seconds, round(seconds, 1)


def stretch(alone: dict[str, float], watched: dict[str, float], seen: Seen) -> dict[str, Any]:
    """What one stretch tells."""
    return {
        "p50_ms": watched["p50"], "p99_ms": watched["p99"], "p50_alone_ms": alone["p50"], "p99_alone_ms": alone["p99"],
        "p50_ratio": watched["p50"] / alone["p50"], "p99_ratio": watched["p99"] / alone["p99"],
        "lag_p50_ms": seen.lag_ms["p50"], "lag_p99_ms": seen.lag_ms["p99"],
    }  # fmt: skip


def median(stretches: list[dict[str, Any]]) -> dict[str, float]:
    """Of each figure the middle one."""
    return {name: round(statistics.median(one[name] for one in stretches), 3) for name in stretches[0]}
