"""Node types: what nodes of graphs can be, with the JSON Schemas of their config."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import Field

from pgflow.api.asked import Asked
from pgflow.api.models import Model, Name
from pgflow.api.operation import operation
from pgflow.api.targets import missing
from pgflow.nodes.base import NodeType as Kind
from pgflow.nodes.base import Work
from pgflow.nodes.kit import node_types


class NodeTypeTitle(Model):
    """A node type, as a palette lists it."""

    name: str
    title: str
    description: str
    group: str = Field(description="Under which heading it is listed.")
    done_by: Literal["worker", "run"] = Field(description="Whether a worker does it, or the run itself.")
    branches: list[str] | None = Field(description="Labels of edges going out, in the example; null: it has none.")
    takes_secrets: bool = Field(description="Its config may name secrets.")


class NodeType(NodeTypeTitle):
    """A node type with its config."""

    config: dict[str, Any] = Field(description="The JSON Schema of its config.")
    example: dict[str, Any] = Field(description="A node of this type, as it would stand in a definition.")


class NodeTypeList(Model):
    """Node types by name."""

    items: list[NodeType]


class NodeTypes:
    """`/api/v1/node-types`."""

    @operation("List the node types", tagged="content")
    async def on_get(self, asked: Asked) -> NodeTypeList:
        """The built-in ones, and those of other packages that this process has."""
        return NodeTypeList(items=[_answer(name) for name in sorted(node_types())])

    @operation("Look at a node type", tagged="content")
    async def on_get_one(self, asked: Asked, name: Name) -> NodeType:
        """With the JSON Schema of its config, and an example."""
        if name not in node_types():
            missing("node type", name)
        return _answer(name)


@cache
def _answer(name: str) -> NodeType:
    kind: Kind[Any] = node_types()[name]
    branches = kind.branches(kind.example.get("config", {}))
    return NodeType(
        name=kind.name, title=kind.title, description=kind.description, group=kind.group,
        done_by="worker" if isinstance(kind, Work) else "run", branches=None if branches is None else list(branches),
        takes_secrets=kind.takes_secrets, config=kind.config.model_json_schema(by_alias=True),
        example=dict(kind.example),
    )  # fmt: skip
