"""What follows when a node has ended: pure, and the same work for each edge however many there are.

Model: an edge is *decided* when its source has ended: *taken* or not. A node is decided when all its incoming edges
are: its trigger rule says whether it begins or is skipped. A skip decides the edges going out in turn, at once, so
after every call each node either is to begin, runs, waits for a node upstream that runs, or has its fate.

A node that is skipped because something upstream failed carries that on: it is *blamed*, and counts as failed for
those that ask (`none_failed`, `all_failed`). One that waited for failures which did not come is not. A failure is
*handled* by an edge that is taken for it.

Nodes are numbers in here, and what is counted of them stands in flat lists: a graph of thousands of nodes would not fit
a processor's cache as objects, and each node of it would cost more than one of a small graph.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pgflow.graph.document import Definition, Edge, Rule
from pgflow.model import State

BAD = (State.FAILED, State.CANCELLED)


class Fate(NamedTuple):
    """How a node ended.

    Args:
        state: completed, failed, skipped or cancelled.
        blamed: it was skipped because something upstream failed.
    """

    state: State
    blamed: bool = False


Taken = Callable[[Edge], bool]
"""Whether an edge whose source ended as it asks is taken: by its branch and its expression. Asked of those that have
either."""


class Fates:
    """The fates of the nodes of one run.

    Args:
        definition: a definition without cycles.

    Attributes:
        fates: by name, of those that have ended.
        unhandled: those that failed and have no edge for it, in the order in which they failed.
    """

    def __init__(self, definition: Definition) -> None:
        self.fates: dict[str, Fate] = {}
        self.unhandled: list[str] = []
        self._names = list(definition.nodes)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._rules = [node.trigger_rule for node in definition.nodes.values()]
        nodes = len(self._names)
        self._outgoing: list[list[int]] = [[] for _ in self._names]
        """Where the edges of each node lead that ask for no more than that it completes: nearly all."""
        self._asking: dict[int, list[tuple[int, Edge]]] = {}
        self._count = [0] * nodes
        """Of the edges into each node."""
        self._taken, self._failed = [0] * nodes, [0] * nodes
        self._lost = [0] * nodes
        """Not taken, and because of a failure."""
        for edge in definition.edges:
            source, target = self._numbers[edge.source], self._numbers[edge.target]
            if edge.on_state == "completed" and edge.branch is None and edge.when is None:
                self._outgoing[source].append(target)
            else:
                self._asking.setdefault(source, []).append((target, edge))
            self._count[target] += 1
        self._left = self._count.copy()

    @property
    def complete(self) -> bool:
        """Whether each node has its fate."""
        return len(self.fates) == len(self._names)

    def begin(self) -> list[str]:
        """The nodes to begin with: those that no edge leads to."""
        return [name for name, count in zip(self._names, self._count, strict=True) if count == 0]

    def end(self, name: str, state: State, taken: Taken) -> tuple[list[str], list[str]]:
        """Note how a node ended. Returns the nodes that are to begin now, and those that are skipped.

        Args:
            name: the node.
            state: completed, failed or cancelled.
            taken: asked of each edge that is for such an end and asks for more.
        """
        begin: list[str] = []
        skipped: list[str] = []
        handled = self._decide(name, Fate(state), taken, begin, skipped)
        if state is State.FAILED and not handled:
            self.unhandled.append(name)
        return begin, skipped

    def left(self, name: str) -> int:
        """How many edges into a node are not decided."""
        return self._left[self._numbers[name]]

    def stop(self, running: Iterable[str]) -> list[str]:
        """Let nothing more begin. Returns the nodes that are skipped by it: all but these, which run."""
        kept = set(running)
        left = [name for name in self._names if name not in self.fates and name not in kept]
        self.fates |= dict.fromkeys(left, Fate(State.SKIPPED, True))
        return left

    def _decide(self, name: str, fate: Fate, taken: Taken, begin: list[str], skipped: list[str]) -> bool:
        handled = False
        todo = deque([(name, fate)])
        while todo:
            source, ended = todo.popleft()
            if source in self.fates:
                continue
            self.fates[source] = ended
            number = self._numbers[source]
            completed, hurt = ended.state is State.COMPLETED, ended.state in BAD or ended.blamed
            follow = [target for target in self._outgoing[number] if self._arrives(target, completed, hurt)]
            for target, edge in self._asking.get(number, ()):
                took = ended.state == edge.on_state and taken(edge)
                handled = handled or (took and ended.state is State.FAILED)
                if self._arrives(target, took, hurt):
                    follow.append(target)
            for target in follow:
                if (after := self._names[target]) in self.fates:
                    continue
                if self._begins(target):
                    begin.append(after)
                else:
                    skipped.append(after)
                    todo.append((after, Fate(State.SKIPPED, self._blames(target))))
        return handled

    def _arrives(self, target: int, took: bool, hurt: bool) -> bool:
        """Note that an edge is decided. Returns whether it was the node's last."""
        self._left[target] -= 1
        if took:
            self._taken[target] += 1
        if hurt:
            self._failed[target] += 1
            self._lost[target] += not took
        return self._left[target] == 0

    def _begins(self, node: int) -> bool:
        match self._rules[node]:
            case Rule.ALL_SUCCESS:
                return self._taken[node] == self._count[node]
            case Rule.ALL_DONE:
                return True
            case Rule.ONE_SUCCESS:
                return self._taken[node] > 0
            case Rule.NONE_FAILED:
                return self._failed[node] == 0
            case Rule.ALL_FAILED:
                return self._failed[node] == self._count[node]

    def _blames(self, node: int) -> bool:
        """Whether it is because of a failure that it does not begin."""
        match self._rules[node]:
            case Rule.NONE_FAILED:
                return True
            case Rule.ALL_FAILED:
                return False
            case _:
                return self._lost[node] > 0
