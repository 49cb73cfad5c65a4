"""Which node types there are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import structlog

from pgflow.nodes.agent import Agent
from pgflow.nodes.approval import Approval
from pgflow.nodes.base import Flow, NodeType, Work
from pgflow.nodes.condition import Condition
from pgflow.nodes.delay import Delay, WaitUntil
from pgflow.nodes.email import Email
from pgflow.nodes.http import Http
from pgflow.nodes.loop import Loop
from pgflow.nodes.map import Map
from pgflow.nodes.noop import Noop
from pgflow.nodes.signal import Signal
from pgflow.nodes.sql import Sql
from pgflow.nodes.switch import Switch
from pgflow.nodes.task import TaskNode
from pgflow.nodes.transform import Transform
from pgflow.nodes.webhook import Webhook
from pgflow.nodes.workflow import WorkflowNode

log = structlog.get_logger("pgflow")

BUILT_IN: tuple[NodeType[Any], ...] = (
    Agent(), Approval(), Condition(), Delay(), Email(), Http(), Loop(), Map(), Noop(), Signal(), Sql(), Switch(),
    TaskNode(), Transform(), WaitUntil(), Webhook(), WorkflowNode(),
)  # fmt: skip
GROUP = "pgflow.nodes"
"""The entry point under which other packages offer node types: `name = "package.module:TheClass"`."""


@cache
def node_types() -> Mapping[str, NodeType[Any]]:
    """Every node type by name: the built-in ones, and those of other packages, which cannot take a built-in's name."""
    types: dict[str, NodeType[Any]] = {}
    for point in entry_points(group=GROUP):
        try:
            made = point.load()()
        except Exception as error:  # noqa: BLE001 (another package's fault must not stop a worker)
            log.error("a node type cannot be loaded", entry_point=point.value, error=str(error))
            continue
        if isinstance(made, Flow | Work):
            types[made.name] = made
        else:
            log.error("an entry point is no node type", entry_point=point.value)
    return types | {one.name: one for one in BUILT_IN}
