"""The node type `transform`."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from pgflow.nodes.base import Config, Flow, Scene, at_once
from pgflow.sdk.operations import Operation


class TransformConfig(Config):
    """What a transform gives."""

    value: Any = Field(description="What the node gives: any JSON, with ${...} in its texts.")


class Transform(Flow[TransformConfig]):
    """Makes a value out of others."""

    name: ClassVar = "transform"
    title: ClassVar = "Transform"
    description: ClassVar = "Makes a value out of what came before."
    config: ClassVar = TransformConfig
    example: ClassVar = {"type": "transform", "config": {"value": {"total": "${sum(nodes.fetch.output.prices)}"}}}

    def operation(self, scene: Scene, config: TransformConfig) -> Operation:
        """Record the value: what it was made of may be gone by the next replay."""
        return at_once(lambda: scene.replay.decide(scene.name, lambda: config.value))
