"""The node type `loop`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from pgflow.errors import ArgumentError, Fatal
from pgflow.graph.document import Name, Problem, Seconds
from pgflow.nodes.base import Config, Flow, Scene, wanted
from pgflow.nodes.children import child
from pgflow.sdk import operations
from pgflow.sdk.operations import Operation

MOST = 10_000


class LoopConfig(Config):
    """What is done again, and until when."""

    task: Name | None = Field(default=None, description="The task that is done.")
    workflow: Name | None = Field(default=None, description="Or the workflow.")
    input: dict[str, Any] = Field(
        default_factory=dict,
        description="Its input, rendered each time: ${last.output} is what the time before gave; ${index} counts "
        "from 0.",
    )
    initial: Any = Field(default=None, description="What ${last.output} is at the first time.")
    until: Any = Field(
        default=None, description="Asked after each time, as in ${last.output.done}: true ends the loop."
    )
    max_iterations: int = Field(ge=1, le=MOST, description="How many times at most.")
    exhausted: Literal["fail", "go_on"] = Field(
        default="fail", description="When it was done so often and `until` is still not true: fail, or go on."
    )
    delay: Seconds | None = Field(default=None, description="How long to wait between two times.")

    @model_validator(mode="after")
    def _one(self) -> LoopConfig:
        if (self.task is None) == (self.workflow is None):
            raise ValueError("give `task` or `workflow`, one of them")
        return self


class Loop(Flow[LoopConfig]):
    """Does the same again and again."""

    name: ClassVar = "loop"
    title: ClassVar = "Loop"
    description: ClassVar = (
        "Has a task or a workflow done again and again, until something holds of what it gives, and gives "
        "{output, iterations, done}. Without `until` it is done `max_iterations` times."
    )
    group: ClassVar = "Work"
    config: ClassVar = LoopConfig
    later: ClassVar = frozenset({"input", "until"})
    example: ClassVar = {
        "type": "loop",
        "config": {
            "task": "exports.look",
            "input": {"export": "${input.export}"},
            "until": "${last.output.ready}",
            "max_iterations": 60,
            "delay": "10s",
        },
    }

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """With an `until` that is text, which would be neither true nor false."""
        return super().problems(config) + wanted(config, "until", bool, "true or false")

    def branches(self, config: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002 (always the same two)
        """Whether it came to its end."""
        return ("done", "exhausted")

    def branch(self, output: Any) -> str:
        """Whether it came to its end."""
        return "done" if output["done"] else "exhausted"

    def operation(self, scene: Scene, config: LoopConfig) -> Operation:
        """One child after the other."""
        replay = scene.replay
        name = config.task or config.workflow
        assert name is not None
        output, done = config.initial, config.until is None
        for index in range(config.max_iterations):
            key = f"{scene.name}/{index}"
            if index and config.delay is not None:
                due = _after(scene, config.delay)
                yield from operations.sleep(replay, f"{key}/$delay", due)
            asked = replay.history.child(key) is not None
            input = {} if asked else scene.render(config.input, last=_last(output, index), index=index)
            output = yield from child(scene, key, name, input)
            if config.until is not None:
                done = _truth(scene.render(config.until, last=_last(output, index + 1), index=index))
                if done:
                    break
        if not done and config.exhausted == "fail":
            raise Fatal(f"it was done {config.max_iterations:,} times, and `until` is still not true")
        return {"output": output, "iterations": index + 1, "done": done}


def _last(output: Any, count: int) -> dict[str, Any]:
    return {"output": output, "count": count}


def _after(scene: Scene, seconds: float) -> Any:
    def due() -> datetime:
        return scene.replay.journal.clock() + timedelta(seconds=seconds)

    return due


def _truth(found: Any) -> bool:
    if not isinstance(found, bool):
        raise ArgumentError(
            f"`until` gave {found!r}, which is neither true nor false",
            hint="compare it with something, as in ${last.output.left == 0}",
        )
    return found
