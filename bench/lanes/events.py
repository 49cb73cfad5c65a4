"""events: how soon a committed event is in the hands of somebody who watches, with Redis in between and without.

A watcher in this process follows every event while a worker runs no-op tasks: first one after another with rests
between, then offered steadily. The time is taken from the event's own instant, so that its commit counts too, to its
arrival, on this machine's clock. Afterwards it is counted whether the watcher has had each event once, in order.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.apps import noop
from bench.cpu import Meter
from bench.ground import Ground
from bench.lanes import Options
from bench.offer import offered
from bench.result import Result, percentiles
from bench.worker import Worker
from pgflow import Client
from pgflow.config import Settings
from pgflow.embedded import EmbeddedValkey
from pgflow.engine.events import Cursor, Event
from pgflow.sdk.live.events import Events

SINGLE, RESTS = 300, (0.01, 0.1)
RATE, SECONDS = 1_000, 8.0
BUFFER = 1_000_000
GRACE = 20.0


@dataclass(slots=True)
class Watched:
    """What a watcher got.

    Args:
        lags: seconds from each event's instant to its arrival.
        seen: which events.
        missed: events that it never got.
        again: events that it got twice, or after a later one.
    """

    lags: list[float] = field(default_factory=list)
    seen: list[Cursor] = field(default_factory=list)
    missed: int = 0
    again: int = 0

    def document(self) -> dict[str, Any]:
        """As milliseconds, with what went wrong."""
        return {"events": len(self.lags), "ms": percentiles(self.lags), "missed": self.missed, "again": self.again}


async def watch(settings: Settings, work: Coroutine[Any, Any, int], rest: float) -> Watched:
    """Watch while the work goes on, and until as many events have come as it answers; it begins after a rest."""
    got = Watched()
    async with Events(settings, buffer=BUFFER) as events, await events.subscribe() as subscription:
        await asyncio.sleep(rest)  # time for the feed to be heard
        working = asyncio.create_task(work)
        quiet_since = time.monotonic()
        while not working.done() or (len(got.seen) < working.result() and time.monotonic() < quiet_since + GRACE):
            for event in await subscription.batch(0.2):
                assert isinstance(event, Event)
                got.lags.append(time.time() - event.at.timestamp())
                got.seen.append(event.cursor)
                quiet_since = time.monotonic()
        got.missed = max(0, working.result() - len(set(got.seen)))
    got.again = sum(later <= earlier for earlier, later in zip(got.seen, got.seen[1:], strict=False))
    return got


async def singly(settings: Settings, tasks: int) -> int:
    """Tasks one after another with rests between. Returns how many events that makes."""

    def enqueue() -> None:
        with Client(settings) as client:
            for _ in range(tasks):
                time.sleep(random.uniform(*RESTS))
                client.enqueue(noop)

    await asyncio.to_thread(enqueue)
    return 2 * tasks


async def steadily(ground: Ground, rate: int, seconds: float) -> int:
    """Tasks at fixed instants. Returns how many events there are then."""
    await asyncio.to_thread(offered, ground.settings, rate, seconds)
    deadline = time.monotonic() + GRACE
    while ground.value("select exists (select from pgflow.ready) or exists (select from pgflow.lease)"):
        if time.monotonic() > deadline:
            raise TimeoutError("what was offered is not done")
        await asyncio.sleep(0.1)
    return int(ground.value("select count(*) from pgflow.event"))


def measured(ground: Ground, options: Options, urls: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both kinds of load, with these Redis nodes or none; and the cost of the steady one, a task."""
    tasks = options.tasks or (5 if options.quick else SINGLE)
    seconds, rest = 0.5 if options.quick else SECONDS, options.rest(2.0)
    settings = ground.settings.model_copy(update={"redis_url": urls})
    ground.clear()
    with Worker(ground.settings, environment={"PGFLOW_REDIS_URL": ",".join(urls)}) as worker:
        worker.wait_registered(ground.connection)
        time.sleep(rest / 2)
        single = asyncio.run(watch(settings, singly(ground.settings, tasks), rest))
        ground.clear_history()
        meter = Meter(ground.connection, [worker.pid])
        steady = asyncio.run(watch(settings, steadily(ground, RATE, seconds), rest))
        cpu, wal = meter.spent().per(max(1, len(steady.seen) // 2))
    return {"single": single.document(), "steady": steady.document()}, {"cpu": cpu, "wal": wal}


def run(ground: Ground, options: Options) -> Result:
    """Without Redis and with it, in turn."""
    rounds = options.rounds or 1
    found: dict[str, list[dict[str, Any]]] = {"notify": [], "redis": []}
    spent: list[dict[str, Any]] = []
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pgflow-bench-")))
        home.chmod(0o755)
        valkey = stack.enter_context(EmbeddedValkey(home / "valkey"))
        for _ in range(rounds):
            found["notify"].append(measured(ground, options, [])[0])
            document, cost = measured(ground, options, [valkey.url])
            found["redis"].append(document)
            spent.append(cost)
    every = [way[kind] for ways in found.values() for way in ways for kind in ("single", "steady")]
    p99s = [way["steady"]["ms"]["p99"] for way in found["redis"]]
    cost = spent[len(spent) // 2]
    return Result(
        "events", statistics.median(p99s), "ms", None, None, {**cost["cpu"]}, cost["wal"],
        {"single": f"{SINGLE} tasks, {RESTS} s apart", "steady": f"{RATE} tasks/s for {SECONDS} s", "rounds": rounds,
         "worker": "pgflow worker bench/apps.py -p 1 -c 100", "per": "task, steady, with Redis",
         "measured": "from an event's instant, before its commit, to the watcher"},
        {},
        {**{way: ways[-1] for way, ways in found.items()},
         "notify_p99_ms": statistics.median([way["steady"]["ms"]["p99"] for way in found["notify"]]),
         "slowest_ms": max(document["ms"]["max"] for document in every),
         "lost": sum(document["missed"] + document["again"] for document in every)},
    )  # fmt: skip
