"""What is measured of the engine: values of this instant, and what happened over time. All of it costs a bounded
amount, however much there is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from pgflow.db.call import Call

PAGES = 600
"""Pages of events that are read for a series; of more, so many are."""
FEW = 300
"""Pages where each event is looked up besides."""
MOST = 1500
"""Attempts whose times a series is made of."""
GROUPS = 10


class Measure(NamedTuple):
    """A value.

    Args:
        name: what was measured.
        first: of which queue, state or type; None: there is but one.
        second: of which priority.
        value: how many, or how many seconds.
    """

    name: str
    first: str | None
    second: str | None
    value: float | None


class Span(NamedTuple):
    """Which stretch of time is asked about, and what of it.

    Args:
        since: from then on.
        until: before then.
        every: in steps of so long.
        workflow: only runs of that name.
        queue: only tasks of that queue.
    """

    since: datetime
    until: datetime
    every: timedelta
    workflow: str | None = None
    queue: str | None = None


class Counts(NamedTuple):
    """What happened within a step.

    Args:
        at: its beginning.
        name: the group; '' for all, and for those that are in no group of their own.
        started: attempts.
        completed: tasks.
        failed: tasks that failed for good.
        retried: attempts that failed and are made again.
        cancelled: tasks.
        lost_leases: attempts whose worker was lost.
        weight: for how many events each that was read stands.
    """

    at: datetime
    name: str
    started: float | None
    completed: float | None
    failed: float | None
    retried: float | None
    cancelled: float | None
    lost_leases: float | None
    weight: float


class Times(NamedTuple):
    """How long it took within a step: median, 95th and 99th percentile, in seconds.

    Args:
        at: its beginning.
        attempts: how many ended ones were looked at.
        starts: how many first starts were looked at.
        ran: how long attempts ran.
        waited: how long tasks had waited for their first start since they were due.
    """

    at: datetime
    attempts: int
    starts: int
    ran: list[float] | None
    waited: list[float] | None


def measures() -> Call[list[Measure]]:
    """Everything as it is now."""
    return Call("metrics/look", {}, lambda rows: [Measure(*row) for row in rows])


def series(span: Span, by: str | None = None, *, pages: int | None = None) -> Call[list[Counts]]:
    """How much was started and ended in each step in which anything was; `by`: `workflow` or `queue`."""
    if pages is None:
        pages = PAGES if by is None and span.workflow is None and span.queue is None else FEW
    params = {**span._asdict(), "by": by, "pages": pages, "groups": GROUPS}
    return Call("stats/series", params, lambda rows: [Counts(*row) for row in rows])


def latency(span: Span, *, pages: int = FEW) -> Call[list[Times]]:
    """How long attempts ran and tasks waited, for each step in which any did."""
    params = {**span._asdict(), "pages": pages, "most": MOST}
    return Call("stats/latency", params, lambda rows: [Times(*row) for row in rows])
