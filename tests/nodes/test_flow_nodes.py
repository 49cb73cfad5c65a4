"""What flow nodes may do beside waiting: steps, and errors that park the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from pgflow.errors import WorkflowError
from pgflow.nodes import library
from pgflow.nodes.base import Flow, NoConfig, NodeType, Scene
from pgflow.nodes.kit import node_types
from pgflow.sdk import operations
from pgflow.sdk.operations import Operation
from pgflow.sdk.step import step
from pgflow.testing.engine import Stalled
from tests.nodes.conftest import Make


class Puzzled(Flow[NoConfig]):
    """Does a step, and then cannot go on until somebody looks."""

    name: ClassVar = "puzzled"
    title: ClassVar = "Puzzled"
    description: ClassVar = "Cannot go on."
    example: ClassVar = {"type": "puzzled"}

    def operation(self, scene: Scene, config: NoConfig) -> Operation:
        async def think() -> int:
            return 1

        yield from operations.step(scene.replay, f"{scene.name}/think", step(think), (), {})
        raise WorkflowError("this cannot be")


@pytest.fixture
def puzzled(monkeypatch: pytest.MonkeyPatch) -> None:
    types: Mapping[str, NodeType[Any]] = {**node_types(), "puzzled": Puzzled()}
    monkeypatch.setattr(library, "node_types", lambda: types)


async def test_a_node_that_parks_its_run_after_a_step_does_park_it(graphs: Make, puzzled: None) -> None:
    made = graphs()
    run = await made.start({"nodes": {"it": {"type": "puzzled"}, "other": {"type": "noop"}}, "output": 1})
    with pytest.raises(Stalled, match="this cannot be"):
        await made.engine.outcome(run)
    assert made.query("select reason::text from pgflow.parked") == [("needs_attention",)]
