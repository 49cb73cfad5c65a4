"""Everything that is wrong with a definition, at once: each with the path of the place and what to do about it.

One mistake shall not hide another. So the document is taken apart: what has the right shape goes on to be looked at
more closely, what has not is left out, and what refers to something that was left out for its shape is not blamed.

Whatever is given, nothing is raised, and the work is bounded: by the number of nodes and edges, and by the number of
problems that are told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Protocol

import orjson
from pydantic import ValidationError

from pgflow.codec import encode
from pgflow.errors import PayloadError
from pgflow.expression import Expression, ExpressionError, Known, Template
from pgflow.graph import triggers
from pgflow.graph.document import MOST_EDGES, MOST_NODES, Definition, Edge, Node, Problem, Rule
from pgflow.graph.inputs import schema_problems
from pgflow.graph.reach import never
from pgflow.graph.shapes import below, kind_of, misshapen, nearest
from pgflow.graph.upstream import Ancestors, Upstream

MOST_TOLD = 100
MOST_BYTES = 8 * 1024 * 1024
"""A definition is no larger than this, as JSON."""
LATER = ("item", "index", "last")
"""What a node type may add to the names when it renders a field itself."""
GIVEN = ("run.id", "run.workflow")
"""What every expression may read, beside the input."""


class Kind(Protocol):
    """What checking needs to know of a node type."""

    @property
    def later(self) -> frozenset[str]:
        """Fields of the config that it renders itself."""
        ...

    @property
    def takes_secrets(self) -> bool:
        """Whether its config may name secrets."""
        ...

    def branches(self, config: Mapping[str, Any]) -> Sequence[str] | None:
        """The labels that edges going out may have."""
        ...

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with a config as it stands in a definition, with paths within it."""
        ...


Judge = Callable[[Mapping[str, Any], str], list[Problem]]
"""Looks at a trigger in which nothing else is wrong, at this path."""


def check(
    document: Any, kinds: Mapping[str, Kind], judge: Judge | None = None
) -> tuple[Definition | None, list[Problem]]:
    """Look at a definition. Returns it, if nothing is wrong, and what is.

    Args:
        document: as JSON or YAML gave it.
        kinds: every node type by name.
        judge: knows more of triggers than is known here.
    """
    if not isinstance(document, Mapping):
        hint = "name: ..., nodes: {...}, edges: [...]"
        return None, [Problem("", f"a definition is an object, not {kind_of(document)}", hint)]
    try:
        document = orjson.loads(encode(document, limit=MOST_BYTES))
    except PayloadError as error:
        path = error.path.removeprefix("$").removeprefix(".")
        message = error.message.removeprefix(f"{error.path}: ")
        large = "the limit is" in message
        return None, [Problem(path, message, "keep large data elsewhere" if large else error.hint)]
    if too_big := list(_sizes(document)):
        return None, too_big
    examined = _Examined(document, kinds, judge)
    found = list(islice(_once(examined.problems()), MOST_TOLD + 1))
    if not found:
        return examined.definition, []
    more = [Problem("", f"there are more problems than these {MOST_TOLD}")] if len(found) > MOST_TOLD else []
    return None, sorted(found[:MOST_TOLD], key=_natural) + more


def _sizes(document: Mapping[str, Any]) -> Iterator[Problem]:
    for field, most in (("nodes", MOST_NODES), ("edges", MOST_EDGES)):
        found = document.get(field)
        if isinstance(found, Mapping | list) and len(found) > most:
            yield Problem(
                field, f"{len(found):,} are too many", f"{most:,} is the most; split it, and use `workflow` nodes"
            )


def _once(problems: Iterable[Problem]) -> Iterator[Problem]:
    seen: set[Problem] = set()
    for problem in problems:
        if problem not in seen:
            seen.add(problem)
            yield problem


def _natural(problem: Problem) -> list[tuple[int, str]]:
    """By path, `edges[2]` before `edges[10]`."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", problem.path)]


class _Examined:
    """A definition, taken apart."""

    def __init__(self, document: Mapping[str, Any], kinds: Mapping[str, Kind], judge: Judge | None) -> None:
        self._document, self._kinds, self._judge = document, kinds, judge
        self._shape: list[Problem] = []
        self.definition: Definition | None = None
        self._named: set[str] = set()
        self._nodes: dict[str, Node] = {}
        self._halves: dict[str, Node] = {}
        """What is wrong elsewhere, but has a type and a config that can be looked at."""
        self._edges: list[tuple[int, Edge]] = []
        self._labels: dict[str, Sequence[str] | None] = {}
        try:
            self.definition = definition = Definition.model_validate(document)
        except ValidationError:
            self._take_apart()
        else:
            self._nodes, self._edges = dict(definition.nodes), list(enumerate(definition.edges))
            self._named = set(self._nodes)

    def _take_apart(self) -> None:
        rest = dict(self._document)
        if isinstance(nodes := rest.get("nodes"), Mapping):
            self._named = set(nodes)
            self._nodes = dict(self._shaped_nodes(nodes))
            rest["nodes"] = {}
        if isinstance(edges := rest.get("edges"), list):
            self._edges = list(self._shaped_edges(edges))
            rest["edges"] = []
        if isinstance(rest.get("triggers"), list):  # each is looked at by itself
            rest["triggers"] = []
        self._shape += misshapen(Definition, rest, "")

    def _shaped_nodes(self, nodes: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
        for name, node in nodes.items():
            wrong = misshapen(Definition, {"name": "x", "nodes": {name: node}}, "")
            if not wrong:
                yield name, Node.model_validate(node)
            elif len(self._shape) <= MOST_TOLD:
                self._shape += wrong
                given = node if isinstance(node, Mapping) else {}
                with suppress(ValidationError):
                    self._halves[name] = Node.model_validate(
                        {field: given[field] for field in ("type", "config") if field in given}
                    )

    def _shaped_edges(self, edges: list[Any]) -> Iterator[tuple[int, Edge]]:
        for number, edge in enumerate(edges):
            wrong = misshapen(Edge, edge, f"edges[{number}]")
            if not wrong:
                yield number, Edge.model_validate(edge)
            elif len(self._shape) <= MOST_TOLD:
                self._shape += wrong

    def problems(self) -> Iterator[Problem]:
        """All there are."""
        yield from self._shape
        if not self._named and isinstance(self._document.get("nodes"), Mapping):
            yield Problem("nodes", "there is no node", "give at least one")
        schema = self._document.get("input")
        if isinstance(schema, Mapping):
            yield from schema_problems(schema)
        yield from self._wrong_types()
        yield from self._wrong_edges()
        yield from self._cycles()
        upstream = Ancestors(self._nodes, [edge for _, edge in self._edges])
        yield from self._idle(upstream)
        yield from self._wrong_expressions(upstream)
        yield from self._wrong_triggers()

    def _wrong_types(self) -> Iterator[Problem]:
        for name, node in {**self._nodes, **self._halves}.items():
            kind = self._kinds.get(node.type)
            if kind is None:
                yield Problem(
                    f"nodes.{name}.type", f"there is no node type {node.type!r}", nearest(node.type, self._kinds)
                )
                continue
            try:
                found = kind.problems(node.config)
                self._labels[name] = kind.branches(node.config)
            except Exception as error:  # noqa: BLE001 (a node type of another package)
                found = [Problem("", f"the node type {node.type} cannot make sense of this: {error}")]
            for problem in found:
                yield problem._replace(path=below(f"nodes.{name}.config", problem.path))

    def _wrong_edges(self) -> Iterator[Problem]:
        seen: dict[tuple[str, str], int] = {}
        for number, edge in self._edges:
            where = f"edges[{number}]"
            for field, node in (("from", edge.source), ("to", edge.target)):
                if node not in self._named:
                    yield Problem(f"{where}.{field}", f"there is no node {node!r}", nearest(node, self._named))
            if edge.source == edge.target:
                yield Problem(where, f"node {edge.source} leads to itself", "use a `loop` node to do something again")
            first = seen.setdefault((edge.source, edge.target), number)
            if first != number:
                yield Problem(
                    where, f"there is an edge from {edge.source} to {edge.target} already, edges[{first}]",
                    "two nodes are joined by one edge; let its `when` say both conditions, or put a `noop` between",
                )  # fmt: skip
            if edge.on_state == "failed" and edge.when is not None:
                yield Problem(
                    f"{where}.when", f"this is never asked: {edge.source} gives nothing when it fails",
                    "leave out `when` or `on_state`; a `condition` node after it can look at its error",
                )  # fmt: skip
            yield from self._wrong_branch(where, edge)

    def _wrong_branch(self, where: str, edge: Edge) -> Iterator[Problem]:
        if edge.branch is None or edge.source not in self._labels:
            return
        branches = self._labels[edge.source]
        if branches is None:
            kind = (self._nodes.get(edge.source) or self._halves[edge.source]).type
            yield Problem(
                f"{where}.branch", f"node {edge.source} is of type {kind}, which has no branches",
                "leave `branch` out, or write a condition of your own: `when`",
            )  # fmt: skip
        elif edge.branch not in branches:
            yield Problem(
                f"{where}.branch", f"node {edge.source} has no branch {edge.branch!r}", nearest(edge.branch, branches)
            )
        elif edge.on_state == "failed":
            yield Problem(f"{where}.branch", "a node that failed chose no branch", "leave out `branch` or `on_state`")

    def _cycles(self) -> Iterator[Problem]:
        """Each edge that closes a cycle, with the nodes on it."""
        following: dict[str, list[tuple[str, int]]] = {}
        for number, edge in self._edges:
            if edge.source != edge.target:
                following.setdefault(edge.source, []).append((edge.target, number))
        done: set[str] = set()
        for start, first in following.items():
            if start in done:
                continue
            path: list[str] = [start]
            places: dict[str, int] = {start: 0}
            todo = [iter(first)]
            while todo:
                for target, number in todo[-1]:
                    if target in places:
                        yield Problem(
                            f"edges[{number}]", f"this closes a cycle: {_arrows([*path[places[target] :], target])}",
                            "a graph has no way back; use a `loop` node to do something again",
                        )  # fmt: skip
                    elif target not in done:
                        places[target] = len(path)
                        path.append(target)
                        todo.append(iter(following.get(target, ())))
                        break
                else:
                    todo.pop()
                    done.add(path[-1])
                    del places[path.pop()]

    def _idle(self, upstream: Ancestors) -> Iterator[Problem]:
        """Nodes that never begin, and rules that have nothing to look at."""
        edges = [edge for _, edge in self._edges if edge.source in self._nodes and edge.target in self._nodes]
        rules = {name: node.trigger_rule for name, node in self._nodes.items()}
        for node, decided, decisions in never(rules, edges, upstream.order):
            said = " and ".join(decisions)
            yield Problem(
                f"nodes.{node}", f"this never begins: all that leads to it asks for {said} of {decided} together",
                "give it `trigger_rule: one_success`, if it shall begin after either",
            )  # fmt: skip
        reached = {edge.target for _, edge in self._edges}
        for name, rule in rules.items():
            if rule is Rule.ALL_FAILED and name not in reached:
                yield Problem(
                    f"nodes.{name}.trigger_rule", "no edge leads to this node, so nothing before it can fail",
                    "add an edge from what has to fail, or leave the rule out",
                )  # fmt: skip

    def _wrong_expressions(self, upstream: Ancestors) -> Iterator[Problem]:
        given = self._given()
        for name, node in self._nodes.items():
            if "${" not in str(node.config):
                continue
            kind = self._kinds.get(node.type)
            seen = upstream.seen(name)
            secrets = kind is None or kind.takes_secrets
            plain = Upstream(given, self._named, seen, secrets=secrets)
            for field, value in node.config.items():
                late = kind is not None and field in kind.later
                known = Upstream([*given, *LATER], self._named, seen, secrets=secrets) if late else plain
                yield from self._judged(f"nodes.{name}.config.{field}", value, known)
        for number, edge in self._edges:
            if edge.when is not None:
                known = Upstream(given, self._named, upstream.seen(edge.source, itself=True))
                yield from self._wrong_condition(f"edges[{number}].when", edge.when, known)
        every = Upstream(given, self._named, lambda _: True)
        yield from self._judged("output", self._document.get("output"), every)

    def _given(self) -> list[str]:
        """What every expression may read: of the input only what its schema has, if that admits nothing else."""
        schema = self._document.get("input")
        fields = schema.get("properties") if isinstance(schema, Mapping) else None
        if isinstance(schema, Mapping) and isinstance(fields, Mapping) and schema.get("additionalProperties") is False:
            return [*GIVEN, *(f"input.{field}" for field in fields)]
        return [*GIVEN, "input"]

    def _judged(self, path: str, value: Any, known: Known) -> Iterator[Problem]:
        for error in Template.problems(value, known):
            yield told(f"{path}{(error.path or '$').removeprefix('$')}", error)

    @staticmethod
    def _wrong_condition(path: str, text: str, known: Known) -> Iterator[Problem]:
        try:
            errors = Expression(text).check(known)
        except ExpressionError as error:
            errors = [error]
        if errors and text.lstrip().startswith("${"):
            yield Problem(path, "`when` of an edge is an expression as it is", "leave out the ${ and the }")
        else:
            yield from (told(path, error) for error in errors)

    def _wrong_triggers(self) -> Iterator[Problem]:
        given = self._document.get("triggers")
        if not isinstance(given, list):
            return
        schema = self._document.get("input")
        if not isinstance(schema, Mapping) or schema_problems(schema):
            schema = None
        sound = True
        for number, trigger in enumerate(given):
            where = f"triggers[{number}]"
            found = triggers.problems(trigger, where, schema)
            sound = sound and not found
            yield from found or (self._judge(trigger, where) if self._judge else [])
        if sound:
            seen: dict[str, int] = {}
            for number, name in enumerate(triggers.names(given)):
                if (first := seen.setdefault(name, number)) != number:
                    yield Problem(f"triggers[{number}].name", f"triggers[{first}] is called {name!r}, too")


def told(path: str, error: ExpressionError) -> Problem:
    """What is wrong with an expression."""
    return Problem(path, f"{error.reason} (column {error.column})", error.hint)


def _arrows(cycle: Sequence[str]) -> str:
    if len(cycle) > 12:
        cycle = [*cycle[:6], f"... {len(cycle) - 11:,} more ...", *cycle[-5:]]
    return " -> ".join(cycle)
