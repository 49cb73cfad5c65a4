"""docs/nodes.md is made of the node types, and their examples are what they say."""

from __future__ import annotations

import pytest

from pgflow import yaml
from pgflow.graph.document import Node
from pgflow.nodes.base import NodeType
from pgflow.nodes.kit import BUILT_IN
from pgflow.nodes.reference import page
from tests.docs.markdown import ROOT, blocks

NODES = ROOT / "docs/nodes.md"


def test_the_page_of_node_types_is_up_to_date() -> None:
    assert NODES.read_text("utf-8") == page({kind.name: kind for kind in BUILT_IN}), (
        "write it anew: python -m pgflow.nodes.reference > docs/nodes.md"
    )


def test_each_example_on_the_page_is_the_type_s_own() -> None:
    shown = [yaml.load(block.text).value for block in blocks(NODES, "yaml")]
    assert sorted(shown, key=str) == sorted((kind.example for kind in BUILT_IN), key=str)


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.name)
def test_an_example_is_a_node_without_a_problem(kind: NodeType[object]) -> None:
    node = Node.model_validate(kind.example)
    assert node.type == kind.name
    assert kind.problems(node.config) == []


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.name)
def test_each_field_of_a_config_is_described(kind: NodeType[object]) -> None:
    schema = kind.config.model_json_schema(by_alias=True)
    for name, model in {"": schema, **schema.get("$defs", {})}.items():
        for field, said in model.get("properties", {}).items():
            assert said.get("description", "").endswith((".", ";", ")")), f"{name}.{field}"
