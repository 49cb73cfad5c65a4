"""A duty of the leader: nominal instants that have come start runs.

Model: a schedule's `next_at` is where the leader looks next; no nominal instant before it is left. What it finds from
there up to now it decides in one statement, which writes each instant (its row in `firing`), the run that it starts and
the new `next_at` together, and only if the schedule is still as it was looked at. So an instant is decided once, by
whichever leader comes first, and none is passed over: a leader that dies before the commit has decided nothing, one
that dies after it has decided all of it.

An instant that is late by no more than `ON_TIME` is simply late, as after a change of leaders. Of those that are later
(no scheduler ran, or the database was down) the latest `catch_up` are made up for, counted with those that are on time;
the rest are noted as missed, at most `MOST_NOTED` of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import psycopg
import structlog

from pgflow import cron
from pgflow.db.call import Call
from pgflow.engine import schedules
from pgflow.engine.leadership import Pulse
from pgflow.engine.schedules import Decision, Due
from pgflow.errors import PgflowError
from pgflow.sdk import verbs
from pgflow.sdk.registry.schedules import input_at, timetable_of

log = structlog.get_logger("pgflow")

Run = Callable[[Call[Any]], Awaitable[Any]]

BATCH = 100
ON_TIME = timedelta(seconds=60)
MOST_AT_ONCE = 100
MOST_NOTED = 100


class Schedules:
    """Fires what is due."""

    async def look(self, run: Run, pulse: Pulse) -> int:
        """Decide a batch of what is due, start what waited. Returns how many schedules moved on, or runs began."""
        done = 0
        if pulse.scheduled is not None and pulse.scheduled <= pulse.now:
            done = await self._fire(run)
        if pulse.pending:
            done += await run(schedules.release())
        return done

    async def _fire(self, run: Run) -> int:
        due: list[Due] = await run(schedules.due(BATCH))
        decisions = [_decide(one) for one in due]
        to_end = [one.due.id for one in decisions if one.due.overlap == "cancel" and one.instants]
        if to_end:
            await _cancel(run, await run(schedules.active(to_end)))
        if decisions:
            await _write(run, decisions)
        return len(decisions)


async def _write(run: Run, decisions: Sequence[Decision]) -> None:
    """Write what was decided. What the database refuses, because of what is in one of them, must neither keep the
    others from firing nor the leader from leading."""
    try:
        await run(schedules.fire(decisions))
    except psycopg.DataError as error:
        if len(decisions) > 1:
            for one in decisions:
                await _write(run, [one])
        elif decisions[0].instants or decisions[0].missed:
            await _write(run, [_put_off(decisions[0].due, error)])
        else:
            raise


async def _cancel(run: Run, runs: list[int]) -> None:
    """Cancel these runs, as a client does that does not wait for what they undo."""
    steps = verbs.cancel(runs, actor="schedule") if runs else None
    answer: Any = None
    while steps is not None:
        try:
            step = steps.send(answer)
        except StopIteration:
            return
        if isinstance(step, Call):
            answer = await run(step)
        else:
            answer = None
            await asyncio.sleep(step.seconds)


def _decide(due: Due) -> Decision:
    try:
        timetable = timetable_of(due, due.created_at)
        found, count, following = cron.missed(timetable, due.looked_at, due.now, MOST_AT_ONCE)
        late = [at for at in found if due.now - at > ON_TIME]
        keep = max(due.catch_up, len(found) - len(late))
        instants = found[len(found) - min(keep, len(found)) :]
        missed = found[: len(found) - len(instants)][-MOST_NOTED:]
        if missed:
            log.warning("schedule missed instants", schedule=due.name, count=count, made_up_for=len(instants))
        return Decision(
            due, following, [(at, input_at(due.input, due.name, due.timezone, at)) for at in instants], missed
        )
    except PgflowError as error:  # what was checked when it was made does not hold any more: another tzdata, say
        return _put_off(due, error)


def _put_off(due: Due, error: Exception) -> Decision:
    log.error("schedule cannot fire; it is looked at again in an hour", schedule=due.name, error=str(error))
    return Decision(due, due.now + timedelta(hours=1), [], [])
