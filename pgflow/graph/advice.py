"""What is allowed in a definition, and probably not meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pgflow.expression import Expression, Template
from pgflow.graph.checks import Kind
from pgflow.graph.document import Definition, Edge, Problem, Rule
from pgflow.graph.shapes import nearest

_EITHER_WAY = 2
"""A node with so few branches may well lead on in one case only."""


def advice(definition: Definition, kinds: Mapping[str, Kind]) -> list[Problem]:
    """What somebody may want to look at again.

    Args:
        definition: one that nothing is wrong with.
        kinds: every node type by name.
    """
    outgoing: dict[str, list[Edge]] = {}
    for edge in definition.edges:
        outgoing.setdefault(edge.source, []).append(edge)
    reached = {edge.target for edge in definition.edges}
    return [
        *_loose_ends(definition, outgoing, reached),
        *_unused_branches(definition, outgoing, kinds),
        *_unknown_inputs(definition),
    ]


def _loose_ends(definition: Definition, outgoing: Mapping[str, list[Edge]], reached: set[str]) -> Iterator[Problem]:
    for name, node in definition.nodes.items():
        if name in reached:
            continue
        if definition.edges and name not in outgoing:
            hint = "add an edge, unless it shall run beside all else"
            yield Problem(f"nodes.{name}", "no edge leads to it or from it: it begins at once", hint)
        if node.trigger_rule is not Rule.ALL_SUCCESS:
            yield Problem(
                f"nodes.{name}.trigger_rule", "no edge leads to this node, so the rule has nothing to look at",
                "leave it out, or add an edge",
            )  # fmt: skip


def _unused_branches(
    definition: Definition, outgoing: Mapping[str, list[Edge]], kinds: Mapping[str, Kind]
) -> Iterator[Problem]:
    for name, node in definition.nodes.items():
        edges = [edge for edge in outgoing.get(name, ()) if edge.on_state == "completed"]
        branches = kinds[node.type].branches(node.config)
        if not branches or not edges:
            continue
        used = {edge.branch for edge in edges}
        if used == {None} and any(edge.when is not None for edge in edges):
            continue  # they look at what was chosen by themselves
        if used == {None}:
            hint = f"give them a `branch`: {', '.join(branches)}"
            yield Problem(f"nodes.{name}", "all its edges are taken whatever it chooses", hint)
        elif None not in used and len(branches) > _EITHER_WAY:
            left = [branch for branch in dict.fromkeys(branches) if branch not in used]
            if left:
                said = f"nothing follows when it chooses {' or '.join(map(repr, left))}"
                yield Problem(f"nodes.{name}", said, "add an edge with that `branch`, unless nothing is to be done")


def _unknown_inputs(definition: Definition) -> Iterator[Problem]:
    fields = definition.input.get("properties")
    if not isinstance(fields, Mapping) or definition.input.get("patternProperties"):
        return
    for path, references in _read(definition):
        for reference in references:
            if reference[0] == "input" and len(reference) > 1 and reference[1] not in fields:
                yield Problem(path, f"the input's schema does not have {reference[1]!r}", nearest(reference[1], fields))


def _read(definition: Definition) -> Iterator[tuple[str, Iterable[tuple[str, ...]]]]:
    """What is read where."""
    values: list[tuple[str, Any]] = [(f"nodes.{name}.config", node.config) for name, node in definition.nodes.items()]
    for path, value in (*values, ("output", definition.output)):
        for below, expressions in Template(value).expressions.items():
            yield path + below.removeprefix("$"), sorted({one for each in expressions for one in each.references})
    for number, edge in enumerate(definition.edges):
        if edge.when is not None:
            yield f"edges[{number}].when", sorted(Expression(edge.when).references)
