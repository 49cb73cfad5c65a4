"""Nodes that can never begin, whatever happens: what their edges ask for excludes itself.

Model: a node *needs* decisions: that another completes, that it fails, that it chooses a branch. Along a path they add
up. A node with the rule `all_success` needs all that its edges and their sources need; one with `one_success` only what
is common to all its edges; the other rules need nothing that is known beforehand. When a node needs two decisions of
one node that exclude each other, such as both branches of a condition, it never begins.

Decisions are bits, so that thousands of nodes below thousands of conditions are looked through in an instant. Only
nodes with edges that ask for more than completion have any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pgflow.graph.document import Edge, Rule


class _Needs(NamedTuple):
    needed: int
    """The decisions without which it does not begin."""
    excluded: int
    """The decisions with which it does not begin."""


_NOTHING = _Needs(0, 0)


class Never(NamedTuple):
    """A node that never begins.

    Args:
        node: it.
        decided: the node whose decisions exclude each other.
        decisions: what is asked of it, as in `branch true` and `branch false`.
    """

    node: str
    decided: str
    decisions: Sequence[str]


class _Decisions:
    """The bits."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        labels: dict[str, set[str]] = {}
        for edge in edges:
            if edge.branch is not None or edge.on_state == "failed":
                labels.setdefault(edge.source, set()).update([] if edge.branch is None else [edge.branch])
        self.names: list[tuple[str, str]] = []
        self._bits: dict[tuple[str, str], int] = {}
        self._groups: dict[str, int] = {}
        for source, branches in labels.items():
            for what in ("fails", "completes", *(f"branch {label}" for label in sorted(branches))):
                bit = self._bits[source, what] = 1 << len(self.names)
                self._groups[source] = self._groups.get(source, 0) | bit
                self.names.append((source, what))

    def of(self, edge: Edge) -> _Needs:
        """What an edge itself asks for."""
        source = edge.source
        if source not in self._groups:
            return _NOTHING
        if edge.on_state == "failed":
            needed = self._bits[source, "fails"]
            return _Needs(needed, self._groups[source] & ~needed)
        completes, fails = self._bits[source, "completes"], self._bits[source, "fails"]
        if edge.branch is None:
            return _Needs(completes, fails)
        needed = completes | self._bits[source, f"branch {edge.branch}"]
        return _Needs(needed, self._groups[source] & ~needed)


def never(rules: Mapping[str, Rule], edges: Sequence[Edge], order: Iterable[str]) -> list[Never]:
    """The nodes that never begin. Those that do not begin because a node above them does not are not among them.

    Args:
        rules: the trigger rule of each node.
        edges: between these nodes.
        order: the nodes, each after those above it. Others are not looked at.
    """
    decisions = _Decisions(edges)
    incoming: dict[str, list[Edge]] = {}
    for edge in edges:
        incoming.setdefault(edge.target, []).append(edge)
    known: dict[str, _Needs] = {}
    dead: set[str] = set()
    found: list[Never] = []
    for name in order:
        into = incoming.get(name, ())
        rule = rules[name]
        if not into or rule not in {Rule.ALL_SUCCESS, Rule.ONE_SUCCESS}:
            known[name] = _NOTHING
            continue
        alive = [edge for edge in into if edge.source not in dead and edge.source in known]
        if len(alive) < len(into) and (rule is Rule.ALL_SUCCESS or not alive):
            dead.add(name)
            continue
        needs = [_both(known[edge.source], decisions.of(edge)) for edge in alive]
        total = needs[0]
        for one in needs[1:]:
            if rule is Rule.ALL_SUCCESS:
                total = _both(total, one)
            else:
                total = _Needs(total.needed & one.needed, total.excluded & one.excluded)
        if rule is Rule.ALL_SUCCESS and (clash := total.needed & total.excluded):
            dead.add(name)
            found.append(_told(name, decisions, needs, clash))
            continue
        known[name] = total
    return found


def _both(one: _Needs, other: _Needs) -> _Needs:
    return _Needs(one.needed | other.needed, one.excluded | other.excluded)


def _told(name: str, decisions: _Decisions, needs: Sequence[_Needs], clash: int) -> Never:
    decided = decisions.names[clash.bit_length() - 1][0]
    needed = 0
    for one in needs:
        needed |= one.needed
    of_it = [what for bit, (source, what) in enumerate(decisions.names) if source == decided and needed >> bit & 1]
    if any(what.startswith("branch ") for what in of_it):
        of_it.remove("completes")
    return Never(name, decided, of_it)
