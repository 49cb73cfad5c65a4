"""What code declares beside its tasks, brought to the database when a worker starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgflow.db.call import Call
from pgflow.engine import schedules
from pgflow.sdk.task import Task


def declared(tasks: Mapping[str, Task[..., Any]]) -> list[Call[Any]]:
    """The calls that make the schedules of these tasks as the code has them, in one transaction.

    Those that code of the same modules declared before and declares no more are paused, not removed: should a worker
    with the older code still run somewhere, its next start brings them back.
    """
    given = sorted((schedule for task in tasks.values() for schedule in task.schedules), key=lambda one: one.name)
    sources = sorted({f"code:{task.module}" for task in tasks.values()})
    if not sources:
        return []
    return [*map(schedules.put, given), schedules.retire(sources, [schedule.name for schedule in given])]
