"""What the commands about schedules share: a schedule from what was asked for, and a schedule as it is shown."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pgflow import cron
from pgflow.cron import Timetable
from pgflow.db.call import Session
from pgflow.engine import definitions, diagnosis
from pgflow.engine.schedules import Schedule
from pgflow.sdk.registry.schedules import Timing, schedule_of, timetable_of

_TICK = timedelta(microseconds=1)
_INSTANTS = ("at", "starts_at", "ends_at")


def asked(name: str, task: str, given: Mapping[str, Any], *, source: str = "client") -> Schedule:
    """The schedule, checked whole.

    Args:
        name: its own.
        task: the name of what it starts.
        given: what else makes it up, as people write it; None: not given.
        source: who keeps it up to date.

    Raises:
        ArgumentError: something makes no sense.
        ExpressionError: an expression in the input does not parse.
    """
    values = {word: value for word, value in given.items() if value is not None}
    zone = values.get("timezone", "UTC")
    cron.zone(zone)
    for word in _INSTANTS:
        if word in values:
            values[word] = cron.instant(values[word], zone)
    timing: Timing = values  # type: ignore[assignment]
    return schedule_of(name, task, source=source, **timing)


def unheard(session: Session, task: str) -> str | None:
    """Why nobody would run this task as things are, if so."""
    known = {name for worker in session.run(diagnosis.registered()) for name in worker.tasks}
    if not known or task in known:
        return None
    found = session.run(definitions.newest(task))
    if found is not None and found.kind == "graph":
        return None  # every worker can follow it
    close = difflib.get_close_matches(task, known)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"no running worker has code for a task named {task!r}{meant}"


def timetable(schedule: Schedule) -> Timetable:
    """When a stored schedule fires."""
    assert schedule.created_at is not None
    return timetable_of(schedule, schedule.created_at)


def upcoming(schedule: Schedule, count: int) -> list[datetime]:
    """Its next instants; of a paused one those that would be, were it resumed now."""
    if schedule.next_at is None:
        return []
    assert schedule.now is not None
    return timetable(schedule).next(count, max(schedule.now, schedule.next_at) - _TICK)


def state(schedule: Schedule) -> str:
    """active, paused or ended."""
    if schedule.paused_at is not None:
        return "paused"
    return "active" if schedule.next_at is not None else "ended"


def reading(instant: datetime, timezone: str) -> str:
    """What a clock there reads, with its offset."""
    return f"{instant.astimezone(ZoneInfo(timezone)):%a %Y-%m-%d %H:%M:%S%z}"
