"""Which nodes have their fate before another begins, and what an expression there may read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set

from pgflow.expression import Known
from pgflow.expression.faults import Fault
from pgflow.expression.references import Reference
from pgflow.graph.document import Edge
from pgflow.graph.shapes import nearest

FIELDS = ("output", "state", "error")
"""What can be read of a node."""

Seen = Callable[[str], bool]


class Ancestors:
    """The nodes before each node, as sets of bits: there may be thousands of thousands.

    Args:
        names: the nodes.
        edges: the edges; those to or from other nodes do not count, nor do those of a node to itself.

    Attributes:
        order: the nodes that are on no cycle, nor after one, each after all that are before it.
    """

    def __init__(self, names: Iterable[str], edges: Iterable[Edge]) -> None:
        names = list(names)
        self._bit = bit = {name: 1 << number for number, name in enumerate(names)}
        above: dict[str, list[str]] = {name: [] for name in names}
        below: dict[str, list[str]] = {name: [] for name in names}
        lacking = dict.fromkeys(names, 0)
        for edge in edges:
            if edge.source in bit and edge.target in bit and edge.source != edge.target:
                above[edge.target].append(edge.source)
                below[edge.source].append(edge.target)
                lacking[edge.target] += 1
        self._before = before = dict.fromkeys(names, 0)
        self.order = order = [name for name in names if not lacking[name]]
        for name in order:  # it grows meanwhile
            for source in above[name]:
                before[name] |= before[source] | bit[source]
            for target in below[name]:
                lacking[target] -= 1
                if not lacking[target]:
                    order.append(target)
        self._cyclic = {name for name, count in lacking.items() if count}

    def seen(self, name: str, *, itself: bool = False) -> Seen:
        """Whether a node has its fate when this one begins, or ends. On a cycle, which is told anyway, nobody knows."""
        if name in self._cyclic or name not in self._bit:
            return lambda _: True
        bits = self._before[name] | (self._bit[name] if itself else 0)
        return lambda other: other not in self._bit or bool(bits & self._bit[other])


class Upstream(Known):
    """The names that a node may read: of nodes, those before it.

    Args:
        names: what else it may read.
        nodes: all nodes there are.
        seen: whether a node is one of those that may be read.
        secrets: whether it may name secrets.
    """

    def __init__(self, names: Iterable[str], nodes: Set[str], seen: Seen, *, secrets: bool = False) -> None:
        super().__init__([*names, "nodes", *(["secrets"] if secrets else [])])
        self._nodes, self._seen, self._secrets = nodes, seen, secrets

    def unknown(self, found: Iterable[Reference]) -> Iterator[Fault]:
        """What is wrong with these references."""
        for reference in found:
            path, places = reference.path, reference.places
            if path[0] == "secrets" and not self._secrets:
                yield Fault(
                    "no secret can be given here", places[0],
                    hint="nodes that a worker does take them, as `http` does; a task asks itself: pgflow.secret()",
                )  # fmt: skip
            elif path[0] != "nodes" or len(path) == 1:
                yield from super().unknown([reference])
            elif path[1] not in self._nodes:
                yield Fault(f"there is no node {path[1]!r}", places[1], hint=nearest(path[1], self._nodes))
            elif not self._seen(path[1]):
                yield Fault(
                    f"node {path[1]} is read here, but it is not upstream: it may not have run", places[1],
                    hint=f"add an edge that leads from {path[1]} to here",
                )  # fmt: skip
            elif len(path) > 2 and path[2] not in FIELDS:
                yield Fault(f"a node has no {path[2]!r}", places[2], hint=nearest(path[2], FIELDS))
