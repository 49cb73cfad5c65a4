"""What follows when a node has ended: pure, and the same work for each edge however many there are.

Model: an edge is *decided* when its source has ended: *taken* or not. A node is decided when all its incoming edges
are: its trigger rule says whether it begins or is skipped. A skip decides the edges going out in turn, at once, so
after every call each node either is to begin, runs, waits for a node upstream that runs, or has its fate.

A node that is skipped because something upstream failed carries that on: it is *blamed*, and counts as failed for
those that ask (`none_failed`, `all_failed`). One that waited for failures which did not come is not. A failure is
*handled* by an edge that is taken for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pgflow.graph.document import Definition, Edge, Rule
from pgflow.model import State


class Fate(NamedTuple):
    """How a node ended.

    Args:
        state: completed, failed, skipped or cancelled.
        blamed: it was skipped because something upstream failed.
    """

    state: State
    blamed: bool = False


@dataclass(slots=True)
class _Incoming:
    """What is known of the edges into a node."""

    count: int = 0
    left: int = 0
    taken: int = 0
    failed: int = 0
    lost: int = 0
    """Not taken, and because of a failure."""


Taken = Callable[[Edge], bool]
"""Whether an edge whose source ended as it asks is taken: by its branch and its expression."""


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
        self._rules = {name: node.trigger_rule for name, node in definition.nodes.items()}
        self._incoming = {name: _Incoming() for name in definition.nodes}
        self._outgoing: dict[str, list[Edge]] = {name: [] for name in definition.nodes}
        for edge in definition.edges:
            self._outgoing[edge.source].append(edge)
            into = self._incoming[edge.target]
            into.count += 1
            into.left += 1

    @property
    def complete(self) -> bool:
        """Whether each node has its fate."""
        return len(self.fates) == len(self._rules)

    def begin(self) -> list[str]:
        """The nodes to begin with: those that no edge leads to."""
        return [name for name, into in self._incoming.items() if into.count == 0]

    def end(self, name: str, state: State, taken: Taken) -> tuple[list[str], list[str]]:
        """Note how a node ended. Returns the nodes that are to begin now, and those that are skipped.

        Args:
            name: the node.
            state: completed, failed or cancelled.
            taken: asked of each edge that is for such an end.
        """
        begin: list[str] = []
        skipped: list[str] = []
        handled = self._decide(name, Fate(state), taken, begin, skipped)
        if state is State.FAILED and not handled:
            self.unhandled.append(name)
        return begin, skipped

    def left(self, name: str) -> int:
        """How many edges into a node are not decided."""
        return self._incoming[name].left

    def stop(self, running: Iterable[str]) -> list[str]:
        """Let nothing more begin. Returns the nodes that are skipped by it: all but these, which run."""
        kept = set(running)
        left = [name for name in self._rules if name not in self.fates and name not in kept]
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
            hurt = ended.state in (State.FAILED, State.CANCELLED) or ended.blamed
            for edge in self._outgoing[source]:
                took = ended.state == edge.on_state and taken(edge)
                handled = handled or (took and ended.state is State.FAILED)
                into = self._incoming[edge.target]
                into.left -= 1
                into.taken += took
                into.failed += hurt
                into.lost += hurt and not took
                if into.left == 0 and edge.target not in self.fates:
                    rule = self._rules[edge.target]
                    if self._begins(rule, into):
                        begin.append(edge.target)
                    else:
                        skipped.append(edge.target)
                        todo.append((edge.target, Fate(State.SKIPPED, self._blames(rule, into))))
        return handled

    @staticmethod
    def _begins(rule: Rule, into: _Incoming) -> bool:
        match rule:
            case Rule.ALL_SUCCESS:
                return into.taken == into.count
            case Rule.ALL_DONE:
                return True
            case Rule.ONE_SUCCESS:
                return into.taken > 0
            case Rule.NONE_FAILED:
                return into.failed == 0
            case Rule.ALL_FAILED:
                return into.failed == into.count

    @staticmethod
    def _blames(rule: Rule, into: _Incoming) -> bool:
        """Whether it is because of a failure that it does not begin."""
        match rule:
            case Rule.NONE_FAILED:
                return True
            case Rule.ALL_FAILED:
                return False
            case _:
                return into.lost > 0
