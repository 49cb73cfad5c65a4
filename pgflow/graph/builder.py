"""Graphs written in Python: what comes out is the document that YAML would have held.

Example:
    >>> graph = Graph("daily_report", input={"type": "object", "required": ["day"]})
    >>> fetch = graph.node("fetch", "http", {"url": f"https://api.example.com/sales/{graph.input.day}"}, timeout="30s")
    >>> big = graph.node("big", "condition", {"when": f"${{{fetch.output.total.expression} > 100}}"})
    >>> publish = graph.task("publish", "reports.publish", {"sales": fetch.output})
    >>> alarm = graph.task("alarm", "reports.alarm")
    >>> _ = fetch >> big
    >>> _ = big.true >> publish
    >>> _ = fetch.failed >> alarm
    >>> graph.document()["edges"][1]
    {'from': 'big', 'to': 'publish', 'branch': 'true'}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, NoReturn

from pgflow import duration
from pgflow.errors import ArgumentError
from pgflow.graph.document import Definition, Retry, Rule
from pgflow.graph.shapes import misshapen
from pgflow.graph.writing import to_yaml

Duration = float | str | timedelta

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Reference:
    """What a node gives, or a part of it: as text it is the `${...}` that a run puts the value in place of.

    Fields are attributes, or in brackets: `fetch.output.rows[0]`, `graph.input["odd name"]`.

    Attributes:
        expression: without the `${` and `}`, to write more of an expression around it.
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression

    def __getattr__(self, field: str) -> Reference:
        if field.startswith("__"):
            raise AttributeError(field)
        return Reference(f"{self.expression}.{field}")

    def __getitem__(self, part: str | int) -> Reference:
        if isinstance(part, str) and _PLAIN.fullmatch(part):
            return Reference(f"{self.expression}.{part}")
        quoted = str(part) if isinstance(part, int) else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return Reference(f"{self.expression}[{quoted}]")

    def __str__(self) -> str:
        return f"${{{self.expression}}}"

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self} has a value in a run only; `map` nodes go through a list")

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self} has a value in a run only; `condition` nodes ask for it")


@dataclass(frozen=True, slots=True)
class Arrow:
    """What an edge asks for before it is taken; `arrow >> node` makes the edge."""

    graph: Graph
    source: str
    branch_: str | None = None
    when_: str | None = None
    on_state: Literal["completed", "failed"] = "completed"

    def branch(self, label: str) -> Arrow:
        """Taken only when the source chose this branch."""
        return replace(self, branch_=label)

    def when(self, expression: str) -> Arrow:
        """Taken only when this expression is true."""
        return replace(self, when_=expression)

    def __rshift__(self, target: Node | Sequence[Node]) -> Node | Sequence[Node]:
        for node in [target] if isinstance(target, Node) else target:
            self.graph._join(self, node)
        return target


class Node:
    """A node of a graph. Made by `Graph.node`.

    Attributes:
        name: its name.
        output: what it gives.
        state: how it ended: completed, failed, skipped or cancelled.
        error: with what it failed: `type` and `message`.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self._graph = graph
        self.name = name
        base = Reference("nodes")[name]
        self.output, self.state, self.error = base.output, base.state, base.error

    @property
    def true(self) -> Arrow:
        """When it is a condition that is true."""
        return self.branch("true")

    @property
    def false(self) -> Arrow:
        """When it is a condition that is false."""
        return self.branch("false")

    @property
    def failed(self) -> Arrow:
        """When it has failed."""
        return Arrow(self._graph, self.name, on_state="failed")

    def branch(self, label: str) -> Arrow:
        """When it chose this branch."""
        return Arrow(self._graph, self.name, branch_=label)

    def when(self, expression: str | Reference) -> Arrow:
        """When it has completed and this expression is true, as in `fetch.when("nodes.fetch.output.total > 100")`."""
        text = expression.expression if isinstance(expression, Reference) else expression
        return Arrow(self._graph, self.name, when_=text)

    def __rshift__(self, target: Node | Sequence[Node]) -> Any:
        """`a >> b`, `a >> [b, c]`, `a >> b >> c`."""
        return Arrow(self._graph, self.name) >> target

    def __rrshift__(self, sources: Iterable[Node | Arrow]) -> Node:
        """`[a, b] >> c`."""
        for source in sources:
            source >> self
        return self

    def __repr__(self) -> str:
        return f"<node {self.name}>"


class Graph:
    """A graph in the making.

    Args:
        name: the workflow's name.
        title: what people call it.
        description: what it is for.
        input: a JSON Schema of what a run is given.
        output: what a run gives; may hold references. It can be set later, too.
        timeout: how long a run may take in all.
        on_failure: `continue` or `stop`.
        concurrency: how many nodes at once.
        queue: where its nodes wait for a worker.
        priority: critical, high, normal or low.
        tags: words to find its runs by.

    Attributes:
        input: what a run is given, as a reference: `graph.input.day`.
        output: what a run gives.
    """

    def __init__(
        self, name: str, *, title: str | None = None, description: str | None = None,
        input: Mapping[str, Any] | None = None, output: Any = None, timeout: Duration | None = None,
        on_failure: Literal["continue", "stop"] | None = None, concurrency: int | None = None,
        queue: str | None = None, priority: Literal["critical", "high", "normal", "low"] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._fields = {
            "name": name, "title": title, "description": description, "input": input, "timeout": _seconds(timeout),
            "on_failure": on_failure, "concurrency": concurrency, "queue": queue, "priority": priority, "tags": tags,
        }  # fmt: skip
        self.input = Reference("input")
        self.output = output
        self._nodes: dict[str, dict[str, Any]] = {}
        self._edges: list[dict[str, Any]] = []
        self._triggers: list[dict[str, Any]] = []

    def node(
        self, name: str, type: str, config: Mapping[str, Any] | None = None, *, title: str | None = None,
        description: str | None = None, rule: Rule | str | None = None, retry: Retry | int | None = None,
        timeout: Duration | None = None, queue: str | None = None,
        priority: Literal["critical", "high", "normal", "low"] | None = None,
    ) -> Node:  # fmt: skip
        """Add a node.

        Args:
            name: its own.
            type: its node type, such as `http`.
            config: what its type asks for; may hold references.
            title: what people call it.
            description: what it is for.
            rule: when it begins, once its edges are decided: `all_success` unless given.
            retry: how often it is tried; a number is that many attempts.
            timeout: how long one attempt may take.
            queue: where it waits for a worker; the graph's unless given.
            priority: the graph's unless given.

        Raises:
            ArgumentError: there is one of that name, or something makes no sense.
        """
        if name in self._nodes:
            raise ArgumentError(f"there is a node {name} already", hint="a node's name is its own within the graph")
        tries = {"max_attempts": retry} if isinstance(retry, int) else retry
        if isinstance(tries, Retry):
            tries = tries.model_dump(exclude_defaults=True)
        node = {
            "type": type, "title": title, "description": description, "config": _json(config or {}),
            "trigger_rule": None if rule is None else str(rule), "retry": tries, "timeout": _seconds(timeout),
            "queue": queue, "priority": priority,
        }  # fmt: skip
        node = {field: value for field, value in node.items() if value is not None and value != {}}
        if wrong := misshapen(Definition, {"name": "x", "nodes": {name: node}}, ""):
            raise ArgumentError(str(wrong[0]._replace(hint=None)), hint=wrong[0].hint)
        self._nodes[name] = node
        return Node(self, name)

    def task(self, name: str, task: str, input: Mapping[str, Any] | None = None, **options: Any) -> Node:
        """Add a node that has a registered task done.

        Args:
            name: the node's own.
            task: the task's.
            input: its arguments by name; may hold references.
            **options: as of `node`.
        """
        return self.node(name, "task", {"task": task, **({"input": input} if input else {})}, **options)

    def trigger(self, **fields: Any) -> None:
        """Let something start it: `cron=`, `every=`, `at=`, `webhook=` or `event=`, with what else makes it up."""
        self._triggers.append(_json(fields))

    def document(self) -> dict[str, Any]:
        """The definition as JSON. What is wrong with it as a whole, `Workflows.validate` and `publish` tell."""
        fields = {field: _json(value) for field, value in self._fields.items() if value is not None}
        fields["nodes"] = self._nodes
        more = {"edges": self._edges, "output": _json(self.output), "triggers": self._triggers}
        return fields | {field: value for field, value in more.items() if value not in (None, [])}

    def yaml(self) -> str:
        """The definition as YAML."""
        return to_yaml(self.document())

    def _join(self, arrow: Arrow, target: Node) -> None:
        if target._graph is not self:
            raise ArgumentError(f"{target.name} is a node of another graph, {target._graph._fields['name']}")
        edge = {"from": arrow.source, "to": target.name, "branch": arrow.branch_, "when": arrow.when_}
        edge = {field: value for field, value in edge.items() if value is not None}
        if arrow.on_state != "completed":
            edge["on_state"] = arrow.on_state
        self._edges.append(edge)


def _seconds(value: Duration | None) -> float | str | None:
    return duration.parse(value) if isinstance(value, timedelta) else value


def _json(value: Any) -> Any:
    """The same with references as text."""
    match value:
        case Reference():
            return str(value)
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {key: _json(one) for key, one in value.items()}
        case list() | tuple():
            return [_json(one) for one in value]
        case _:
            return value
