"""Everything that is wrong with a definition, at once: each with the path of the place and what to do about it.

One mistake shall not hide another. So the document is taken apart: what has the right shape goes on to be looked at
more closely, what has not is left out, and what refers to something that was left out for its shape is not blamed.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from pgflow.expression import Expression, ExpressionError, Known, Template
from pgflow.expression.faults import Fault
from pgflow.expression.references import Reference
from pgflow.graph.document import MOST_EDGES, MOST_NODES, Definition, Edge, Node, Problem

MOST_TOLD = 100
LATER = ("item", "index", "last")
"""What a node type may add to the names when it renders a field itself."""


class Kind(Protocol):
    """What checking needs to know of a node type."""

    later: frozenset[str]

    def branches(self, config: Mapping[str, Any]) -> Sequence[str] | None:
        """The labels that edges going out may have."""
        ...

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with a config as it stands in a definition, with paths within it."""
        ...


def check(document: Any, kinds: Mapping[str, Kind]) -> tuple[Definition | None, list[Problem]]:
    """Look at a definition. Returns it, if nothing is wrong, and what is.

    Args:
        document: as JSON or YAML gave it.
        kinds: every node type by name.
    """
    if not isinstance(document, Mapping):
        return None, [Problem("", f"a definition is an object, not a {type(document).__name__}")]
    too_big = list(_sizes(document))
    if too_big:
        return None, too_big
    examined = _Examined(document, kinds)
    problems = sorted(dict.fromkeys(examined.problems()), key=lambda problem: problem.path)
    if problems:
        return None, problems
    return Definition.model_validate(document), []


def _sizes(document: Mapping[str, Any]) -> Iterator[Problem]:
    for field, most in (("nodes", MOST_NODES), ("edges", MOST_EDGES)):
        found = document.get(field)
        if isinstance(found, Mapping | list) and len(found) > most:
            yield Problem(
                field, f"{len(found):,} are too many", f"{most:,} is the most; split it, and use `workflow` nodes"
            )


class _Examined:
    """A definition, taken apart."""

    def __init__(self, document: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
        self._document, self._kinds = document, kinds
        self._shape: list[Problem] = []
        nodes, edges = document.get("nodes"), document.get("edges")
        self._named: set[str] = (
            {name for name in nodes if isinstance(name, str)} if isinstance(nodes, Mapping) else set()
        )
        self._nodes = dict(self._shaped_nodes(nodes)) if isinstance(nodes, Mapping) else {}
        self._edges = list(self._shaped_edges(edges)) if isinstance(edges, list) else []
        rest = {key: value for key, value in document.items() if key not in ("nodes", "edges")}
        rest["nodes"] = nodes if not isinstance(nodes, Mapping) else {}
        if edges is not None and not isinstance(edges, list):
            rest["edges"] = edges
        if "nodes" not in document:
            del rest["nodes"]
        self._shape += _misshapen(Definition, rest, "")

    def _shaped_nodes(self, nodes: Mapping[Any, Any]) -> Iterator[tuple[str, Node]]:
        for name, node in nodes.items():
            wrong = _misshapen(Definition, {"name": "x", "nodes": {name: node}}, "")
            self._shape += wrong
            if not wrong:
                yield name, Node.model_validate(node)

    def _shaped_edges(self, edges: list[Any]) -> Iterator[tuple[int, Edge]]:
        for number, edge in enumerate(edges):
            wrong = _misshapen(Edge, edge, f"edges[{number}]")
            self._shape += wrong
            if not wrong:
                yield number, Edge.model_validate(edge)

    def problems(self) -> Iterator[Problem]:
        """All there are."""
        yield from self._shape
        yield from self._wrong_types()
        yield from self._wrong_edges()
        yield from self._cycles()
        yield from self._wrong_expressions()
        if not self._named and isinstance(self._document.get("nodes"), Mapping):
            yield Problem("nodes", "there is no node", "give at least one")

    def _wrong_types(self) -> Iterator[Problem]:
        for name, node in self._nodes.items():
            kind = self._kinds.get(node.type)
            if kind is None:
                yield Problem(
                    f"nodes.{name}.type", f"there is no node type {node.type!r}", _nearest(node.type, self._kinds)
                )
            else:
                for problem in kind.problems(node.config):
                    yield problem._replace(path=f"nodes.{name}.config{_below(problem.path)}")

    def _wrong_edges(self) -> Iterator[Problem]:
        seen: dict[tuple[object, ...], int] = {}
        for number, edge in self._edges:
            where = f"edges[{number}]"
            for field, node in (("from", edge.source), ("to", edge.target)):
                if node not in self._named:
                    yield Problem(f"{where}.{field}", f"there is no node {node!r}", _nearest(node, self._named))
            if edge.source == edge.target:
                yield Problem(where, f"node {edge.source} leads to itself", "use a `loop` node to do something again")
            first = seen.setdefault((edge.source, edge.target), number)
            if first != number:
                yield Problem(
                    where, f"there is an edge from {edge.source} to {edge.target} already, edges[{first}]",
                    "two nodes are joined by one edge; let its `when` say both conditions, or put a `noop` between",
                )  # fmt: skip
            yield from self._wrong_branch(where, edge)

    def _wrong_branch(self, where: str, edge: Edge) -> Iterator[Problem]:
        source = self._nodes.get(edge.source)
        kind = None if source is None else self._kinds.get(source.type)
        if edge.branch is None or source is None or kind is None:
            return
        branches = kind.branches(source.config)
        if branches is None:
            yield Problem(
                f"{where}.branch", f"node {edge.source} is of type {source.type}, which has no branches",
                "leave `branch` out, or write a condition of your own: `when`",
            )  # fmt: skip
        elif edge.branch not in branches:
            yield Problem(
                f"{where}.branch", f"node {edge.source} has no branch {edge.branch!r}", _nearest(edge.branch, branches)
            )
        elif edge.on_state == "failed":
            yield Problem(f"{where}.branch", "a node that failed chose no branch", "leave out `branch` or `on_state`")

    def _cycles(self) -> Iterator[Problem]:
        """Each cycle that there is once, by the nodes on it."""
        following: dict[str, list[tuple[str, int]]] = {}
        for number, edge in self._edges:
            if edge.source != edge.target:
                following.setdefault(edge.source, []).append((edge.target, number))
        done: set[str] = set()
        for start in following:
            path: list[str] = []
            places: dict[str, int] = {}
            todo = [(start, iter(following.get(start, ())))] if start not in done else []
            if todo:
                places[start] = 0
                path.append(start)
            while todo:
                node, onward = todo[-1]
                for target, number in onward:
                    if target in places:
                        cycle = " -> ".join([*path[places[target] :], target])
                        yield Problem(f"edges[{number}]", f"this closes a cycle: {cycle}", "a graph has no way back")
                    elif target not in done:
                        places[target] = len(path)
                        path.append(target)
                        todo.append((target, iter(following.get(target, ()))))
                        break
                else:
                    todo.pop()
                    done.add(node)
                    path.pop()
                    del places[node]

    def _wrong_expressions(self) -> Iterator[Problem]:
        upstream = self._upstream()
        given = self._given()
        for name, node in self._nodes.items():
            if "${" not in str(node.config):
                continue
            kind = self._kinds.get(node.type)
            for field, value in node.config.items():
                more = LATER if kind is not None and field in kind.later else ()
                known = _Upstream([*given, "secrets", *more], self._named, upstream.seen(name))
                yield from self._judged(f"nodes.{name}.config.{field}", value, known)
        for number, edge in self._edges:
            if edge.when is not None:
                known = _Upstream(given, self._named, upstream.seen(edge.source, itself=True))
                try:
                    errors = Expression(edge.when).check(known)
                except ExpressionError as error:
                    errors = [error]
                yield from (self._told(f"edges[{number}].when", error) for error in errors)
        every = _Upstream(given, self._named, self._named.__contains__)
        yield from self._judged("output", self._document.get("output"), every)

    def _given(self) -> list[str]:
        """What every expression may read: of the input only what its schema has, if that admits nothing else."""
        schema = self._document.get("input")
        fields = schema.get("properties") if isinstance(schema, Mapping) else None
        if isinstance(schema, Mapping) and isinstance(fields, Mapping) and schema.get("additionalProperties") is False:
            return ["run.id", "run.workflow", *(f"input.{field}" for field in fields)]
        return ["run.id", "run.workflow", "input"]

    def _judged(self, path: str, value: Any, known: Known) -> Iterator[Problem]:
        for error in Template.problems(value, known):
            yield self._told(f"{path}{(error.path or '$').removeprefix('$')}", error)

    @staticmethod
    def _told(path: str, error: ExpressionError) -> Problem:
        return Problem(path, f"{error.reason} (column {error.column})", error.hint)

    def _upstream(self) -> _Ancestors:
        return _Ancestors(list(self._nodes), [edge for _, edge in self._edges])


class _Ancestors:
    """The nodes before each node, as sets of bits: there may be thousands of thousands."""

    def __init__(self, names: list[str], edges: list[Edge]) -> None:
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
        todo = [name for name in names if not lacking[name]]
        while todo:
            name = todo.pop()
            for source in above[name]:
                before[name] |= before[source] | bit[source]
            for target in below[name]:
                lacking[target] -= 1
                if not lacking[target]:
                    todo.append(target)
        self._cyclic = {name for name, count in lacking.items() if count}

    def seen(self, name: str, *, itself: bool = False) -> Callable[[str], bool]:
        """Whether a node has its fate when this one begins, or ends. On a cycle nobody can tell: that is told already."""
        bits = self._before.get(name, 0) | (self._bit.get(name, 0) if itself else 0)
        unclear = name in self._cyclic or name not in self._bit
        return lambda other: unclear or bool(bits & self._bit.get(other, 0))


class _Upstream(Known):
    """The names that a node may read: of nodes, those before it."""

    def __init__(self, names: Iterable[str], nodes: set[str], seen: Callable[[str], bool]) -> None:
        super().__init__([*names, "nodes"])
        self._nodes, self._seen = nodes, seen

    def unknown(self, found: Iterable[Reference]) -> Iterator[Fault]:
        """What is wrong with these references."""
        for reference in found:
            path, places = reference.path, reference.places
            if path[0] != "nodes" or len(path) == 1:
                yield from super().unknown([reference])
            elif path[1] not in self._nodes:
                yield Fault(f"there is no node {path[1]!r}", places[1], hint=_nearest(path[1], self._nodes))
            elif not self._seen(path[1]):
                yield Fault(
                    f"node {path[1]} is read here, but it is not upstream: it may not have run", places[1],
                    hint=f"add an edge that leads from {path[1]} to here",
                )  # fmt: skip


def _below(path: str) -> str:
    return f".{path}" if path and not path.startswith("[") else path


def _misshapen(model: type[BaseModel], value: Any, where: str) -> list[Problem]:
    try:
        model.model_validate(value)
    except ValidationError as error:
        return [_shape_problem(model, one, where) for one in error.errors()[:MOST_TOLD]]
    return []


def _shape_problem(model: type[BaseModel], error: Any, where: str) -> Problem:
    path = where
    for part in error["loc"]:
        if part == "[key]":
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    hint = None
    match error["type"]:
        case "missing":
            message = "this is missing"
        case "extra_forbidden":
            message, hint = "there is no such field", _nearest(str(error["loc"][-1]), _fields(model, error["loc"]))
        case _:
            message = error["msg"].removeprefix("Value error, ").replace("Input should be", "it has to be")
    return Problem(path, message, hint)


def _fields(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    if len(loc) > 2 and loc[0] == "nodes":
        model = Node
    return [field.alias or name for name, field in model.model_fields.items()]


def _nearest(wrong: str, known: Iterable[str]) -> str | None:
    choices = sorted(known)
    near = difflib.get_close_matches(wrong, choices, 1, 0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are: {', '.join(choices[:12])}{', ...' if len(choices) > 12 else ''}" if choices else None
