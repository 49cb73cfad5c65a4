"""Metrics, as Prometheus reads them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.cached import Cached
from pgflow.api.metering import Meter
from pgflow.api.operation import operation
from pgflow.engine import measures
from pgflow.engine.measures import Measure
from pgflow.errors import PgflowError

KEPT = 5.0
"""Seconds for which what was asked of the database is good."""
WAIT = 4.0
"""Seconds for which the database is waited for: who scrapes waits for ten, mostly."""

FAMILIES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "queued": ("pgflow_queue_ready", "Tasks that are ready, up to 100000 each.", ("queue", "priority")),
    "queued_age": ("pgflow_queue_age_seconds", "How long the next task of a lane has waited.", ("queue", "priority")),
    "running": ("pgflow_tasks_running", "Tasks that a worker has.", ()),
    "delayed": ("pgflow_tasks_delayed", "Tasks that wait for their time, up to 100000 each.", ("reason",)),
    "timer_late": ("pgflow_timer_late_seconds", "How long the next timer is overdue.", ()),
    "throttled": ("pgflow_tasks_throttled", "Tasks that a limit holds back, up to 100000 each.", ("queue",)),
    "parked": ("pgflow_tasks_parked", "Tasks that are paused or need attention, up to 100000.", ("reason",)),
    "dead_letters": ("pgflow_dead_letters", "Tasks that failed for good and are kept, up to 100000.", ()),
    "schedules": ("pgflow_schedules", "Schedules that have an instant left.", ("state",)),
    "schedule_late": ("pgflow_schedule_late_seconds", "How long the most overdue schedule is overdue.", ()),
    "leader_age": ("pgflow_leader_age_seconds", "Seconds since the leader said that it is there.", ()),
    "leader_term": ("pgflow_leader_term", "How often a leader was elected.", ()),
    "workers": ("pgflow_workers", "Executors that have not ended: alive, or silent for longer than their lease.",
                ("state",)),
    "worker_slots": ("pgflow_worker_slots", "Tasks that all living executors may run at once.", ()),
    "paused_queues": ("pgflow_queues_paused", "Queues that are paused.", ()),
    "happened": ("pgflow_events_last_minute", "Events of the last minute; an estimate where there are many.",
                 ("type",)),
}  # fmt: skip
"""What each measure of the engine is called, and by what it is told apart."""


class _Engine(Collector):
    def __init__(self, found: Sequence[Measure] | None) -> None:
        self._found = found

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("pgflow_up", "Whether the database answers.", 0.0 if self._found is None else 1.0)
        by_name: defaultdict[str, list[Measure]] = defaultdict(list)
        for one in self._found or ():
            by_name[one.name].append(one)
        for name, (called, text, labels) in FAMILIES.items():
            family = GaugeMetricFamily(called, text, labels=labels)
            for one in by_name[name]:
                if one.value is not None:
                    family.add_metric([label or "" for label in (one.first, one.second)[: len(labels)]], one.value)
            yield family


class Metrics:
    """`/metrics`, `/api/v1/metrics`."""

    def __init__(self, backend: Backend, meter: Meter) -> None:
        self._backend = backend
        self._meter = meter
        self._known: Cached[list[Measure]] = Cached(KEPT)

    @operation("Metrics for Prometheus", media_type=CONTENT_TYPE_LATEST)
    async def on_get(self, asked: Asked) -> str:
        """Of the engine, as it was at most five seconds ago, and of the processes of this API."""
        try:
            async with asyncio.timeout(WAIT):
                found: list[Measure] | None = await self._known.get(
                    "all", lambda: self._backend.run(measures.measures())
                )
        except (PgflowError, TimeoutError):
            found = None
        registry = CollectorRegistry()
        registry.register(_Engine(found))
        return (generate_latest(registry) + self._meter.text()).decode()
