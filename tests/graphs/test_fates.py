"""The law of fates, beside the reference: the same for every graph, in whatever order its nodes end."""

from __future__ import annotations

from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pgflow.graph import Definition, Edge, Fates
from pgflow.model import State
from tests.graphs import reference
from tests.graphs.drawing import Drawn, draw
from tests.graphs.reference import Does, Reference

randoms = st.randoms(use_true_random=False)


def ended(drawn: Drawn, expected: Reference, order: Random) -> Fates:
    """The fates when what runs ends in an order drawn at random."""
    fates = Fates(drawn.definition)
    running = fates.begin()
    begun, skipped = set(running), set[str]()
    while running:
        name = running.pop(order.randrange(len(running)))
        assert expected.states[name] != "skipped", f"{name} began"
        begin, skip = fates.end(name, State(expected.states[name]), expected._taken)
        assert begun.isdisjoint(begin), "begun twice"
        assert skipped.isdisjoint(skip), "skipped twice"
        assert not set(begin) & set(skip)
        begun.update(begin)
        skipped.update(skip)
        running += begin
        assert all(into.left >= 0 for into in fates._incoming.values())
    assert begun | skipped == set(drawn.definition.nodes), "some have no fate"
    assert fates.complete
    return fates


@settings(max_examples=600, deadline=None)
@given(randoms, randoms)
def test_every_node_has_the_fate_that_the_words_give_it_in_whatever_order_nodes_end(chance: Random, order: Random) -> None:
    drawn = draw(chance, most=12, cancelled=True)
    expected = drawn.reference()
    for _ in range(3):
        fates = ended(drawn, expected, order)
        assert {name: fate.state.value for name, fate in fates.fates.items()} == expected.states
        hurt = {name for name, fate in fates.fates.items() if fate.blamed or fate.state in reference.BAD}
        assert hurt == expected.hurt
        failed = {name for name in expected.unhandled if expected.states[name] == "failed"}
        assert set(fates.unhandled) == failed
