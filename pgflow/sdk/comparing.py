"""What differs between two runs: pure, and no more work for what is large than for what is small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from pgflow.engine.runs import Differing
from pgflow.graph.differences import ABSENT, Change, Differences, clipped
from pgflow.graph.shapes import joined
from pgflow.sdk.graph_forking import PASSED
from pgflow.sdk.graph_state import NodeState

MOST_KEYS = 1000
"""So many steps, nodes and children are compared in detail."""
MOST_BYTES = 100_000
"""Of results that are larger together it is only said that they differ."""
MOST_CHANGES = 20
"""So many differences are told of one value."""
MOST_TEXT = 300
"""Characters of JSON that are shown of a value."""


class Side(NamedTuple):
    """A node or step in one of the runs.

    Args:
        state: what became of it.
        branch: which it chose.
        attempt: how often it was tried.
        seconds: how long it took.
        error: why it failed: type and message.
    """

    state: str
    branch: str | None = None
    attempt: int | None = None
    seconds: float | None = None
    error: dict[str, Any] | None = None


@dataclass(slots=True)
class Difference:
    """What differs in a node or a step.

    Attributes:
        name: the node; what the step is recorded under.
        old: in the one run; None: it is not there.
        new: in the other.
        output: where its results differ: paths begin with `output`, or with what it has recorded under its own name.
        more: whether they differ in more places than that, or are too large to tell where.
    """

    name: str
    old: Side | None
    new: Side | None
    output: list[Change] = field(default_factory=list)
    more: bool = False

    @property
    def outcome(self) -> bool:
        """Whether more than its length differs."""
        return bool(self.output or self.more or _told(self.old) != _told(self.new))


def _told(side: Side | None) -> Any:
    return None if side is None else side._replace(seconds=None)


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the two runs.

    Attributes:
        id: its own.
        name: the workflow.
        state: its state.
        version: of a graph: which it follows.
        attempt: how often it was tried.
        seconds: how long it took.
        error: why it failed: type and message.
    """

    id: int
    name: str
    state: str
    version: int | None
    attempt: int | None
    seconds: float | None
    error: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two runs.

    Attributes:
        old: the one.
        new: the other.
        definition: between the versions that they follow; None: of code, or the same version.
        input: in what they were given.
        output: in what they came to.
        parts: nodes of graphs in an order in which they can be done, else steps by their keys. Nodes of which only the
            length differs are there if it is by half a second at least, and by half of it.
        left_out: how many more keys differ, which were not looked at.
    """

    old: Compared
    new: Compared
    definition: Differences | None
    input: list[Change]
    output: list[Change]
    parts: list[Difference]
    left_out: int = 0

    def __bool__(self) -> bool:
        return bool(
            self.definition or self.input or self.output or self.left_out or self.old.state != self.new.state
            or any(part.outcome for part in self.parts)
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """As JSON; what is absent is left out."""
        return {
            "old": asdict(self.old), "new": asdict(self.new),
            "definition": None if self.definition is None else self.definition.to_json(),
            "input": [_json(change) for change in self.input], "output": [_json(change) for change in self.output],
            "parts": [
                {
                    "name": part.name, "old": part.old and part.old._asdict(), "new": part.new and part.new._asdict(),
                    "output": [_json(change) for change in part.output], "more": part.more,
                }
                for part in self.parts
            ],
            "left_out": self.left_out,
        }  # fmt: skip


def _json(change: Change) -> dict[str, Any]:
    return {name: _bounded(value) if name != "path" else value for name, value in change.to_json().items()}


def _bounded(value: Any) -> Any:
    text = clipped(value, MOST_TEXT)
    return text if text.endswith("...") else value


def changes(old: Any, new: Any, path: str) -> tuple[list[Change], bool]:
    """Where two values differ, and whether they do in more places than are told."""
    found = list(islice(_changes(old, new, path), MOST_CHANGES + 1))
    return found[:MOST_CHANGES], len(found) > MOST_CHANGES


def _changes(old: Any, new: Any, path: str) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in (*old, *(name for name in new if name not in old)):
            yield from _changes(old.get(name, ABSENT), new.get(name, ABSENT), joined(path, [name]))
    elif isinstance(old, list) and isinstance(new, list):
        for number in range(max(len(old), len(new))):
            one = old[number] if number < len(old) else ABSENT
            other = new[number] if number < len(new) else ABSENT
            yield from _changes(one, other, joined(path, [number]))
    elif isinstance(old, bool) != isinstance(new, bool) or old != new:
        yield Change(path, old, new)


def brief(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Of an error what tells it from another."""
    if error is None:
        return None
    message = error.get("message")
    return {"type": error.get("type"), "message": message[:MOST_TEXT] if isinstance(message, str) else message}


def steps(found: Iterable[Differing]) -> list[Difference]:
    """Of runs of code: by key."""
    parts = []
    for one in found:
        part = Difference(one.key, _side(one.old_state, one.old_attempt, one.old_seconds, one.old_error),
                          _side(one.new_state, one.new_attempt, one.new_seconds, one.new_error))  # fmt: skip
        _add(part, one, "output")
        parts.append(part)
    return parts


def _side(state: str | None, attempt: int | None, seconds: float | None, error: Any) -> Side | None:
    return None if state is None else Side(state, None, attempt, seconds, brief(error))


def _add(part: Difference, one: Differing, path: str) -> None:
    if not one.changed or one.old_state is None or one.new_state is None:
        return
    if not one.fits:
        part.more = True
        return
    old, new = one.old or {}, one.new or {}
    names = [*old, *(name for name in new if name not in old)]
    for name in names:
        where = path if name == "result" else joined(path, [name])
        told, more = changes(old.get(name, ABSENT), new.get(name, ABSENT), where)
        room = MOST_CHANGES - len(part.output)
        part.output += told[:room]
        part.more = part.more or more or len(told) > room


def nodes(
    old: Mapping[str, NodeState], new: Mapping[str, NodeState], recorded: Sequence[Differing]
) -> list[Difference]:
    """Of runs of graphs: by node."""
    parts = {name: Difference(name, _of(old.get(name)), _of(new.get(name))) for name in dict.fromkeys([*new, *old])}
    for one in recorded:
        name, _, rest = one.key.partition("/")
        if name in parts and rest != PASSED:
            _add(parts[name], one, rest or "output")
    return [part for part in parts.values() if part.outcome or _longer(part)]


def _of(node: NodeState | None) -> Side | None:
    if node is None:
        return None
    return Side(node.state, node.branch, node.attempt, node.seconds, brief(node.error))


def _longer(part: Difference) -> bool:
    if part.old is None or part.new is None:
        return False
    one, other = sorted((part.old.seconds or 0.0, part.new.seconds or 0.0))
    return other - one >= max(0.5, one / 2)
