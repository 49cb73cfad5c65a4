"""What is said never to begin never does: compared with every way in which a run can go."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pgflow.graph import Definition, Edge, Fates, Rule
from pgflow.graph.reach import never
from pgflow.graph.upstream import Ancestors
from pgflow.model import State

LABELS = ("x", "y")
NAMES = "abcdef"


@st.composite
def graphs(draw: st.DrawFn) -> Definition:
    count = draw(st.integers(3, len(NAMES)))
    only = st.just("all_success")
    rules = (
        only
        if draw(st.booleans())
        else st.sampled_from(["all_success"] * 4 + ["one_success"] * 2 + ["all_done", "none_failed", "all_failed"])
    )
    nodes = {name: {"type": "noop", "trigger_rule": draw(rules)} for name in NAMES[:count]}
    edges: list[dict[str, Any]] = []
    for target in range(1, count):
        for source in range(target):
            kind = draw(st.sampled_from(["none"] * 2 + ["plain", "x", "y", "failed"]))
            edge = {"from": NAMES[source], "to": NAMES[target]}
            if kind in LABELS:
                edge["branch"] = kind
            elif kind == "failed":
                edge["on_state"] = "failed"
            if kind != "none":
                edges.append(edge)
    return Definition.model_validate({"name": "g", "nodes": nodes, "edges": edges})


def begun(definition: Definition, ends: dict[str, str]) -> set[str]:
    """The nodes that begin when each ends so: with a label, or failed."""
    fates = Fates(definition)
    found: set[str] = set()
    todo = fates.begin()
    while todo:
        name = todo.pop()
        found.add(name)

        def taken(edge: Edge) -> bool:
            return edge.branch is None or edge.branch == ends[edge.source]

        state = State.FAILED if ends[name] == "failed" else State.COMPLETED
        todo += fates.end(name, state, taken)[0]
    return found


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_what_never_begins_does_not_whatever_happens(definition: Definition) -> None:
    rules = {name: node.trigger_rule for name, node in definition.nodes.items()}
    said = {one.node for one in never(rules, definition.edges, Ancestors(definition.nodes, definition.edges).order)}
    ever: set[str] = set()
    for ends in product((*LABELS, "failed"), repeat=len(definition.nodes)):
        ever |= begun(definition, dict(zip(definition.nodes, ends, strict=True)))
    assert not said & ever
    idle = set(definition.nodes) - ever
    if idle and all(rule is Rule.ALL_SUCCESS for rule in rules.values()):
        assert said, "with this rule, whatever never begins is explained by one that is told"
