"""The floor of the drain: the same two statements, driven by as little as can drive them.

`python -m bench.floor URL TASKS BATCH`: one connection claims, another settles what the first has claimed, each in a
thread of its own and with prepared statements; no event loop, no handlers, no slots, no leases to renew, no floors but
the claim's own. It is the engine's SQL with nothing around it, so a worker can at best come near it.
"""

from __future__ import annotations

import queue
import sys
import threading
import time

from bench.apps import QUEUE
from bench.server import settings_of
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.statements import statement
from pgflow.engine import leases
from pgflow.model import Lane, Priority, Settlement, State

WORKER = 1
LAG = 0.1
Ids = list[tuple[int, int]]


def drain(settings: Settings, tasks: int, batch: int) -> None:
    """Claim and settle that many tasks."""
    claimed: queue.Queue[Ids] = queue.Queue(4)
    claimer = threading.Thread(target=_claim, args=(settings, tasks, batch, claimed), daemon=True)
    claimer.start()
    with connect.open_sync(settings, "bench-settle") as connection:
        text, cursor = statement("task/settle", settings.schema_name), connection.cursor(binary=True)
        while tasks > 0:
            ids = claimed.get()
            call = leases.settle([Settlement(task, epoch, State.COMPLETED) for task, epoch in ids], WORKER)
            cursor.execute(text.encode(), call.params, prepare=True)
            tasks -= len(ids)
    claimer.join()


def _claim(settings: Settings, tasks: int, batch: int, claimed: queue.Queue[Ids]) -> None:
    lanes = [Lane(QUEUE, priority) for priority in Priority]
    floors = [0] * len(lanes)
    pending, highest, turned = 0, 0, time.monotonic()
    with connect.open_sync(settings, "bench-claim") as connection:
        text, cursor = statement("task/claim", settings.schema_name), connection.cursor(binary=True)
        while tasks > 0:
            cursor.execute(text.encode(), leases.claim(lanes, floors, batch, WORKER).params, prepare=True)
            ids = [(row[0], row[1]) for row in cursor.fetchall()]
            if not ids:
                raise SystemExit(f"nothing left to claim, {tasks} short")
            highest = max(highest, *(epoch for _, epoch in ids))
            if time.monotonic() - turned > LAG:
                floors[Priority.NORMAL], pending, turned = pending, highest, time.monotonic()
            tasks -= len(ids)
            claimed.put(ids)


if __name__ == "__main__":
    drain(settings_of(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
