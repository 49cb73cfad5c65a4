"""Tasks: enqueued, listed, looked at, cancelled, redriven; and those of them that are dead letters."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import Id, Instant, Limit, Model, Name, Page, Query, QueueName, StateWord, row
from pgflow.api.operation import operation
from pgflow.api.start_request import Started, StartRun
from pgflow.api.starting import start_many
from pgflow.api.visible import visible
from pgflow.engine import inspection
from pgflow.model import State
from pgflow.sdk import verbs


class Task(Model):
    """A task, and where it is."""

    id: Id
    root_id: Id = Field(description="Its run.")
    parent_id: Id | None
    name: str
    queue: str
    priority: str
    state: StateWord
    attempt: int
    crashes: int | None
    key: str | None
    tags: dict[str, Any] | None
    created_at: Instant
    due_at: Instant | None
    claimed_at: Instant | None
    worker_id: Id | None
    lease_expires_at: Instant | None
    finished_at: Instant | None


class WholeTask(Task):
    """A task with what it was given and what became of it."""

    step: str | None
    actor: str | None
    input: Any
    output: Any
    error: Any
    retry: Any = Field(description="Its own retry policy; null: its name's.")
    timeout: float | None = Field(description="Seconds that an attempt may take.")


class TaskQuery(Query):
    """Which tasks."""

    state: State | None = None
    name: Name | None = None
    queue: QueueName | None = None
    roots_only: bool = Field(default=False, description="Only runs.")
    after: Id | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 50


class DeadLetterQuery(Query):
    """Which dead letters."""

    name: Name | None = None
    queue: QueueName | None = None
    after: Id | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 50


class RedriveWhere(Model):
    """Which dead letters."""

    name: Name | None = None
    queue: QueueName | None = None
    limit: int = Field(default=1000, ge=1, le=1000, description="How many at most.")


class EnqueueMany(Model):
    """Tasks to be enqueued: all or none."""

    items: Annotated[list[StartRun], Field(min_length=1, max_length=1000)]
    wake: bool = Field(default=True, description="False leaves idle workers to their safety poll.")


class Enqueued(Model):
    """What was enqueued, in the order asked."""

    items: list[Started]


class CancelledTask(Model):
    """What was cancelled."""

    cancelled: list[Id]


class Redriven(Model):
    """What was revived."""

    redriven: list[Id]


class Tasks:
    """`/api/v1/tasks` and `/api/v1/dead-letters`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List tasks")
    async def on_get(self, asked: Asked, query: TaskQuery) -> Page[Task]:
        """Those of runs, too; newest first. A page looks at some hundreds at most, and may so hold fewer than asked
        for, even none, while there is a next one. Who is limited sees those of their runs."""
        return await _page(self._backend, asked, query)

    @operation("Enqueue tasks", status=201, changes="task.enqueue", problems=("key_reused", "not_found"))
    async def on_post(self, change: Change, body: EnqueueMany) -> Enqueued:
        """Up to a thousand, all or none. What is wrong with one is told with its place, as in `$.items[3].input.day`.
        Each may have a `key` of its own."""
        made = await start_many(change, self._backend.tasks, body.items, wake=body.wake)
        change.tell(f"run:{made[0].id}", after={"count": len(made), "first": made[0].id, "last": made[-1].id})
        if all(one.existed for one in made):
            change.nothing_changed()
        return Enqueued(items=made)

    @operation("Look at a task")
    async def on_get_one(self, asked: Asked, id: Id) -> WholeTask:
        """With its input, and its output or error."""
        await visible(self._backend, asked, id)
        return row(WholeTask, await self._backend.drive(verbs.show(id)))

    @operation("Cancel a task", changes="task.cancel")
    async def on_post_cancel(self, change: Change, id: Id) -> CancelledTask:
        """One that has its outcome stays as it is."""
        await visible(change, change, id)
        before = await change.client.show(id)
        done = await change.client.cancel(id)
        if not done and (await change.client.show(id))["state"] == before["state"]:
            change.nothing_changed()
        change.tell(f"task:{id}", before={"state": before["state"]}, after={"cancelled": len(done)})
        return CancelledTask(cancelled=done)

    @operation("Redrive a task", changes="task.redrive")
    async def on_post_redrive(self, change: Change, id: Id) -> Redriven:
        """One that failed or was cancelled is made ready again; any other stays as it is."""
        await visible(change, change, id)
        before = await change.client.show(id)
        done = await change.client.redrive(id)
        if not done:
            change.nothing_changed()
        change.tell(f"task:{id}", before={"state": before["state"]}, after={"redriven": bool(done)})
        return Redriven(redriven=done)

    @operation("List dead letters")
    async def on_get_dead(self, asked: Asked, query: DeadLetterQuery) -> Page[Task]:
        """Tasks that failed for good, newest first; to who is limited those of their runs."""
        return await _page(self._backend, asked, TaskQuery(state=State.FAILED, **query.model_dump()))

    @operation("Redrive dead letters", changes="task.redrive")
    async def on_post_dead_redrive(self, change: Change, body: RedriveWhere) -> Redriven:
        """The newest first; of who is limited those of their runs. Those of graphs stay: their runs are re-run."""
        done = await change.drive(
            verbs.redrive_where(
                name=body.name, queue=body.queue, limit=body.limit, actor=change.actor, within=_within(change)
            )
        )
        change.tell("dead-letters", after={"redriven": len(done), "name": body.name, "queue": body.queue})
        return Redriven(redriven=done)


def _within(asked: Asked) -> inspection.Within | None:
    """What who asks is limited to; None: they see everything."""
    if not asked.scoped or asked.who is None:
        return None
    return inspection.Within(asked.who.likes("workflow") or [], asked.who.likes("queue") or [])


async def _page(backend: Backend, asked: Asked, query: TaskQuery) -> Page[Task]:
    """A page of the tasks that who asks may see."""
    found = await backend.run(
        inspection.task_page(
            within=_within(asked), roots_only=query.roots_only, state=query.state, name=query.name, queue=query.queue,
            before=query.after, limit=query.limit,
        )
    )  # fmt: skip
    following = None if found.before is None else str(found.before)
    return Page(items=[row(Task, one) for one in found.tasks], next=following)


async def listed(backend: Backend, query: TaskQuery, run_id: int) -> Page[Task]:
    """A page of the tasks of a run."""
    found = await backend.run(
        inspection.tasks_of(
            run_id, roots_only=query.roots_only, state=query.state, name=query.name, queue=query.queue,
            before=query.after, limit=query.limit,
        )
    )  # fmt: skip
    following = str(found[-1]["id"]) if len(found) == query.limit else None
    return Page(items=[row(Task, one) for one in found], next=following)
