"""The law of fates, beside the reference: the same for every graph, in whatever order its nodes end."""

from __future__ import annotations

import json
from collections import deque
from itertools import pairwise
from pathlib import Path
from random import Random

from hypothesis import given, note, settings
from hypothesis import strategies as st

from pgflow.graph import Definition, Edge, Fates, Node
from pgflow.model import State
from tests.graphs import reference
from tests.graphs.drawing import Drawn, draw
from tests.graphs.reference import Reference

seeds = st.integers(0, 2**63)


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
        assert min(fates._left) >= 0
    assert begun | skipped == set(drawn.definition.nodes), "some have no fate"
    assert fates.complete
    return fates


def check(drawn: Drawn, expected: Reference, order: Random) -> None:
    """Demand that each node has the fate that it has to have."""
    fates = ended(drawn, expected, order)
    assert {name: fate.state.value for name, fate in fates.fates.items()} == expected.states
    hurt = {name for name, fate in fates.fates.items() if fate.blamed or fate.state in reference.BAD}
    assert hurt == expected.hurt
    assert set(fates.unhandled) == {name for name in expected.unhandled if expected.states[name] == "failed"}


@settings(max_examples=1500, deadline=None)
@given(seeds, st.integers(1, 14))
def test_every_node_has_the_fate_that_the_words_give_it(seed: int, most: int) -> None:
    chance = Random(seed)
    drawn = draw(chance, most=most, cancelled=True)
    expected = drawn.reference()
    note(json.dumps(drawn.document, indent=1))
    for _ in range(3):
        check(drawn, expected, chance)


class Always(Random):
    """Goes through all that chance may choose, one after another."""

    def __init__(self) -> None:
        self.path: list[tuple[int, int]] = []
        self._at = 0

    def again(self) -> bool:
        """Whether there is another way to choose; from now on it is that."""
        while self.path and self.path[-1][0] + 1 == self.path[-1][1]:
            self.path.pop()
        if not self.path:
            return False
        chosen, of = self.path.pop()
        self.path.append((chosen + 1, of))
        self._at = 0
        return True

    def randrange(self, of: int) -> int:  # type: ignore[override]
        if self._at == len(self.path):
            self.path.append((0, of))
        self._at += 1
        return self.path[self._at - 1][0]


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_no_order_in_which_nodes_can_end_gives_other_fates(seed: int) -> None:
    drawn = draw(Random(seed), most=6, cancelled=True)
    expected = drawn.reference()
    note(json.dumps(drawn.document, indent=1))
    orders = Always()
    check(drawn, expected, orders)
    while orders.again():
        check(drawn, expected, orders)


def test_a_big_graph_takes_as_long_for_each_edge_as_a_small_one() -> None:
    def work(layers: int) -> int:
        """How often an edge is looked at."""
        names = [[f"n{layer}_{number}" for number in range(10)] for layer in range(layers)]
        edges = [
            Edge(source=a, target=b, when="true") for above, below in pairwise(names) for a in above for b in below
        ]
        definition = Definition(
            name="big", nodes={name: Node(type="noop") for layer in names for name in layer}, edges=edges
        )
        looks = 0

        def taken(_: Edge) -> bool:
            nonlocal looks
            looks += 1
            return True

        fates = Fates(definition)
        todo = deque(fates.begin())
        while todo:
            todo += fates.end(todo.popleft(), State.COMPLETED, taken)[0]
        assert fates.complete
        return looks - len(edges)

    assert work(3) == work(100) == 0


def test_the_reference_is_short() -> None:
    assert len(Path(reference.__file__).read_text().splitlines()) <= 100
