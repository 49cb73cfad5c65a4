"""The lanes: what is measured, one module each, with a `run(ground, options)` that answers a `Result`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from bench.ground import Ground
from bench.result import Result

LANES = ("drain", "enqueue", "latency", "held-snapshot", "depth", "recovery", "idle", "keyed", "steps", "fanout",
         "sleepers", "replay", "timers", "events", "graph", "api", "watchers")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """How much to measure; None: the lane's own default.

    Args:
        tasks: how many a round.
        rounds: how many.
        quick: a taste, to see that it works: figures mean nothing.
    """

    tasks: int | None = None
    rounds: int | None = None
    quick: bool = False

    def rest(self, seconds: float) -> float:
        """How long to rest between two measures, so that one does not tell on the next: a taste rests little."""
        return seconds / 4 if self.quick else seconds


def run(lane: str, ground: Ground, options: Options) -> Result:
    """Measure one lane."""
    module = importlib.import_module(f"bench.lanes.{lane.replace('-', '_')}")
    result: Result = module.run(ground, options)
    return result
