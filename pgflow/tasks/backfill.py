"""`pgflow.backfill`: starts the runs of a schedule's past instants, in bounded steps, telling how far it has come.

Each step is one statement that starts only instants which were never decided, so a step that is done again after a
crash starts nothing twice. What each step started is recorded as a number, not as a list: a range may hold millions.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pgflow.engine import schedules
from pgflow.errors import Fatal, NotFound
from pgflow.sdk.app import App
from pgflow.sdk.context import Context
from pgflow.sdk.registry.schedules import BACKFILL, get, input_at, timetable_of

if TYPE_CHECKING:
    from pgflow.tasks import OwnTasks

CHUNK = 200
STEPS = 500
"""Steps after which the workflow starts over with a fresh history."""


def register(app: App, own: OwnTasks) -> None:
    """Enter the workflow."""

    async def chunk(name: str, start: datetime, end: datetime) -> dict[str, Any]:
        try:
            schedule = await own.client._drive(get(name))
        except NotFound as error:
            raise Fatal(error.message) from error
        assert schedule.created_at is not None
        timetable = timetable_of(schedule, schedule.created_at)
        instants = timetable.between(start, end, CHUNK)
        input = schedule.start["input"]
        given = [(at, input_at(input, name, schedule.timezone, at, "backfill")) for at in instants]
        # Of low priority, so that the present is not kept waiting by the past.
        started = await own.run(schedules.fill(name, given, "backfill", more={"priority": 3}, actor="backfill"))
        last = instants[-1] if len(instants) == CHUNK else None
        return {"instants": len(instants), "started": len(started), "last": last}

    @app.workflow(name=BACKFILL, queue="pgflow")
    async def backfill(
        ctx: Context, schedule: str, start: datetime, end: datetime, begun: datetime | None = None, started: int = 0,
        instants: int = 0,
    ) -> dict[str, int]:  # fmt: skip
        first = begun or start
        for _ in range(STEPS):
            done = await ctx.step(chunk, schedule, start, end)
            started, instants = started + done["started"], instants + done["instants"]
            if done["last"] is None:
                ctx.heartbeat(1.0, f"{started:,} runs started")
                return {"instants": instants, "started": started}
            last = datetime.fromisoformat(done["last"])
            ctx.heartbeat((last - first) / (end - first), f"{started:,} runs started, up to {last.isoformat()}")
            start = last + timedelta(microseconds=1)
        return ctx.continue_as_new(schedule, start, end, first, started, instants)
