"""How far a run of a graph is: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from graphlib import TopologicalSorter
from typing import Any

from pgflow.engine.runs import Told
from pgflow.graph.document import Definition
from pgflow.model import EventType, State
from pgflow.sdk.graph_forking import VERSION

WAITING = "waiting"
_ENDS = {
    EventType.NODE_COMPLETED: State.COMPLETED, EventType.NODE_FAILED: State.FAILED,
    EventType.NODE_SKIPPED: State.SKIPPED,
}  # fmt: skip


@dataclass(slots=True)
class NodeState:
    """What has become of a node.

    Attributes:
        name: its name.
        type: its type.
        state: waiting (it has not begun), running, completed, failed, cancelled or skipped.
        kept: from which run its end is kept; None: it is this run's own.
        started_at: when it began; of a kept one in that run.
        ended_at: when it ended, likewise.
        branch: which it chose.
        error: why it failed: type and message.
        because: of a skipped one: the node whose end decided it.
        task_id: the child that does it, if one does.
        task_state: where that child is.
        attempt: the child's.
        children: how many children it has, by their states; those that are just moving count as queued.
    """

    name: str
    type: str
    state: str = WAITING
    kept: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    branch: str | None = None
    error: dict[str, Any] | None = None
    because: str | None = None
    task_id: int | None = None
    task_state: str | None = None
    attempt: int | None = None
    children: dict[str, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.started_at).total_seconds())


@dataclass(frozen=True, slots=True)
class GraphState:
    """A run of a graph.

    Attributes:
        id: the task that is the graph's run.
        run_id: the run that it is in; the same, unless it is a node of another.
        name: the workflow.
        state: its state.
        version: the version that it follows; None: it has not begun, and would follow the newest.
        document: the definition, as it was written.
        nodes: what became of each node, in an order in which they can be done.
    """

    id: int
    run_id: int
    name: str
    state: str
    version: int | None
    document: Mapping[str, Any]
    nodes: dict[str, NodeState]

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes are in each state."""
        found: dict[str, int] = {}
        for node in self.nodes.values():
            found[node.state] = found.get(node.state, 0) + 1
        return found

    def to_json(self) -> dict[str, Any]:
        """As JSON, with instants as they are."""
        nodes = {name: asdict(node) | {"seconds": node.seconds} for name, node in self.nodes.items()}
        return {
            "id": self.id, "run_id": self.run_id, "name": self.name, "state": self.state, "version": self.version,
            "definition": self.document, "nodes": nodes,
        }  # fmt: skip


def version_told(rows: Iterable[Told]) -> int | None:
    """The version that the run follows."""
    told = (row for row in rows if row.type == EventType.STEP_COMPLETED and row.node == VERSION)
    return next((row.data["result"] for row in told), None)


def nodes_of(definition: Definition, rows: Sequence[Told], over: bool) -> dict[str, NodeState]:
    """What became of each node; in an order in which they can be done.

    Args:
        definition: what the run follows.
        rows: what is told.
        over: whether the run has ended.
    """
    above: dict[str, list[str]] = {name: [] for name in definition.nodes}
    for edge in definition.edges:
        above[edge.target].append(edge.source)
    nodes = {name: NodeState(name, definition.nodes[name].type) for name in TopologicalSorter(above).static_order()}
    for row in rows:
        node = nodes.get(row.node)
        if node is None:
            continue
        if row.type == "child":
            _count(node, row)
        elif row.type == EventType.NODE_STARTED:
            node.started_at = _since(row)
        elif row.type in _ENDS:
            _end(node, row)
    for node in nodes.values():
        _conclude(node, over)
    return nodes


def _since(row: Told) -> datetime:
    at = row.data.get("at")
    return row.at if at is None else datetime.fromisoformat(at)


def _end(node: NodeState, row: Told) -> None:
    data = row.data
    node.state = str(data.get("state") or _ENDS[EventType(row.type)])
    node.ended_at, node.kept = _since(row), data.get("kept")
    node.branch, node.error, node.because = data.get("branch"), data.get("error"), data.get("because") or None


def _count(node: NodeState, row: Told) -> None:
    state = row.state or State.QUEUED.value
    node.children[state] = node.children.get(state, 0) + (row.number or 0)
    if row.task_id is not None:
        node.task_id, node.task_state, node.attempt = row.task_id, state, row.attempt
        if node.ended_at is None:
            node.ended_at = row.ended_at


def _conclude(node: NodeState, over: bool) -> None:
    """What is not told of: that a run was ended from outside, and what its child has come to since it was told."""
    if node.state != WAITING:
        return
    if node.task_state is not None and State(node.task_state).final:
        node.state = node.task_state
    elif node.started_at is not None:
        node.state, node.ended_at = (State.CANCELLED if over else State.RUNNING).value, None
    elif over:
        node.state = State.SKIPPED.value
