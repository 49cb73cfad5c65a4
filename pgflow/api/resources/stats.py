"""What happened over time, for charts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Literal, TypeVar

import psycopg
from pydantic import Field

from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.cached import Cached
from pgflow.api.models import Instant, Model, Name, Query, QueueName, Seconds
from pgflow.api.operation import operation
from pgflow.api.problems import ProblemError
from pgflow.db.call import Call
from pgflow.db.failures import is_outage, translated
from pgflow.db.link import Link
from pgflow.engine import measures
from pgflow.engine.measures import Counts, Span, Times
from pgflow.errors import ArgumentError

T = TypeVar("T")

KEPT = 5.0
"""Seconds for which an answer is good."""
TIMEOUT = "10s"
LONGEST = 31 * 86400
POINTS = 500
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
_COUNTED = ("started", "completed", "failed", "retried", "cancelled", "lost_leases")


class Point(Model):
    """What happened within a step."""

    at: Instant = Field(description="Its beginning.")
    started: int = Field(description="Attempts.")
    completed: int
    failed: int = Field(description="Tasks that failed for good.")
    retried: int = Field(description="Attempts that failed and are made again.")
    cancelled: int
    lost_leases: int = Field(description="Attempts whose worker was lost.")


class Series(Model):
    """One line of a chart."""

    name: str = Field(description="The workflow or queue; empty: all, or all that have no line of their own.")
    points: list[Point]


class Percentiles(Model):
    """How long it took, in seconds."""

    p50: float
    p95: float
    p99: float


class Timing(Model):
    """How long it took within a step."""

    at: Instant
    attempts: int = Field(description="How many ended ones were looked at.")
    ran: Percentiles | None = Field(description="How long they ran, of the engine's tasks, not of runs.")
    starts: int = Field(description="How many first starts were looked at.")
    waited: Percentiles | None = Field(description="How long those had waited since they were due.")


class Stats(Model):
    """What happened over time."""

    since: Instant
    until: Instant
    every: float = Field(description="Seconds of a step.")
    share: float = Field(description="Of how much of it all the numbers were estimated; 1: all was counted.")
    series: list[Series]
    latency: list[Timing] = Field(description="Steps in which anything ended or started.")


class StatsQuery(Query):
    """Which stretch of time, and what of it."""

    since: Seconds = Field(default=3600.0, description="From so long ago: seconds, or as in `24h`; at most 31 days.")
    every: Seconds | None = Field(default=None, description="In steps of so long; about sixty of them unless given.")
    by: Literal["workflow", "queue"] | None = Field(default=None, description="A line for each of the ten liveliest.")
    workflow: Name | None = Field(default=None, description="Only runs of this name.")
    queue: QueueName | None = Field(default=None, description="Only tasks of this queue.")


class Statistics:
    """`/api/v1/stats`."""

    def __init__(self, backend: Backend) -> None:
        self._link = Link(backend.settings, "api stats", statement_timeout=TIMEOUT)
        backend.at_close(self._link.close)
        self._known: Cached[Stats] = Cached(KEPT)

    @operation("What happened over time")
    async def on_get(self, asked: Asked, query: StatsQuery) -> Stats:
        """Throughput, failures and latency, for charts. It costs the same however much happened: where that was much,
        the numbers are estimates from an even share of it (`share`). Who is limited has to name a workflow or a queue
        of theirs."""
        if asked.scoped:
            _require(asked, query)
        since, every = _grid(query)
        key = (since, every, query.by, query.workflow, query.queue)
        return await self._known.get(key, lambda: self._find(query, since, every))

    async def _ask(self, call: Call[T]) -> T:
        """On a connection of its own, one after the other: charts never take the connections that requests wait for."""
        with translated():
            try:
                return await self._link.run(call)
            except psycopg.Error as error:
                if not is_outage(error):
                    raise
                return await self._link.run(call)  # the connection may have been lost long ago

    async def _find(self, query: StatsQuery, since: datetime, every: timedelta) -> Stats:
        until = datetime.now(UTC)
        span = Span(since, until + every, every, query.workflow, query.queue)
        try:
            counts = await self._ask(measures.series(span, query.by))
            times = await self._ask(measures.latency(span))
        except psycopg.errors.QueryCanceled:
            raise ProblemError(
                "unavailable", "it takes too long to find that out", hint="ask for less: a shorter time",
                headers={"Retry-After": "10"},
            ) from None  # fmt: skip
        return Stats(
            since=since, until=until, every=every.total_seconds(),
            share=min(1.0, 1.0 / max((one.weight for one in counts), default=1.0)),
            series=_lines(counts, since, until, every), latency=[_timing(one) for one in times],
        )  # fmt: skip


def _require(asked: Asked, query: StatsQuery) -> None:
    if query.workflow is None and query.queue is None:
        raise ProblemError("forbidden", f"{asked.actor} is limited", hint="name a workflow or a queue of yours")
    if query.workflow is not None and asked.reaches(workflow=query.workflow):
        return
    asked.require(workflow=query.workflow, queue=query.queue)


def _grid(query: StatsQuery) -> tuple[datetime, timedelta]:
    """Where the first step begins, and how long they are; steps are the same for everybody who asks."""
    if not 1 <= query.since <= LONGEST:
        raise ArgumentError(f"since={query.since:g} is not from 1 second to 31 days")
    every = query.every
    if every is None:
        every = next((step for step in STEPS if query.since / step <= 60), STEPS[-1])
    if every < 1 or query.since / every > POINTS:
        raise ArgumentError(
            f"every={every:g} is not from 1 second on, with at most {POINTS} steps",
            hint=f"for so long, from {ceil(query.since / POINTS)} on",
        )
    step = timedelta(seconds=every)
    begin = datetime.now(UTC) - timedelta(seconds=query.since)
    return begin - (begin - ORIGIN) % step, step


def _lines(counts: list[Counts], since: datetime, until: datetime, every: timedelta) -> list[Series]:
    known = {(one.name, one.at): one for one in counts}
    totals: dict[str, float] = {}
    for one in counts:
        totals[one.name] = totals.get(one.name, 0) + sum(getattr(one, word) or 0 for word in _COUNTED)
    names = sorted(totals, key=lambda name: (name == "", -totals[name], name)) or [""]
    steps = [since + number * every for number in range((until - since) // every + 1)]
    return [Series(name=name, points=[_point(at, known.get((name, at))) for at in steps]) for name in names]


def _point(at: datetime, found: Counts | None) -> Point:
    return Point(at=at, **{word: round(getattr(found, word, None) or 0) for word in _COUNTED})


def _timing(one: Times) -> Timing:
    return Timing(
        at=one.at, attempts=one.attempts, ran=_percentiles(one.ran), starts=one.starts, waited=_percentiles(one.waited)
    )


def _percentiles(found: list[float] | None) -> Percentiles | None:
    return Percentiles(p50=found[0], p95=found[1], p99=found[2]) if found and found[0] is not None else None
