"""`client.schedules`: the verbs about schedules, once for both colours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypedDict, TypeVar, Unpack
from zoneinfo import ZoneInfo

from pgflow import cron as timetables
from pgflow import duration
from pgflow.codec import encode
from pgflow.cron import Timetable
from pgflow.db.call import Call
from pgflow.engine import schedules as engine
from pgflow.engine.enqueue import Request, Spec
from pgflow.engine.schedules import Firing, Schedule
from pgflow.errors import ArgumentError, NameTaken, NotFound
from pgflow.expression import Template
from pgflow.model import Priority
from pgflow.sdk.registry.start import queue_of, start_of
from pgflow.sdk.task import Duration, Task, check_priority, check_queue, is_name
from pgflow.sdk.verbs import Handle, Steps, enqueue_one

R = TypeVar("R")

BACKFILL = "pgflow.backfill"
"""The engine's own workflow that fills in the past."""
OWN_QUEUE = "pgflow"
OVERLAPS = ("allow", "skip", "queue", "cancel")
NAMES = frozenset({"trigger"})
"""What a schedule's input may refer to."""
MOST_CAUGHT_UP = 100


class Timing(TypedDict, total=False):
    """When a schedule fires, and what becomes of it: see `pgflow.engine.schedules.Schedule`."""

    input: Mapping[str, Any]
    cron: str
    every: Duration
    at: datetime
    timezone: str
    starts_at: datetime
    ends_at: datetime
    jitter: Duration
    overlap: str
    catch_up: int
    queue: str
    priority: Priority | int | str
    tags: Mapping[str, str]


class Timed(Protocol):
    """What says when a schedule fires."""

    @property
    def cron(self) -> str | None: ...
    @property
    def every(self) -> float | None: ...
    @property
    def at(self) -> datetime | None: ...
    @property
    def timezone(self) -> str: ...
    @property
    def starts_at(self) -> datetime | None: ...
    @property
    def ends_at(self) -> datetime | None: ...


def timetable_of(schedule: Timed, anchor: datetime) -> Timetable:
    """When a schedule fires; intervals are counted from its `starts_at`, else from the anchor."""
    return timetables.timetable(
        cron=schedule.cron, every=schedule.every, at=schedule.at, timezone=schedule.timezone,
        starts_at=schedule.starts_at, ends_at=schedule.ends_at, anchor=anchor,
    )  # fmt: skip


def input_at(input: Any, name: str, timezone: str, at: datetime, kind: str = "scheduled") -> Any:
    """What a run is given that is started for this instant.

    Its expressions may name `trigger.schedule`, `trigger.kind`, `trigger.fire_at` (RFC 3339), `trigger.fire_date` and
    `trigger.timezone`. They may hold no loop: the leader evaluates them.
    """
    template = Template(input, macros=0)
    if template.verbatim:
        return input
    local = at.astimezone(ZoneInfo(timezone))
    trigger = {
        "schedule": name, "kind": kind, "fire_at": local.isoformat(), "fire_date": local.date().isoformat(),
        "timezone": timezone,
    }  # fmt: skip
    return template.render({"trigger": trigger})


def schedule_of(
    name: str, task: Task[..., Any] | str, *, input: Mapping[str, Any] | None = None, cron: str | None = None,
    every: Duration | None = None, at: datetime | None = None, timezone: str = "UTC",
    starts_at: datetime | None = None, ends_at: datetime | None = None, jitter: Duration = 0.0,
    overlap: str = "allow", catch_up: int = 1, queue: str | None = None, priority: Priority | int | str | None = None,
    tags: Mapping[str, str] | None = None, source: str = "client",
) -> Schedule:  # fmt: skip
    """The schedule, checked whole. The arguments are those of `Schedules.create`."""
    where = f"schedule {name}"
    start = start_of(task, input)
    if queue is not None:
        start["queue"] = check_queue(queue, where)
    if priority is not None:
        start["priority"] = int(check_priority(priority, where))
    if tags is not None:
        start["tags"] = {**start.get("tags", {}), **tags}
    if not is_name(name):
        raise ArgumentError(f"{name!r} is no name for a schedule", hint="letters, digits and _ . : -, at most 200")
    if overlap not in OVERLAPS:
        raise ArgumentError(f"{where}: there is no overlap {overlap!r}", hint=f"choose one of: {', '.join(OVERLAPS)}")
    if not 0 <= catch_up <= MOST_CAUGHT_UP:
        raise ArgumentError(f"{where}: catch_up={catch_up} is not between 0 and {MOST_CAUGHT_UP}")
    for word, instant in (("at", at), ("starts_at", starts_at), ("ends_at", ends_at)):
        if instant is not None and instant.tzinfo is None:
            raise ArgumentError(f"{where}: {word}={instant.isoformat()} has no time zone", hint="use datetime.now(UTC)")
    schedule = Schedule(
        name=name, start=start, cron=cron, every=None if every is None else duration.parse(every),
        at=at, timezone=timezone, starts_at=starts_at, ends_at=ends_at, jitter=duration.parse(jitter), overlap=overlap,
        catch_up=catch_up, source=source,
    )  # fmt: skip
    anchor = datetime(2000, 1, 1, tzinfo=UTC)
    timetable_of(schedule, anchor)
    input_at(schedule.start["input"], name, timezone, anchor)
    return schedule


def put(schedule: Schedule, *, actor: str | None) -> Steps[str]:
    """Create or change it. Returns `created`, `changed` or `unchanged`."""
    return (yield engine.put((yield from _queued(schedule)), actor=actor))  # type: ignore[no-any-return]


def _queued(schedule: Schedule) -> Steps[Schedule]:
    """The same; if no queue is named, in the workflow's own."""
    if "queue" in schedule.start:
        return schedule
    return replace(schedule, start={**schedule.start, "queue": (yield from queue_of(schedule.start["name"]))})


def create(schedule: Schedule, *, actor: str | None) -> Steps[Schedule]:
    """Create it, or an ArgumentError when there is one of that name."""
    if (yield engine.put((yield from _queued(schedule)), create=True, actor=actor)) != "created":
        raise NameTaken(f"there is a schedule {schedule.name} already", hint="change it with put, or remove it first")
    return (yield from get(schedule.name))


def get(name: str) -> Steps[Schedule]:
    """The schedule of that name, or NotFound."""
    found: list[Schedule] = yield engine.schedules([name])
    if not found:
        raise _not_found(name)
    return found[0]


def pause(names: Sequence[str], *, actor: str | None) -> Steps[list[str]]:
    """Let these fire no more."""
    yield from _all(names)
    return (yield engine.pause(names, actor=actor))  # type: ignore[no-any-return]


def resume(names: Sequence[str]) -> Steps[list[str]]:
    """Let these fire again."""
    yield from _all(names)
    return (yield engine.resume(names))  # type: ignore[no-any-return]


def _all(names: Sequence[str]) -> Steps[list[Schedule]]:
    found: list[Schedule] = yield engine.schedules(names)
    missing = sorted(set(names) - {schedule.name for schedule in found})
    if missing:
        raise _not_found(missing[0])
    return found


def trigger(name: str, *, actor: str | None) -> Steps[Handle[Any]]:
    """Start its run now, whatever its timetable and overlap policy say."""
    schedule = yield from get(name)
    assert schedule.now is not None
    input = input_at(schedule.start["input"], name, schedule.timezone, schedule.now, "manual")
    started: list[tuple[int, datetime]] = yield engine.fill(name, [(schedule.now, input)], "manual", actor=actor)
    if not started:  # removed meanwhile, or triggered by somebody else in the very same microsecond
        raise _not_found(name)
    return Handle(started[0][0])


def firings(name: str, limit: int, before: datetime | None) -> Steps[list[Firing]]:
    """What became of its newest instants."""
    yield from get(name)
    return (yield engine.firings(name, limit, before))  # type: ignore[no-any-return]


def remove(names: Sequence[str]) -> Steps[list[str]]:
    """Remove these."""
    yield from _all(names)
    return (yield engine.remove(names))  # type: ignore[no-any-return]


def upcoming(name: str, count: int) -> Steps[list[datetime]]:
    """Its next instants; none while it is paused."""
    schedule = yield from get(name)
    if schedule.paused_at is not None or schedule.next_at is None:
        return []
    assert schedule.created_at is not None
    assert schedule.now is not None
    after = max(schedule.now, schedule.next_at) - timedelta(microseconds=1)  # the next one may be an instant itself
    return timetable_of(schedule, schedule.created_at).next(count, after)


def _not_found(name: str) -> NotFound:
    return NotFound(f"there is no schedule {name}", hint="see `pgflow schedule list`")


def backfill(name: str, start: datetime, end: datetime, *, actor: str | None) -> Steps[Handle[Any]]:
    """Start the run of each instant from `start` to before `end` that never had one. Returns the run that does it."""
    for word, instant in (("start", start), ("end", end)):
        if instant.tzinfo is None:
            raise ArgumentError(f"{word}={instant.isoformat()} has no time zone", hint="use datetime(..., tzinfo=UTC)")
    if not start < end:
        raise ArgumentError(f"there is nothing between {start.isoformat()} and {end.isoformat()}")
    schedule = yield from get(name)
    assert schedule.now is not None
    if end > schedule.now:
        raise ArgumentError(f"{end.isoformat()} is yet to come", hint="a backfill is for the past; it ends by now")
    input = {"schedule": name, "start": start, "end": end}
    request = Request(Spec(BACKFILL, OWN_QUEUE, Priority.LOW), encode(input), tags=encode({"schedule": name}))
    return (yield from enqueue_one(request, actor=actor, own_transaction=True))


class Schedules:
    """`client.schedules`: what the clock starts.

    Example:
        >>> client.schedules.create("report", daily, cron="0 6 * * 1-5", timezone="Europe/Berlin")  # doctest: +SKIP
    """

    def __init__(self, drive: Callable[[Steps[Any]], Any], actor: str | None) -> None:
        self._drive, self._actor = drive, actor

    def create(self, name: str, task: Task[..., Any] | str, /, **timing: Unpack[Timing]) -> Schedule:
        """Make a schedule.

        Args:
            name: its own.
            task: what it starts, with its `.options(...)`; or the name of one that only workers know.
            **timing: `cron=`, `every=` or `at=`, and what else makes it up.

        Raises:
            ArgumentError: there is one of that name, or something makes no sense.
        """
        return self._drive(create(schedule_of(name, task, **timing), actor=self._actor))  # type: ignore[no-any-return]

    def put(self, name: str, task: Task[..., Any] | str, /, **timing: Unpack[Timing]) -> str:
        """Make a schedule, or change the one of that name. Returns `created`, `changed` or `unchanged`."""
        return self._drive(put(schedule_of(name, task, **timing), actor=self._actor))  # type: ignore[no-any-return]

    def list(self) -> Sequence[Schedule]:
        """All of them, by name."""
        return self._drive(_one(engine.schedules()))  # type: ignore[no-any-return]

    def get(self, name: str) -> Schedule:
        """One of them, or NotFound."""
        return self._drive(get(name))  # type: ignore[no-any-return]

    def next(self, name: str, count: int = 5) -> Sequence[datetime]:
        """Its next instants; none while it is paused."""
        return self._drive(upcoming(name, count))  # type: ignore[no-any-return]

    def pause(self, *names: str) -> Sequence[str]:
        """Let these fire no more; what they have started goes on. Returns those that were not paused before."""
        return self._drive(pause(names, actor=self._actor))  # type: ignore[no-any-return]

    def resume(self, *names: str) -> Sequence[str]:
        """Let these fire again, from now on. Returns those that were paused."""
        return self._drive(resume(names))  # type: ignore[no-any-return]

    def trigger(self, name: str) -> Handle[Any]:
        """Start its run now, whatever its timetable and its overlap policy say."""
        return self._drive(trigger(name, actor=self._actor))  # type: ignore[no-any-return]

    def backfill(self, name: str, start: datetime, end: datetime) -> Handle[Any]:
        """Start the run of each instant from `start` to before `end` that never had one, at low priority.

        Returns the run that does it: `client.state(run)` tells how far it has come. The overlap policy is not heeded;
        a limited queue keeps such runs from crowding.
        """
        return self._drive(backfill(name, start, end, actor=self._actor))  # type: ignore[no-any-return]

    def firings(self, name: str, *, limit: int = 20, before: datetime | None = None) -> Sequence[Firing]:
        """What became of its newest instants, newest first."""
        return self._drive(firings(name, limit, before))  # type: ignore[no-any-return]

    def remove(self, *names: str) -> Sequence[str]:
        """Remove these; what they have started goes on."""
        return self._drive(remove(names))  # type: ignore[no-any-return]


class AsyncSchedules:
    """`client.schedules` of an async client: the same verbs as `Schedules`, awaited."""

    def __init__(self, drive: Callable[[Steps[Any]], Awaitable[Any]], actor: str | None) -> None:
        self._drive, self._actor = drive, actor

    async def create(self, name: str, task: Task[..., Any] | str, /, **timing: Unpack[Timing]) -> Schedule:
        return await self._drive(create(schedule_of(name, task, **timing), actor=self._actor))  # type: ignore[no-any-return]

    async def put(self, name: str, task: Task[..., Any] | str, /, **timing: Unpack[Timing]) -> str:
        return await self._drive(put(schedule_of(name, task, **timing), actor=self._actor))  # type: ignore[no-any-return]

    async def list(self) -> Sequence[Schedule]:
        return await self._drive(_one(engine.schedules()))  # type: ignore[no-any-return]

    async def get(self, name: str) -> Schedule:
        return await self._drive(get(name))  # type: ignore[no-any-return]

    async def next(self, name: str, count: int = 5) -> Sequence[datetime]:
        return await self._drive(upcoming(name, count))  # type: ignore[no-any-return]

    async def pause(self, *names: str) -> Sequence[str]:
        return await self._drive(pause(names, actor=self._actor))  # type: ignore[no-any-return]

    async def resume(self, *names: str) -> Sequence[str]:
        return await self._drive(resume(names))  # type: ignore[no-any-return]

    async def trigger(self, name: str) -> Handle[Any]:
        return await self._drive(trigger(name, actor=self._actor))  # type: ignore[no-any-return]

    async def backfill(self, name: str, start: datetime, end: datetime) -> Handle[Any]:
        return await self._drive(backfill(name, start, end, actor=self._actor))  # type: ignore[no-any-return]

    async def firings(self, name: str, *, limit: int = 20, before: datetime | None = None) -> Sequence[Firing]:
        return await self._drive(firings(name, limit, before))  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> Sequence[str]:
        return await self._drive(remove(names))  # type: ignore[no-any-return]


def _one(call: Call[R]) -> Steps[R]:
    return (yield call)  # type: ignore[no-any-return]
