"""The node types `delay` and `wait_until`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import AwareDatetime, Field

from pgflow.graph.document import Seconds
from pgflow.nodes.base import Config, Flow, Scene
from pgflow.sdk import operations
from pgflow.sdk.operations import Operation


class DelayConfig(Config):
    """How long."""

    time: Seconds = Field(description="How long to wait, as in 30s or 2d.")


class Delay(Flow[DelayConfig]):
    """Waits for a time."""

    name: ClassVar = "delay"
    title: ClassVar = "Delay"
    description: ClassVar = "Waits for a time, holding no worker meanwhile."
    config: ClassVar = DelayConfig
    example: ClassVar = {"type": "delay", "config": {"time": "1h"}}

    def operation(self, scene: Scene, config: DelayConfig) -> Operation:
        """Sleep."""
        replay = scene.replay

        def due() -> datetime:
            return replay.journal.clock() + timedelta(seconds=config.time)

        yield from operations.sleep(replay, scene.name, due)


class WaitUntilConfig(Config):
    """Until when."""

    at: AwareDatetime = Field(description="The instant, with its offset, as in 2026-12-24T18:00:00+01:00.")


class WaitUntil(Flow[WaitUntilConfig]):
    """Waits until an instant."""

    name: ClassVar = "wait_until"
    title: ClassVar = "Wait until"
    description: ClassVar = "Waits until an instant; one that has passed is not waited for."
    config: ClassVar = WaitUntilConfig
    example: ClassVar = {"type": "wait_until", "config": {"at": "${input.not_before}"}}

    def operation(self, scene: Scene, config: WaitUntilConfig) -> Operation:
        """Sleep."""
        yield from operations.sleep(scene.replay, scene.name, lambda: config.at)
