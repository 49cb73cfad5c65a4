"""The node type `signal`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from pgflow.graph.document import Seconds
from pgflow.nodes.base import Config, Flow, Scene
from pgflow.sdk import operations
from pgflow.sdk.operations import Operation


class SignalConfig(Config):
    """What is waited for."""

    signal: str | None = Field(default=None, max_length=200, description="Its name; the node's unless given.")
    timeout: Seconds | None = Field(default=None, description="How long to wait; for ever unless given.")


class Signal(Flow[SignalConfig]):
    """Waits for a signal."""

    name: ClassVar = "signal"
    title: ClassVar = "Signal"
    description: ClassVar = "Waits for a signal to the run; edges may have the branch `received` or `timed_out`."
    config: ClassVar = SignalConfig
    example: ClassVar = {"type": "signal", "config": {"signal": "paid", "timeout": "3d"}}

    def branches(self, config: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002 (always the same two)
        """Whether it came."""
        return ("received", "timed_out")

    def branch(self, output: Any) -> str:
        """Whether it came."""
        return "received" if output["received"] else "timed_out"

    def operation(self, scene: Scene, config: SignalConfig) -> Operation:
        """Wait."""
        awaited = config.signal or scene.name
        payload = yield from operations.signal(
            scene.replay, f"{scene.name}/$signal:{awaited}", awaited, config.timeout, lambda payload: [payload]
        )
        return {"received": payload is not None, "payload": None if payload is None else payload[0]}
