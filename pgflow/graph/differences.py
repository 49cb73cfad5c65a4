"""What differs between two versions of a definition: by what they mean, not by how they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from pgflow.graph.document import Definition
from pgflow.graph.meaning import meaning
from pgflow.graph.shapes import joined


class _Absent:
    def __repr__(self) -> str:
        return "-"


ABSENT: Final = _Absent()
"""Stands for what is not there: null is something else."""


class Change(NamedTuple):
    """A field that differs.

    Args:
        path: where, as in `config.url`.
        old: what was there, or `ABSENT`.
        new: what is there, or `ABSENT`.
    """

    path: str
    old: Any
    new: Any

    def to_json(self) -> dict[str, Any]:
        """As JSON; what is absent is left out."""
        both = {"path": self.path, "old": self.old, "new": self.new}
        return {name: value for name, value in both.items() if value is not ABSENT}

    def text(self, most: int = 200) -> str:
        """As a line, with so many characters of each value."""
        if self.old is ABSENT:
            return f"{self.path}: + {clipped(self.new, most)}"
        if self.new is ABSENT:
            return f"{self.path}: - {clipped(self.old, most)}"
        return f"{self.path}: {clipped(self.old, most)} -> {clipped(self.new, most)}"


End = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Differences:
    """What differs.

    Attributes:
        fields: what is neither of nodes nor of edges, such as `timeout` and `input.required[0]`.
        added, removed: nodes, by name.
        changed: nodes that both have, with what differs.
        edges_added, edges_removed: as they stand in the definition.
        edges_changed: those between the same nodes, with what differs.
    """

    fields: list[Change] = field(default_factory=list)
    added: dict[str, Any] = field(default_factory=dict)
    removed: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, list[Change]] = field(default_factory=dict)
    edges_added: list[dict[str, Any]] = field(default_factory=list)
    edges_removed: list[dict[str, Any]] = field(default_factory=list)
    edges_changed: dict[End, list[Change]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "fields": [change.to_json() for change in self.fields],
            "nodes": {
                "added": self.added,
                "removed": self.removed,
                "changed": {name: [one.to_json() for one in changes] for name, changes in self.changed.items()},
            },
            "edges": {
                "added": self.edges_added,
                "removed": self.edges_removed,
                "changed": [
                    {"from": source, "to": target, "changes": [one.to_json() for one in changes]}
                    for (source, target), changes in self.edges_changed.items()
                ],
            },
        }

    def __str__(self) -> str:
        return "\n".join(self._lines()) or "no difference"

    def _lines(self) -> Iterator[str]:
        yield from (f"~ {change.text()}" for change in self.fields)
        yield from (f"- node {name} ({node['type']})" for name, node in self.removed.items())
        yield from (f"+ node {name} ({node['type']})" for name, node in self.added.items())
        for name, changes in self.changed.items():
            yield f"~ node {name}"
            yield from (f"    {change.text()}" for change in changes)
        yield from (f"- edge {_edge(edge)}" for edge in self.edges_removed)
        yield from (f"+ edge {_edge(edge)}" for edge in self.edges_added)
        for (source, target), changes in self.edges_changed.items():
            yield f"~ edge {source} -> {target}"
            yield from (f"    {change.text()}" for change in changes)


def differences(old: Definition, new: Definition) -> Differences:
    """What differs between two definitions.

    Example:
        >>> old = Definition.model_validate({"name": "x", "nodes": {"a": {"type": "noop", "timeout": "1m"}}})
        >>> new = Definition.model_validate({"name": "x", "nodes": {"a": {"type": "noop", "timeout": 90}}})
        >>> print(differences(old, new))
        ~ node a
            timeout: 60.0 -> 90.0
    """
    before, after = meaning(old), meaning(new)
    nodes, renewed = before.pop("nodes"), after.pop("nodes")
    edges, relaid = _by_ends(before.pop("edges", [])), _by_ends(after.pop("edges", []))
    return Differences(
        fields=list(_changes(before, after, "")),
        added={name: node for name, node in renewed.items() if name not in nodes},
        removed={name: node for name, node in nodes.items() if name not in renewed},
        changed={
            name: found for name, node in nodes.items()
            if name in renewed and (found := list(_changes(node, renewed[name], "")))
        },
        edges_added=[edge for ends, edge in relaid.items() if ends not in edges],
        edges_removed=[edge for ends, edge in edges.items() if ends not in relaid],
        edges_changed={
            ends: found for ends, edge in edges.items()
            if ends in relaid and (found := list(_changes(edge, relaid[ends], "")))
        },
    )  # fmt: skip


def _by_ends(edges: list[dict[str, Any]]) -> dict[End, dict[str, Any]]:
    return {(edge["from"], edge["to"]): edge for edge in edges}


def _changes(old: Any, new: Any, path: str) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in (*old, *(name for name in new if name not in old)):
            yield from _changes(old.get(name, ABSENT), new.get(name, ABSENT), joined(path, [name]))
        if path and list(old) != list(new) and old.keys() == new.keys():
            yield Change(f"{path} (order)", list(old), list(new))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _changes(one, other, joined(path, [number]))
    elif type(old) is not type(new) or old != new:
        yield Change(path, old, new)


def clipped(value: Any, most: int) -> str:
    """A value as JSON, with so many characters of it."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= most else f"{text[:most]}..."


def _edge(edge: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{name}: {value}" for name, value in edge.items() if name not in {"from", "to"})
    return f"{edge['from']} -> {edge['to']}{f' ({rest})' if rest else ''}"
