"""The node type `switch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from pgflow.errors import Fatal
from pgflow.nodes.base import Config, Flow, Scene, at_once
from pgflow.sdk.operations import Operation


class SwitchConfig(Config):
    """What is looked at, and what it may be."""

    value: Any = Field(description="What is looked at, as in ${input.country}.")
    cases: dict[str, Any] = Field(description="By branch: the value, or list of values, for which it is chosen.")
    default: str | None = Field(default=None, description="The branch when no case fits; without one the node fails.")


class Switch(Flow[SwitchConfig]):
    """Goes one of many ways."""

    name: ClassVar = "switch"
    title: ClassVar = "Switch"
    description: ClassVar = "Goes one of many ways, by a value: each case is a branch."
    config: ClassVar = SwitchConfig
    example: ClassVar = {
        "type": "switch",
        "config": {"value": "${input.country}", "cases": {"home": "DE", "eu": ["FR", "IT"]}, "default": "abroad"},
    }

    def branches(self, config: Mapping[str, Any]) -> Sequence[str]:
        """The cases, and the default."""
        cases, default = config.get("cases"), config.get("default")
        found = [*(cases if isinstance(cases, Mapping) else ()), *([default] if isinstance(default, str) else [])]
        return list(dict.fromkeys(found))  # a default may be one of the cases

    def branch(self, output: Any) -> str | None:
        """The one that was found."""
        return output["branch"] if isinstance(output, dict) else None

    def operation(self, scene: Scene, config: SwitchConfig) -> Operation:
        """Record what was found."""
        return at_once(
            lambda: scene.replay.decide(scene.name, lambda: {"branch": _chosen(config), "value": config.value})
        )


def _chosen(config: SwitchConfig) -> str:
    for branch, value in config.cases.items():
        if config.value == value or (isinstance(value, list) and config.value in value):
            return branch
    if config.default is None:
        raise Fatal(f"no case fits {config.value!r}, and there is no default")
    return config.default
