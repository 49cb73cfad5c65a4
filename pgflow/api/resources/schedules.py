"""Schedules: what the clock starts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from pgflow import cron
from pgflow.api import revisions
from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import Id, Instant, Limit, Model, Name, Page, Query, Seconds, StateWord, row
from pgflow.api.operation import Reply, operation
from pgflow.api.resources.backfills import Backfilling
from pgflow.api.targets import PriorityWord, Tag, Target, missing, require, sees, shown
from pgflow.engine import schedules as engine
from pgflow.errors import ArgumentError, NameTaken
from pgflow.sdk.registry import schedules as verbs

Zone = Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00]*$")]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Overlap = Literal["allow", "skip", "queue", "cancel"]
MANY = 100_000
"""Instants that are counted before a backfill; of more it is said that there are more."""


class PutSchedule(Target):
    """When something is started. One of `cron`, `every` and `at` says when."""

    cron: Expression | None = Field(default=None, description="Minute, hour, day of month, month, day of week.")
    every: Seconds | None = Field(default=None, description="An interval: seconds, or as in `5m`.")
    at: Instant | None = Field(default=None, description="Once.")
    timezone: Zone = Field(default="UTC", description="In which `cron` is read, as in `Europe/Berlin`.")
    input: dict[str, Any] = Field(
        default_factory=dict, description="The arguments; they may hold `${trigger.fire_at}`."
    )
    starts_at: Instant | None = Field(default=None, description="Nothing fires before it; intervals count from it.")
    ends_at: Instant | None = Field(default=None, description="Nothing fires from it on.")
    jitter: Seconds = Field(default=0.0, description="A run may start later by up to this.")
    overlap: Overlap = Field(default="allow", description="What becomes of an instant while the run before goes on.")
    catch_up: int = Field(default=1, ge=0, le=100, description="How many missed instants are made up for.")


class CreateSchedule(PutSchedule):
    """A new schedule."""

    name: Name


class Schedule(Model):
    """A schedule."""

    name: str
    state: Literal["active", "paused", "ended"]
    task: str
    queue: str | None
    priority: PriorityWord
    tags: dict[Tag, str] | None
    input: Any
    explanation: str = Field(description="When it fires, in English.")
    cron: str | None
    every: float | None
    at: Instant | None
    timezone: str
    starts_at: Instant | None
    ends_at: Instant | None
    jitter: float
    overlap: Overlap
    catch_up: int
    next_at: Instant | None = Field(description="When it is looked at next; null: never again.")
    last_at: Instant | None
    last_run: Id | None
    paused_at: Instant | None
    paused_by: str | None
    source: str = Field(description="Who keeps it up to date: `api`, `client`, `file:...`, `code:...`.")
    revision: int
    created_at: Instant
    changed_at: Instant
    actor: str | None


class ScheduleList(Model):
    """Schedules by name."""

    items: list[Schedule]


class Firing(Model):
    """What became of one instant."""

    fire_at: Instant
    kind: Literal["scheduled", "manual", "backfill"]
    state: Literal["started", "pending", "skipped", "missed"]
    run: Id | None
    at: Instant = Field(description="When that was decided.")
    outcome: StateWord | Literal["active"] | None = Field(description="The state of the run, `active` until it ended.")


class FiringQuery(Query):
    """Which firings."""

    after: Instant | None = Field(default=None, description="`next` of the page before: only instants before it.")
    limit: Limit = 20


class NextQuery(Query):
    """How many instants."""

    count: int = Field(default=5, ge=1, le=100)


class Instants(Model):
    """Instants to come."""

    items: list[Instant]


class BackfillSchedule(Model):
    """Which past is filled in."""

    start: Instant = Field(description="The first instant.")
    end: Instant | None = Field(default=None, description="The instant to stop before: now unless given.")


class Triggered(Model):
    """The run that was started."""

    run: Id


class Paused(Model):
    """Whether it is paused, and whether that is new."""

    paused: bool
    changed: bool


class CronQuery(Query):
    """A cron expression."""

    expression: Expression
    timezone: Zone = "UTC"
    count: int = Field(default=5, ge=0, le=100)
    after: Instant | None = Field(default=None, description="From then on; now unless given.")


class Explained(Model):
    """What a cron expression says."""

    expression: str
    timezone: str
    explanation: str
    follows_the_clock: bool = Field(description="What clocks skip is skipped, what they repeat is repeated.")
    next: list[Instant]


class Schedules:
    """`/api/v1/schedules`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List the schedules")
    async def on_get(self, asked: Asked) -> ScheduleList:
        """By name."""
        found = await self._backend.client.schedules.list()
        return ScheduleList(items=[_answer(one) for one in found if sees(asked, one.start)])

    @operation("Make a schedule", status=201, changes="schedule.create", tagged="content")
    async def on_post(self, change: Change, body: CreateSchedule) -> Reply[Schedule]:
        """It fires from now on."""
        wanted = self._wanted(change, body.name, body)
        if await _lock(change, body.name) is not None:
            raise NameTaken(f"there is a schedule {body.name} already", hint="change it with PUT")
        made = await change.drive(verbs.create(wanted, actor=change.actor))
        change.tell(f"schedule:{body.name}", after=_told(made))
        return _reply(made, 201)

    @operation("Look at a schedule", tagged="content")
    async def on_get_one(self, asked: Asked, name: Name) -> Reply[Schedule]:
        """Its ETag changes when anything in it does; `If-Match` heeds its revision alone: not that it fired, say."""
        return _reply(await self._theirs(asked, name))

    @operation(
        "Make or change a schedule", statuses={201: "It was made."}, changes="schedule.put",
        problems=("precondition_failed",), headers=revisions.IF_MATCH | revisions.IF_NONE_MATCH, tagged="content",
    )  # fmt: skip
    async def on_put_one(self, change: Change, name: Name, body: PutSchedule) -> Reply[Schedule]:
        """What its timetable was before does not count any more; a pause stays."""
        wanted = self._wanted(change, name, body)
        before = await self._mine(change, name)
        revisions.check(change, None if before is None else revisions.etag(before.id, before.revision))
        done = await change.drive(verbs.put(wanted, actor=change.actor))
        made = await change.client.schedules.get(name)
        change.tell(f"schedule:{name}", before=before and _told(before), after=_told(made))
        if done == "unchanged":
            change.nothing_changed()
        return _reply(made, 201 if done == "created" else 200)

    @operation(
        "Remove a schedule", changes="schedule.remove", problems=("precondition_failed",), headers=revisions.IF_MATCH
    )
    async def on_delete_one(self, change: Change, name: Name) -> None:
        """What it has started goes on."""
        before = await self._mine(change, name)
        if before is None:
            missing("schedule", name)
        revisions.check(change, revisions.etag(before.id, before.revision))
        await change.client.schedules.remove(name)
        change.tell(f"schedule:{name}", before=_told(before))

    @operation("Pause a schedule", changes="schedule.pause")
    async def on_post_pause(self, change: Change, name: Name) -> Paused:
        """It fires no more until it is resumed; what it has started goes on."""
        await self._theirs(change, name)
        done = await change.client.schedules.pause(name)
        change.tell(f"schedule:{name}", before={"paused": not done}, after={"paused": True})
        return Paused(paused=True, changed=bool(done))

    @operation("Resume a schedule", changes="schedule.resume")
    async def on_post_resume(self, change: Change, name: Name) -> Paused:
        """From now on: what it passed over is for a backfill."""
        await self._theirs(change, name)
        done = await change.client.schedules.resume(name)
        change.tell(f"schedule:{name}", before={"paused": bool(done)}, after={"paused": False})
        return Paused(paused=False, changed=bool(done))

    @operation("Start a schedule's run now", status=201, changes="schedule.trigger")
    async def on_post_trigger(self, change: Change, name: Name) -> Reply[Triggered]:
        """Whatever its timetable and its overlap policy say."""
        await self._theirs(change, name)
        handle = await change.client.schedules.trigger(name)
        change.tell(f"schedule:{name}", after={"run": str(handle.id)})
        return Reply(Triggered(run=handle.id), 201, {"Location": f"/api/v1/runs/{handle.id}"})

    @operation("Fill in a schedule's past", status=202, changes="schedule.backfill")
    async def on_post_backfill(self, change: Change, name: Name, body: BackfillSchedule) -> Reply[Backfilling]:
        """Starts the run of each instant that never had one, at low priority, in the background."""
        schedule = await self._theirs(change, name)
        assert schedule.now is not None
        assert schedule.created_at is not None
        end = body.end or schedule.now
        timetable = verbs.timetable_of(schedule, schedule.created_at)
        some = await asyncio.to_thread(timetable.between, body.start, end, 1)
        if body.start < end <= schedule.now and not some:
            raise ArgumentError(f"{name} has no instant between {body.start.isoformat()} and {end.isoformat()}")
        handle = await change.client.schedules.backfill(name, body.start, end)
        change.tell(f"schedule:{name}", after={"run": str(handle.id), "start": body.start, "end": end})
        begun = Backfilling(
            id=handle.id, schedule=name, start=body.start, end=end, state="queued", progress=None, note=None,
            instants=None, started=None, error=None,
        )  # fmt: skip
        return Reply(begun, 202, {"Location": f"/api/v1/backfills/{handle.id}"})

    @operation("Look at a schedule's next instants")
    async def on_get_next(self, asked: Asked, name: Name, query: NextQuery) -> Instants:
        """None while it is paused."""
        await self._theirs(asked, name)
        return Instants(items=list(await self._backend.client.schedules.next(name, query.count)))

    @operation("List what became of a schedule's instants")
    async def on_get_firings(self, asked: Asked, name: Name, query: FiringQuery) -> Page[Firing]:
        """Newest first."""
        await self._theirs(asked, name)
        found = await self._backend.client.schedules.firings(name, limit=query.limit, before=query.after)
        following = found[-1].fire_at.astimezone(UTC).isoformat() if len(found) == query.limit else None
        return Page(items=[row(Firing, one) for one in found], next=following and following.replace("+00:00", "Z"))

    @operation("Explain a cron expression")
    async def on_get_explain(self, asked: Asked, query: CronQuery) -> Explained:
        """In English, with the instants that it fires at."""
        return await asyncio.to_thread(_explained, query)

    def _wanted(self, change: Change, name: str, body: PutSchedule) -> engine.Schedule:
        require(change, body.task, body.queue)
        given: dict[str, Any] = {
            word: value for word in verbs.Timing.__annotations__ if (value := getattr(body, word)) is not None
        }
        return verbs.schedule_of(name, self._backend.tasks.get(body.task, body.task), **given, source="api")

    async def _theirs(self, asked: Asked, name: str) -> engine.Schedule:
        client = asked.client if isinstance(asked, Change) else self._backend.client
        found = await client.schedules.get(name)
        if not sees(asked, found.start):
            missing("schedule", name)
        return found

    async def _mine(self, change: Change, name: str) -> engine.Schedule | None:
        """As it is, and stays until the change is done; None: there is none."""
        return await self._theirs(change, name) if await _lock(change, name) is not None else None


async def _lock(change: Change, name: str) -> int | None:
    return await change.run(engine.lock(name))


def _explained(query: CronQuery) -> Explained:
    found = cron.Cron(query.expression, query.timezone)
    instants = found.next(query.count, query.after or datetime.now(UTC))
    return Explained(
        expression=query.expression, timezone=query.timezone, explanation=found.explain(),
        follows_the_clock=found.follows, next=instants,
    )  # fmt: skip


def _answer(one: engine.Schedule) -> Schedule:
    assert one.created_at is not None
    state = "paused" if one.paused_at is not None else "active" if one.next_at is not None else "ended"
    says = verbs.timetable_of(one, one.created_at).explain()
    fields: Sequence[str] = [word for word in Schedule.model_fields if hasattr(one, word)]
    more = {"state": state, "explanation": says}
    return row(Schedule, {word: getattr(one, word) for word in fields} | shown(one.start) | more)


def _reply(one: engine.Schedule, status: int = 200) -> Reply[Schedule]:
    headers = {"ETag": revisions.etag(one.id, one.revision)}
    if status == 201:
        headers["Location"] = f"/api/v1/schedules/{one.name}"
    return Reply(_answer(one), status, headers)


def _told(one: engine.Schedule) -> dict[str, Any]:
    """What the audit tells of it."""
    whole: dict[str, Any] = _answer(one).model_dump(mode="json")
    return {word: whole[word] for word in (*PutSchedule.model_fields, "state", "source")}
