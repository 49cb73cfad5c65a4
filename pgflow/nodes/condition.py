"""The node type `condition`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from pgflow.errors import ArgumentError
from pgflow.graph.document import Problem
from pgflow.nodes.base import Config, Flow, Scene, at_once, wanted
from pgflow.sdk.operations import Operation


class ConditionConfig(Config):
    """What is asked."""

    when: Any = Field(description="An expression that is true or false, as in ${size(nodes.fetch.output) > 100}.")


class Condition(Flow[ConditionConfig]):
    """Goes one way or the other."""

    name: ClassVar = "condition"
    title: ClassVar = "Condition"
    description: ClassVar = "Goes one of two ways: edges have the branch `true` or `false`."
    config: ClassVar = ConditionConfig
    example: ClassVar = {"type": "condition", "config": {"when": "${input.amount > 1000}"}}

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """With text, which would be neither true nor false."""
        return super().problems(config) + wanted(config, "when", bool, "true or false")

    def branches(self, config: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002 (always the same two)
        """True and false."""
        return ("true", "false")

    def branch(self, output: Any) -> str:
        """The one that was found."""
        return "true" if output else "false"

    def operation(self, scene: Scene, config: ConditionConfig) -> Operation:
        """Record what was found."""
        return at_once(lambda: scene.replay.decide(scene.name, lambda: _truth(config.when)))


def _truth(found: Any) -> bool:
    if not isinstance(found, bool):
        raise ArgumentError(
            f"`when` gave {found!r}, which is neither true nor false",
            hint="compare it with something, as in ${size(x) > 0}",
        )
    return found
