"""Queues: how deep they are, paused and resumed."""

from __future__ import annotations

from pydantic import Field

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import Instant, Model, QueueName, row
from pgflow.api.operation import operation
from pgflow.engine import control


class Queue(Model):
    """A queue that has a task, a worker or a setting."""

    name: str
    queued: int = Field(description="Tasks that are ready.")
    running: int
    delayed: int = Field(description="Tasks that wait for their time.")
    oldest: Instant | None = Field(description="When the oldest ready one was asked for.")
    workers: int = Field(description="Executors that serve it.")
    paused_at: Instant | None
    paused_by: str | None


class QueueList(Model):
    """All queues."""

    items: list[Queue]


class PausedQueue(Model):
    """Whether a queue is paused."""

    name: str
    paused: bool


class Queues:
    """`/api/v1/queues`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List the queues")
    async def on_get(self, asked: Asked) -> QueueList:
        """All queues that have a task, a worker or a setting, by name."""
        found = await self._backend.client.queues()
        return QueueList(items=[row(Queue, one) for one in found if asked.reaches(queue=one["name"])])

    @operation("Pause a queue", changes="queue.pause")
    async def on_post_pause(self, change: Change, name: QueueName) -> PausedQueue:
        """No task of it is claimed any more; running ones go on."""
        change.require(queue=name)
        await change.run(control.pause_queue(name, actor=change.actor))
        change.tell(f"queue:{name}", after={"paused": True})
        return PausedQueue(name=name, paused=True)

    @operation("Resume a queue", changes="queue.resume")
    async def on_post_resume(self, change: Change, name: QueueName) -> PausedQueue:
        """Its tasks are claimed again. One that was not paused stays as it is."""
        change.require(queue=name)
        was = await change.run(control.resume_queue(name))
        change.tell(f"queue:{name}", before={"paused": was}, after={"paused": False})
        return PausedQueue(name=name, paused=False)
