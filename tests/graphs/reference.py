"""What becomes of each node of a graph, and of the run, by the words of `pgflow/graph/document.py`: one look at each
node, after those above it. No order of ends comes into it, so none can matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from pgflow.graph.document import Definition, Edge, Rule

BAD = ("failed", "cancelled")
Says = bool | tuple[str, str]
"""What a question comes to: known beforehand, or whether that node above ended in that state."""


@dataclass(frozen=True)
class Does:
    """What a node would do if it ran:

    fails: how many attempts would fail before one is good; of a map, for each element.
    branch: the branch it would choose, or the question it would ask.
    cancelled: somebody would cancel it.
    """

    fails: tuple[float, ...] = (0,)
    branch: str | Says | None = None
    cancelled: bool = False


@dataclass
class Reference:
    """The fates that a graph's nodes must have.

    Args:
        definition: the graph.
        does: what each node would do.
        when: by source and target, what the condition of the edge comes to.

    Attributes:
        states: how each node ends.
        hurt: those that failed, and those that were skipped because of a failure.
    """

    definition: Definition
    does: Mapping[str, Does]
    when: Mapping[tuple[str, str], Says]
    states: dict[str, str] = field(default_factory=dict)
    hurt: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        into: dict[str, list[Edge]] = {name: [] for name in self.definition.nodes}
        for edge in self.definition.edges:
            into[edge.target].append(edge)
        for name in TopologicalSorter({name: [e.source for e in edges] for name, edges in into.items()}).static_order():
            rule, edges = self.definition.nodes[name].trigger_rule, into[name]
            self.states[name] = self._ends(name) if not edges or self._begins(rule, edges) else "skipped"
            if self.states[name] in BAD or (self.states[name] == "skipped" and self._blamed(rule, edges)):
                self.hurt.add(name)

    @property
    def unhandled(self) -> set[str]:
        """The nodes that fail, and no edge is there for it: with one of these, the run fails."""
        handled = {edge.source for edge in self.definition.edges if edge.on_state == "failed" and self._taken(edge)}
        return {name for name, state in self.states.items() if state in BAD} - handled

    def _begins(self, rule: Rule, edges: list[Edge]) -> bool:
        return {
            Rule.ALL_SUCCESS: all(map(self._taken, edges)),
            Rule.ALL_DONE: True,
            Rule.ONE_SUCCESS: any(map(self._taken, edges)),
            Rule.NONE_FAILED: not any(edge.source in self.hurt for edge in edges),
            Rule.ALL_FAILED: all(edge.source in self.hurt for edge in edges),
        }[rule]

    def _blamed(self, rule: Rule, edges: list[Edge]) -> bool:
        """Whether it is because of a failure that it does not begin: not so if something had to fail and did not."""
        lost = any(edge.source in self.hurt and not self._taken(edge) for edge in edges)
        return rule == Rule.NONE_FAILED or (rule != Rule.ALL_FAILED and lost)

    def _taken(self, edge: Edge) -> bool:
        chosen = edge.branch is None or edge.branch == self._branch(edge.source)
        true = edge.when is None or self._true(self.when[edge.source, edge.target])
        return self.states[edge.source] == edge.on_state and chosen and true

    def _branch(self, name: str) -> str | None:
        branch = self.does[name].branch
        return branch if branch is None or isinstance(branch, str) else str(self._true(branch)).lower()

    def _true(self, says: Says) -> bool:
        return says if isinstance(says, bool) else self.states[says[0]] == says[1]

    def _ends(self, name: str) -> str:
        node, does = self.definition.nodes[name], self.does[name]
        good = [fails < (node.retry.max_attempts if node.retry else 1) for fails in does.fails]
        if does.cancelled:
            return "cancelled"
        return "completed" if all(good) or node.config.get("on_failure") in ("keep", "drop", "report") else "failed"
