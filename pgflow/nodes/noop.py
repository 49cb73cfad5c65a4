"""The node type `noop`."""

from __future__ import annotations

from typing import ClassVar

from pgflow.nodes.base import Flow, NoConfig, Scene, at_once
from pgflow.sdk.operations import Operation


class Noop(Flow[NoConfig]):
    """Does nothing: where arrows meet."""

    name: ClassVar = "noop"
    title: ClassVar = "Nothing"
    description: ClassVar = "Does nothing. A place where arrows meet or part."
    example: ClassVar = {"type": "noop"}

    def operation(self, scene: Scene, config: NoConfig) -> Operation:  # noqa: ARG002 (there is nothing to do)
        """Nothing."""
        return at_once(lambda: None)
