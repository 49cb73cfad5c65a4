"""depth: what a claim costs when the backlog is deep: the same claims at 10,000 and at 5,000,000 ready tasks.

One bare connection claims 500 at a time, each in a transaction that is rolled back, so that the depth stays. The cost
is the CPU time of its backend, a claimed task. After the deepest the first is measured again, to tell drift from depth.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time

from bench import cpu
from bench.apps import QUEUE
from bench.ground import FILL, Ground
from bench.lanes import Options
from bench.result import Result, percentiles, spread
from pgflow.db import connect
from pgflow.db.call import Session
from pgflow.engine import leases
from pgflow.model import Lane, Priority

DEPTHS = (10_000, 100_000, 1_000_000, 5_000_000)
CLAIMS, BATCH, WARM = 60, 500, 5
BYTES_A_TASK = 600
SPARE = 4 * 2**30


def room_for(wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Those of the depths that the disk has room for, twice over: for the rows and for their WAL."""
    free = shutil.disk_usage(tempfile.gettempdir()).free - SPARE
    return tuple(depth for depth in wanted if depth * BYTES_A_TASK * 2 < free)


def claims(ground: Ground) -> tuple[list[float], list[float]]:
    """CPU seconds of the server and seconds passed, a claimed task, of each claim."""
    lanes = [Lane(QUEUE, priority) for priority in Priority]
    call = leases.claim(lanes, [0] * len(lanes), BATCH, 1)
    costs, times = [], []
    with connect.open_sync(ground.settings, "bench-claim") as connection:
        session = Session(connection, ground.settings.schema_name, True)
        backend = connection.info.backend_pid
        for number in range(WARM + CLAIMS):
            with connection.transaction(force_rollback=True):
                began, used = time.perf_counter(), cpu.of_process(backend)
                claimed = len(session.run(call))
                passed, used = time.perf_counter() - began, cpu.of_process(backend) - used
            if number >= WARM:
                costs.append(used / claimed)
                times.append(passed / claimed)
    return costs, times


def run(ground: Ground, options: Options) -> Result:
    """From shallow to deep, and the first once more."""
    wanted = (1_000, 2_000) if options.quick else (DEPTHS[0], options.tasks) if options.tasks else DEPTHS
    depths = room_for(wanted)
    found: dict[str, dict[str, float]] = {}
    cpu_medians, filled = {}, 0
    ground.clear()
    for depth in depths:
        ground.fill(depth - filled)
        filled = depth
        ground.connection.execute("vacuum (analyze) pgflow.ready")
        costs, times = claims(ground)
        cpu_medians[depth] = statistics.median(costs) * 1e6
        found[f"{depth}"] = {"cpu_us": round(cpu_medians[depth], 3), **percentiles([t * BATCH for t in times])}
    ground.clear()
    ground.fill(depths[0])
    ground.connection.execute("vacuum (analyze) pgflow.ready")
    again, _ = claims(ground)
    shallow = statistics.median([cpu_medians[depths[0]], statistics.median(again) * 1e6])
    deepest = cpu_medians[depths[-1]]
    ground.clear()
    return Result(
        "depth", round(deepest, 3), "us of Postgres a claimed task", round(shallow, 3), round(deepest / shallow, 3),
        {"worker": None, "postgres": round(deepest, 3)}, None,
        {"depths": list(depths), "left_out_for_lack_of_disk": [d for d in wanted if d not in depths],
         "claims": CLAIMS, "batch": BATCH, "fill": FILL, "floor": f"the same at {depths[0]} tasks, before and after"},
        {"again_at_first_depth": spread([c * 1e6 for c in again])},
        {"by_depth": found},
    )  # fmt: skip
