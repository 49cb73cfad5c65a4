"""What became of a run: its history, its tasks, its graph, its result, what keeps it; how it differs from another."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from pydantic import Field

from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.draining import draining
from pgflow.api.models import Id, Instant, Model, Page, Query, StateWord, row
from pgflow.api.operation import Reply, operation
from pgflow.api.resources.tasks import Task, TaskQuery, listed
from pgflow.api.visible import visible
from pgflow.engine import control
from pgflow.sdk import run_verbs, verbs

LONGEST_WAIT = 60.0


class HistoryEntry(Model):
    """Something that happened."""

    id: Id | None = Field(description="null: it is the task's own beginning.")
    task_id: Id
    at: Instant
    type: str = Field(description="As in task.started.")
    attempt: int | None
    worker_id: Id | None
    key: str | None = Field(description="The step, timer, signal or node.")
    actor: str | None
    data: Any
    name: str = Field(description="The task.")
    step: str | None = Field(description="What it is within its parent.")
    parent_id: Id | None


class HistoryQuery(Query):
    """How much of it."""

    task: Id | None = Field(default=None, description="Of this task in it alone.")
    last: Annotated[int, Field(ge=1, le=10_000)] = Field(default=1000, description="The last so many.")


class History(Model):
    """What happened, in order."""

    items: list[HistoryEntry]


class ResultQuery(Query):
    """How long to wait."""

    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT)] = Field(default=0, description="Seconds to wait for it.")


class Result(Model):
    """What became of a run."""

    id: Id
    state: StateWord
    output: Any
    error: Any


class Keeps(Model):
    """One thing that keeps a run."""

    what: str = Field(description="paused, parked, arrivals, timer, event or child.")
    task_id: Id | None
    name: str | None
    step: str | None
    state: str | None
    at: Instant | None
    actor: str | None
    detail: Any
    number: int | None


class Standing(Model):
    """What keeps a run."""

    items: list[Keeps]
    told: Any = Field(description="What the run last told of itself.")


class NodeProgress(Model):
    """What has become of a node."""

    name: str
    type: str
    state: str = Field(description="waiting (it has not begun), running, completed, failed, cancelled or skipped.")
    kept: Id | None = Field(description="From which run its end is kept.")
    started_at: Instant | None
    ended_at: Instant | None
    seconds: float | None
    branch: str | None
    error: Any
    because: str | None = Field(description="Of a skipped one: the node whose end decided it.")
    task_id: Id | None = Field(description="The child that does it.")
    task_state: str | None
    attempt: int | None
    children: dict[str, int] = Field(description="How many, by their states.")


class RunGraph(Model):
    """How far a run of a graph is."""

    id: Id
    run_id: Id
    name: str
    state: StateWord
    version: int | None
    definition: dict[str, Any]
    nodes: dict[str, NodeProgress] = Field(description="In an order in which they can be done.")


class CompareQuery(Query):
    """With which."""

    with_: Id = Field(alias="with", description="The other run.")


class RunHistory:
    """`/api/v1/runs/{id}/...`, what changes nothing."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("The history of a run")
    async def on_get_history(self, asked: Asked, id: Id, query: HistoryQuery) -> History:
        """What happened to it and to all in it, in order; the last so many."""
        await visible(self._backend, asked, id)
        found = await self._backend.client.history(id, task=query.task, limit=query.last)
        return History(items=[row(HistoryEntry, one | {"id": one["id"] or None}) for one in found])

    @operation("The tasks of a run")
    async def on_get_tasks(self, asked: Asked, id: Id, query: TaskQuery) -> Page[Task]:
        """The run itself among them, newest first."""
        await visible(self._backend, asked, id)
        await self._backend.drive(verbs.find([id]))
        return await listed(self._backend, query, run_id=id)

    @operation("The result of a run", statuses={202: "It has none yet."})
    async def on_get_result(self, asked: Asked, id: Id, query: ResultQuery) -> Reply[Result]:
        """Waits for it when asked to."""
        await visible(self._backend, asked, id)
        (found,) = await self._backend.drive(verbs.find([id]))
        end = time.monotonic() + query.wait
        rest = 0.01
        while True:
            outcome = (await self._backend.run(control.outcomes([found]))).get(id)
            if outcome is not None:
                result = Result(id=id, state=outcome.state, output=outcome.output, error=outcome.error)
                return Reply(result)
            left = end - time.monotonic()
            if left <= 0 or draining.is_set():
                state = (await self._backend.drive(verbs.show(id)))["state"]
                return Reply(Result(id=id, state=state, output=None, error=None), 202)
            await asyncio.sleep(min(left, rest))
            rest = min(0.5, rest * 1.5)

    @operation("What keeps a run")
    async def on_get_standing(self, asked: Asked, id: Id) -> Standing:
        """What it waits for, why it is parked, and what it last told of itself."""
        await visible(self._backend, asked, id)
        things = await self._backend.drive(run_verbs.standing(id))
        told = await self._backend.drive(run_verbs.told(id))
        return Standing(items=[row(Keeps, one) for one in things], told=told)

    @operation("The graph of a run")
    async def on_get_graph(self, asked: Asked, id: Id) -> RunGraph:
        """The definition that it follows, and what became of each node."""
        await visible(self._backend, asked, id)
        told = (await self._backend.client.graph(id)).to_json()
        nodes = {name: row(NodeProgress, one) for name, one in told["nodes"].items()}
        return row(RunGraph, told | {"nodes": nodes, "definition": dict(told["definition"])})

    @operation("How a run differs from another")
    async def on_get_diff(self, asked: Asked, id: Id, query: CompareQuery) -> dict[str, Any]:
        """In what they were given, what they follow, and what became of each node or step."""
        await visible(self._backend, asked, id, query.with_)
        told = (await self._backend.client.compare(id, query.with_)).to_json()
        for side in ("old", "new"):
            told[side]["id"] = str(told[side]["id"])
        return told
