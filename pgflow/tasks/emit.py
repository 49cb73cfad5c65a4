"""`pgflow.emit`: tells of an application event: starts what has a trigger for it, and wakes the workflows that wait.

All of it may be done again after a crash. A run is started once, because its key names the event and the trigger. A
workflow is told once, because the statement that tells it takes away what says that it waits. One that begins to wait
only now looks for the event itself, which was committed before this task could begin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
import structlog

from pgflow.backoff import RetryPolicy
from pgflow.codec import encode
from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.engine import emissions
from pgflow.engine.emissions import Awaited, Emission
from pgflow.engine.triggers import Trigger
from pgflow.errors import ArgumentError, Fatal, PayloadError
from pgflow.sdk.app import App
from pgflow.sdk.event_verbs import fits, named, patterns_of
from pgflow.sdk.registry.webhooks import decide, once
from pgflow.sdk.verbs import Handle

if TYPE_CHECKING:
    from pgflow.tasks import OwnTasks

log = structlog.get_logger("pgflow")

PAGE = 1000
"""Waits that are looked at, and told, in one statement."""
MARGIN = 86400.0
"""Seconds for which a started run's key outlives the event, so that no later attempt starts it again."""


def register(app: App, own: OwnTasks) -> None:
    """Enter the task."""

    @app.task(name="pgflow.emit", queue="pgflow", retry=RetryPolicy(20, base=0.5, cap=60))
    async def emit(emission: int) -> dict[str, Any]:
        event = await own.run(emissions.emission(emission))
        if event is None:
            return {"started": [], "woken": 0}
        woken = await _wake(own, event)
        started, faults = await _start_all(own, event)
        if faults:
            raise Fatal(f"event {event.id} ({event.name}): {'; '.join(faults)}; `pgflow task redrive` starts the rest")
        return {"started": started, "woken": woken}


async def _wake(own: OwnTasks, event: Emission) -> int:
    """Tell those who wait. Returns how many."""
    woken, after = 0, (0, "")
    weighed: dict[tuple[str, bytes], bool] = {}
    while True:
        page = await own.run(emissions.waiting(event.name, event.key, after, PAGE))
        if not page:
            return woken
        told = page
        if any(wait.match for wait in page):
            told = await asyncio.to_thread(_fitting, event, page, weighed)
        if told:
            woken += await own.run(emissions.deliver(event, told))
        after = (page[-1].task_id, page[-1].step)


def _fitting(event: Emission, waits: Sequence[Awaited], weighed: dict[tuple[str, bytes], bool]) -> list[Awaited]:
    """Those whose expression holds. The same one with the same values, as many may have it, is weighed once."""
    fitting = []
    for wait in waits:
        if wait.match is not None:
            weighing = (wait.match, orjson.dumps(wait.bound))
            if weighing not in weighed:
                weighed[weighing] = fits(event, wait.match, wait.bound)
            if not weighed[weighing]:
                continue
        fitting.append(wait)
    return fitting


async def _start_all(own: OwnTasks, event: Emission) -> tuple[list[int], list[str]]:
    """Start what triggers say. Returns the runs, and why others could not be started."""
    started, faults = [], []
    for trigger in await own.run(emissions.triggers(patterns_of(event.name))):
        try:
            call = await asyncio.to_thread(_start, event, trigger, own.settings)
            if call is not None:
                started.append((await own.run(call)).id)
        except (ArgumentError, PayloadError, psycopg.DataError) as error:
            log.error("an event's trigger cannot start its run", trigger=trigger.name, error=str(error))
            faults.append(str(error).partition("\n")[0])
    return started, faults


def _start(event: Emission, trigger: Trigger, settings: Settings) -> Call[Handle[Any]] | None:
    """What starts the trigger's run; None when its filter does not let the event through."""
    start = decide(trigger, {"event": named(event)}).start
    if start is None:
        return None
    payload = encode(start["input"], limit=settings.payload_limit)
    key = f"event:{event.id}:{trigger.id}"
    return once(start, payload, key, settings.event_retention + MARGIN, trigger.name)
