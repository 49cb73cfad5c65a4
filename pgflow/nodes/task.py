"""The node type `task`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from pgflow.graph.document import Name
from pgflow.nodes.base import Config, Flow, Scene
from pgflow.nodes.children import child
from pgflow.sdk.operations import Operation


class TaskConfig(Config):
    """Which task, with what."""

    task: Name = Field(description="The name under which it is registered.")
    input: dict[str, Any] = Field(default_factory=dict, description="Its arguments by name.")


class TaskNode(Flow[TaskConfig]):
    """Has a registered Python task done."""

    name: ClassVar = "task"
    title: ClassVar = "Task"
    description: ClassVar = (
        "Has a registered Python task done by a worker that has its code. It waits in the node's `queue`; without one "
        "in the task's own, and without that in the workflow's."
    )
    group: ClassVar = "Work"
    config: ClassVar = TaskConfig
    example: ClassVar = {"type": "task", "config": {"task": "reports.publish", "input": {"day": "${input.day}"}}}

    def operation(self, scene: Scene, config: TaskConfig) -> Operation:
        """Spawn it, and wait."""
        return (yield from child(scene, scene.name, config.task, config.input))
