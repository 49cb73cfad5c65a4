"""Definitions of the examples, published as `pgflow dev` publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgflow.graph.reading import read
from pgflow.nodes.publishing import AsyncWorkflows
from pgflow.sdk.async_client import AsyncClient
from tests.examples.conftest import EXAMPLES


def definition(name: str) -> Mapping[str, Any]:
    """The definition in the example of that name."""
    return opened(Path(EXAMPLES, name, f"{name}.yaml"))


def opened(path: Path) -> Mapping[str, Any]:
    """The definition in a file."""
    value: Mapping[str, Any] = read(path.read_text("utf-8"), str(path)).value
    return value


async def published(client: AsyncClient, name: str) -> AsyncWorkflows:
    """The verbs of workflows, with that one published."""
    workflows = AsyncWorkflows(client)
    await workflows.publish(definition(name))
    return workflows
