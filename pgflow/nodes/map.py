"""The node type `map`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from pgflow.errors import ArgumentError, PgflowError, TaskFailed
from pgflow.graph.document import Name, Problem
from pgflow.model import State
from pgflow.nodes.base import Config, Flow, Scene, wanted
from pgflow.nodes.children import beside, child, detail, state_of
from pgflow.sdk.operations import Operation

MOST = 50_000


class MapConfig(Config):
    """Of what, which task, with what."""

    over: Any = Field(description="A list, as in ${nodes.fetch.output.rows}.")
    task: Name | None = Field(default=None, description="The task that is done for each of them.")
    workflow: Name | None = Field(default=None, description="Or the workflow.")
    input: dict[str, Any] = Field(
        default_factory=lambda: {"item": "${item}"},
        description="Its arguments by name, with ${item} and ${index}; the element as `item` unless given.",
    )
    concurrency: int | None = Field(default=None, ge=1, description="How many at once; all unless given.")
    on_failure: Literal["fail", "keep", "drop", "report"] = Field(
        default="fail",
        description="Of one that fails: fail the node, keep null in its place, or drop it. `report` gives `state`, "
        "`output` and `error` of each element, as a node has them.",
    )

    @model_validator(mode="after")
    def _one(self) -> MapConfig:
        if (self.task is None) == (self.workflow is None):
            raise ValueError("give `task` or `workflow`, one of them")
        return self


class Map(Flow[MapConfig]):
    """Does the same for each of many."""

    name: ClassVar = "map"
    title: ClassVar = "Map"
    description: ClassVar = (
        "Has a task or a workflow done for each element of a list, beside each other, and gives the list of results."
    )
    group: ClassVar = "Work"
    config: ClassVar = MapConfig
    later: ClassVar = frozenset({"input"})
    example: ClassVar = {
        "type": "map",
        "config": {
            "over": "${nodes.fetch.output}",
            "task": "reports.enrich",
            "input": {"row": "${item}"},
            "concurrency": 20,
        },
    }

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """With what can be no list."""
        return super().problems(config) + wanted(config, "over", list, "a list")

    def operation(self, scene: Scene, config: MapConfig) -> Operation:
        """Spawn as many as may be, and wait for all."""
        if not isinstance(config.over, list):
            raise ArgumentError(f"`over` gave {type(config.over).__name__}, not a list")
        if len(config.over) > MOST:
            raise ArgumentError(f"`over` gave {len(config.over):,} elements; {MOST:,} is the most")
        results = yield from beside(
            (self._one(scene, config, index, item) for index, item in enumerate(config.over)), config.concurrency
        )
        errors = [(index, result) for index, result in enumerate(results) if isinstance(result, Exception)]
        if errors and config.on_failure == "fail":
            index, error = errors[0]
            said = error.message if isinstance(error, PgflowError) else str(error)
            raise TaskFailed(
                getattr(error, "task_id", 0),
                {
                    "type": detail(error)["type"],
                    "message": f"{len(errors):,} of {len(results):,} failed; the first is element {index}: {said}",
                },
            )
        if config.on_failure == "report":
            return [_became(result) for result in results]
        if config.on_failure == "drop":
            return [result for result in results if not isinstance(result, Exception)]
        return [None if isinstance(result, Exception) else result for result in results]

    @staticmethod
    def _one(scene: Scene, config: MapConfig, index: int, item: Any) -> Operation:
        key = f"{scene.name}/{index}"
        done = scene.replay.history.child(key) is not None
        input = {} if done else scene.render(config.input, item=item, index=index)
        return (yield from child(scene, key, config.task or config.workflow or "", input))


def _became(result: Any) -> dict[str, Any]:
    if isinstance(result, Exception):
        return {"state": state_of(result).value, "output": None, "error": detail(result)}
    return {"state": State.COMPLETED.value, "output": result, "error": None}
