"""What a lane answers: one JSON object, the same keys for every lane."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(slots=True)
class Result:
    """One lane's figures.

    Args:
        lane: its name.
        figure: the headline: the median over the rounds.
        unit: of figure and floor.
        floor: what the same work costs, or yields, without the engine around it; None where there is no such thing.
        ratio: figure to floor, so that more is better for throughputs and less for times.
        cpu_us_per_task: microseconds by `worker` and `postgres`.
        wal_bytes_per_task: bytes.
        settings: how it was measured.
        spread: least, median and greatest of the rounds, by name.
        detail: whatever else the lane measures.
    """

    lane: str
    figure: float
    unit: str
    floor: float | None
    ratio: float | None
    cpu_us_per_task: dict[str, float | None]
    wal_bytes_per_task: float | None
    settings: dict[str, Any]
    spread: dict[str, dict[str, float]] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON would have it."""
        return asdict(self)


NO_CPU: dict[str, float | None] = {"worker": None, "postgres": None}


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Least, median and greatest."""
    return {
        "min": round(min(values), digits),
        "median": round(statistics.median(values), digits),
        "max": round(max(values), digits),
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds at p50, p90, p99 and the greatest."""
    ordered = sorted(seconds)
    if not ordered:
        return {"p50": 0.0, "p90": 0.0, "p99": 0.0, "max": 0.0}

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3, 3)

    return {"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0)}


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else (0.0, 0.0, 0.0)
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": round(load[0], 2),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
