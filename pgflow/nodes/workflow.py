"""The node type `workflow`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from pgflow.graph.document import Name
from pgflow.nodes.base import Config, Flow, Scene
from pgflow.nodes.children import child
from pgflow.sdk.operations import Operation


class WorkflowConfig(Config):
    """Which workflow, with what."""

    workflow: Name = Field(description="Its name, whether it is code or a graph.")
    input: dict[str, Any] = Field(default_factory=dict, description="Its input.")


class WorkflowNode(Flow[WorkflowConfig]):
    """Runs another workflow as part of this run."""

    name: ClassVar = "workflow"
    title: ClassVar = "Workflow"
    description: ClassVar = (
        "Runs another workflow, of code or a graph, as part of this run, and gives its output. It is cancelled with "
        "the run. A graph is run in the version that is published when it begins."
    )
    group: ClassVar = "Work"
    config: ClassVar = WorkflowConfig
    example: ClassVar = {"type": "workflow", "config": {"workflow": "ship_order", "input": {"order": "${input.order}"}}}

    def operation(self, scene: Scene, config: WorkflowConfig) -> Operation:
        """Spawn it, and wait."""
        return (yield from child(scene, scene.name, config.workflow, config.input))
