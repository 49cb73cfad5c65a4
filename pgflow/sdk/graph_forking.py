"""What a new run of a graph keeps of an old one: pure.

Model: nodes are done **anew** or **kept**. Anew are those that are chosen, those that have no end that could be kept,
and all that is downstream of either; everything else is kept, and is as it was: its results, the failures that an edge
was there for, that it was skipped, and the input that it was made with. So what a kept node is, or whether an edge to
it is taken, never depends on what was changed for the new run, and nothing that is kept is ever upstream of anything
that is not. A kept node is not done again: the run replays it from copies of what it had recorded.

No end that could be kept have: nodes that failed with no edge for it, that were cancelled, that a stop skipped or cut
off, and those that had not ended. Of such a node, if it is not chosen by name and all that it is made of is the same,
the children that have completed are kept: the elements of a map, the times of a loop up to the one that failed. A delay
keeps its instant.

Signals that had come and that no kept node has taken are there to be taken. Decisions are not: who approves a run has
not approved another.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from pgflow.engine.runs import Outlined
from pgflow.errors import ArgumentError, NotFound
from pgflow.graph.document import Definition, Edge
from pgflow.model import EventType, State
from pgflow.sdk.history import History

VERSION = "$definition"
"""Under which a run records the version that it follows."""
KEPT = "$kept"
"""Under which it records what it keeps of earlier runs."""
STOPPED = "$stopped"
"""Under which a run that stops records which nodes it does not begin any more, and why if none failed."""
DROPPED = "$dropped"
"""Under which it records those that had begun, and only waited."""
PASSED = "$passed"
"""Under which, after its name, a node is recorded that has ended, in a graph where nodes wait for their turn: after a
crash it must not wait for it again, and may have left nothing else to be known by."""

_SHOWN = 10
_ENDS = {EventType.NODE_COMPLETED, EventType.NODE_FAILED, EventType.NODE_SKIPPED}


class Part(NamedTuple):
    """Nodes that are kept of one run.

    Args:
        run: it.
        task: the task in it that was the graph's run.
        input: what they were made with; None: what the new run is given.
        nodes: their names.
    """

    run: int
    task: int
    input: dict[str, Any] | None
    nodes: list[str]


@dataclass(frozen=True)
class Past:
    """The old run.

    Attributes:
        root_id: the run.
        task_id: the task in it that is the graph's run.
        definition: what it followed.
        input: what it was given, with defaults.
        rows: what it has recorded.
    """

    root_id: int
    task_id: int
    definition: Definition
    input: dict[str, Any]
    rows: Sequence[Outlined]


@dataclass
class Renewal:
    """What a new run begins with.

    Attributes:
        kept: nodes that are as they were, in the order of the definition.
        anew: nodes that are done anew.
        parts: the kept nodes by where they are kept from.
        resumed: of those that are done anew, which go on with what they had.
        events: ids of what is copied.
        children: likewise.
    """

    kept: list[str]
    anew: list[str]
    parts: list[Part] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    children: list[int] = field(default_factory=list)

    def facts(self, version: int) -> list[tuple[str, bytes]]:
        """What the new run has recorded from its beginning."""
        kept = {"parts": [part._asdict() for part in self.parts], "resumed": self.resumed}
        return [fact_of_version(version), (KEPT, orjson.dumps({"result": kept}))]


def fact_of_version(version: int) -> tuple[str, bytes]:
    """What a run records of the version that it follows."""
    return VERSION, orjson.dumps({"result": version})


def version_of(rows: Iterable[Outlined]) -> int | None:
    """The version that a run follows; None when it has not begun."""
    return next((row.data["result"] for row in rows if row.key == VERSION), None)


def kept_of(history: History) -> dict[str, Part]:
    """Whence the run keeps a node, by its name. None of what these have recorded is demanded of the run."""
    found = history.answer(KEPT)
    if found is None:
        return {}
    parts = {name: part for part in map(_part, found["result"]["parts"]) for name in part.nodes}
    free = {*parts, *found["result"]["resumed"]}
    for key in [key for key in history.left if _node(key) in free]:
        del history.left[key]
    return parts


def _part(stored: Mapping[str, Any]) -> Part:
    return Part(stored["run"], stored["task"], stored["input"], stored["nodes"])


def _node(key: str) -> str:
    return key.partition("/")[0]


def renewal(
    past: Past, new: Definition, version: int, input: dict[str, Any], chosen: Collection[str]
) -> Renewal | None:
    """What a new run keeps. None: nothing is chosen, and nothing has failed.

    Args:
        past: the old run.
        new: what the new one follows.
        version: which version that is.
        input: what it is given, with defaults.
        chosen: the nodes to begin from; if there are none, those that have no end that can be kept.

    Raises:
        NotFound: there is no such node.
        ArgumentError: this version differs in what would be kept.
    """
    if unknown := [name for name in chosen if name not in new.nodes]:
        raise _unknown(unknown[0], new, version)
    old, ends = past.definition, _kept_ends(past)
    seeds = {name for name in new.nodes if name not in ends or name in chosen}
    if not seeds:
        return None
    before, after = _Shape(old), _Shape(new)
    seeds |= {
        name for name, row in ends.items()
        if name in new.nodes and row.type == EventType.NODE_SKIPPED and before.of(name) != after.of(name)
    }  # fmt: skip
    anew = after.downstream(seeds)
    gone = before.downstream(name for name in old.nodes if name in anew)
    other = [
        name for name, row in ends.items()
        if row.type != EventType.NODE_SKIPPED and name not in anew and name not in gone
        and before.of(name, row.type) != (after.of(name, row.type) if name in new.nodes else None)
    ]  # fmt: skip
    if other:
        raise _differs(past, other, new, version)
    kept = [name for name in new.nodes if name not in anew]
    found = Renewal(kept, [name for name in new.nodes if name in anew])
    found.parts = _parts(past, input, kept)
    _Copying(past, found, before, after, input, chosen).choose()
    return found


def _unknown(name: str, new: Definition, version: int) -> NotFound:
    near = difflib.get_close_matches(name, new.nodes, 1)
    named = [*new.nodes][:_SHOWN]
    more = f" and {len(new.nodes) - len(named)} more" if len(new.nodes) > len(named) else ""
    return NotFound(
        f"there is no node {name!r} in version {version} of {new.name}",
        hint=f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(named)}{more}",
    )


def _differs(past: Past, other: list[str], new: Definition, version: int) -> ArgumentError:
    gone = [name for name in other if name not in new.nodes]
    said = [f"{name} (gone)" if name in gone else name for name in other[:_SHOWN]]
    more = f" and {len(other) - len(said)} more" if len(other) > len(said) else ""
    there = [name for name in other if name not in gone]
    hint = "start it over as a whole: `--whole`"
    if there and not gone:
        hint = f"begin from these, too: {', '.join(there[:_SHOWN])}; or {hint}"
    return ArgumentError(
        f"nodes that run {past.task_id} would keep are others in version {version} of {new.name}: "
        f"{', '.join(said)}{more}",
        hint=hint,
    )


def _kept_ends(past: Past) -> dict[str, Outlined]:
    """The ends that can be kept."""
    facts = {row.key: row.data["result"] for row in past.rows if row.key in (STOPPED, DROPPED)}
    stopped = facts.get(STOPPED) or {"undone": [], "error": None}
    cut_off = {*stopped["undone"], *(facts.get(DROPPED) or ())}
    if STOPPED in facts:  # a map that drops what fails has completed all the same
        cut_off |= {_node(row.key) for row in past.rows if row.type == "child" and row.state == State.CANCELLED}
    unsure = str(stopped["error"] or "").startswith("edge ")  # it could not tell whether an edge was taken
    ends = {row.key: row for row in past.rows if row.type in _ENDS and row.key in past.definition.nodes}
    began = {row.key for row in past.rows if row.type == EventType.NODE_STARTED}

    def stays(row: Outlined) -> bool:
        if row.key in cut_off:
            return False
        match row.type:
            case EventType.NODE_SKIPPED:
                return not unsure
            case EventType.NODE_FAILED:
                return row.data.get("state") == State.FAILED and _handled(row, past.definition.edges, began)
        return True

    return {name: row for name, row in ends.items() if stays(row)}


def _handled(row: Outlined, edges: Sequence[Edge], began: Collection[str]) -> bool:
    """Whether an edge was there for a failure. Runs of before that was told: whether such an edge led to what began."""
    if "handled" in row.data:
        return bool(row.data["handled"])
    return any(edge.source == row.key and edge.on_state == "failed" and edge.target in began for edge in edges)


class _Shape:
    """What a definition says of each of its nodes: all that its result depends on."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._into: dict[str, list[Edge]] = {name: [] for name in definition.nodes}
        self._out: dict[str, list[Edge]] = {name: [] for name in definition.nodes}
        for edge in definition.edges:
            self._into[edge.target].append(edge)
            self._out[edge.source].append(edge)

    def of(self, name: str, end: str = "") -> bytes | None:
        """As JSON text; with what leads on from a failure, if that is how it ended. None: there is no such node."""
        if name not in self._definition.nodes:
            return None
        node = self._definition.nodes[name]
        edges = [*self._into[name]]
        if end == EventType.NODE_FAILED:
            edges += [edge for edge in self._out[name] if edge.on_state == "failed"]
        said = sorted(edge.model_dump_json(by_alias=True) for edge in edges)
        return orjson.dumps([node.type, node.config, node.trigger_rule, said])

    def sources(self, name: str) -> list[str]:
        """The nodes right above."""
        return [edge.source for edge in self._into[name]]

    def downstream(self, names: Iterable[str]) -> set[str]:
        """These, and all that is downstream of them."""
        todo = list(names)
        found = set(todo)
        while todo:
            below = {edge.target for edge in self._out[todo.pop()]} - found
            found |= below
            todo += below
        return found


def _parts(past: Past, input: dict[str, Any], kept: Sequence[str]) -> list[Part]:
    names = dict.fromkeys(kept)
    earlier: list[Any] = next((row.data["result"]["parts"] for row in past.rows if row.key == KEPT), [])
    parts: list[Part] = []
    for part in map(_part, earlier):
        made_with = past.input if part.input is None else part.input
        nodes = [name for name in part.nodes if name in names]
        parts.append(Part(part.run, part.task, None if made_with == input else made_with, nodes))
        for name in nodes:
            del names[name]
    parts.append(Part(past.root_id, past.task_id, None if past.input == input else past.input, list(names)))
    return [part for part in parts if part.nodes]


@dataclass
class _Copying:
    """Which events and children are copied."""

    past: Past
    found: Renewal
    before: _Shape
    after: _Shape
    input: dict[str, Any]
    chosen: Collection[str]

    def choose(self) -> None:
        kept = set(self.found.kept)
        copied: list[Outlined] = []
        children: dict[str, list[Outlined]] = {}
        done = {row.key for row in self.past.rows if row.type == EventType.STEP_COMPLETED}
        timers: dict[str, list[Outlined]] = {}
        for row in self.past.rows:
            node = _node(row.key)
            if row.type == EventType.SIGNAL_RECEIVED:
                continue
            if row.type == "child":
                children.setdefault(node, []).append(row)
            elif row.type == EventType.TIMER_CREATED and node not in kept:
                timers.setdefault(node, []).append(row)
            elif node in kept and (row.type != EventType.STEP_FAILED or row.key not in done):
                copied.append(row)
        self.found.children = [row.id for name in kept for row in children.get(name, ()) if row.state is not None]
        for name in self._resumable(kept):
            went_on = self._resume(name, children.get(name, []), timers.get(name, []))
            if went_on is not None:
                self.found.resumed.append(name)
                self.found.children += [row.id for row in went_on if row.type == "child"]
                copied += [row for row in went_on if row.type != "child"]
        taken = {row.data["signal"] for row in copied if row.data and "signal" in row.data}
        copied += [
            row for row in self.past.rows
            if row.type == EventType.SIGNAL_RECEIVED and "$" not in row.key and row.id not in taken
        ]  # fmt: skip
        self.found.events = sorted(row.id for row in copied)
        self.found.children.sort()

    def _resumable(self, kept: Collection[str]) -> list[str]:
        """Nodes done anew that are made of the same as before, and are not chosen by name."""
        if self.input != self.past.input:
            return []
        return [
            name for name in self.found.anew
            if name not in self.chosen and all(source in kept for source in self.after.sources(name))
            and self.before.of(name) == self.after.of(name)
        ]  # fmt: skip

    def _resume(self, name: str, children: list[Outlined], timers: list[Outlined]) -> list[Outlined] | None:
        """What such a node goes on with; None: with nothing."""
        completed = [row for row in children if row.state == State.COMPLETED]
        ended = any(row.key == name and row.type in _ENDS and row.data.get("state") != State.CANCELLED
                    and row.type != EventType.NODE_SKIPPED for row in self.past.rows)  # fmt: skip
        if ended and len(completed) == len(children):
            return None  # it failed for another reason than a child
        kind = self.past.definition.nodes[name].type
        if kind == "loop":
            completed = _in_line(name, completed)
            timers = [row for row in timers if int(row.key.split("/")[1]) <= len(completed)]
        elif kind not in ("map", "delay"):
            completed, timers = [row for row in completed if row.key == name], []
        return [*completed, *timers] or None


def _in_line(name: str, completed: list[Outlined]) -> list[Outlined]:
    """Those that follow each other from the first on."""
    by_key = {row.key: row for row in completed}
    line: list[Outlined] = []
    while (row := by_key.get(f"{name}/{len(line)}")) is not None:
        line.append(row)
    return line
