"""Whether somebody may see a task: by the workflow and the queue of its run. What they may not see is not there."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pgflow.api.asked import Asked
from pgflow.api.problems import ProblemError
from pgflow.db.call import Call
from pgflow.engine import inspection
from pgflow.engine.inspection import Named

R = TypeVar("R")


class Runner(Protocol):
    """A `Backend`, or a `Change`."""

    async def run(self, call: Call[R]) -> R: ...


async def visible(runner: Runner, asked: Asked, *ids: int) -> list[Named]:
    """Whose these tasks are, in the order of their ids given; or `not_found`. Who sees everything is not kept waiting.

    Args:
        runner: asks the engine.
        asked: who wants to see them.
        ids: of tasks or runs.
    """
    if not asked.scoped:
        return []
    found = {one.task_id: one for one in await runner.run(inspection.named(ids))}
    for id in ids:
        one = found.get(id)
        if one is None or not asked.reaches(workflow=one.name, queue=one.queue):
            raise ProblemError("not_found", f"there is no task {id}")
    return [found[id] for id in ids]
