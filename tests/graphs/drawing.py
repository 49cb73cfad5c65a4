"""Graphs drawn at random, with what each of their nodes would do: for the law alone, and for the real engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any

from pgflow import App, current
from pgflow.graph import Definition
from pgflow.graph.document import Rule
from tests.graphs.reference import Does, Reference, Says

MANY = 99
STATES = ("completed", "failed", "skipped")
KINDS = {
    "task": 10, "noop": 6, "transform": 2, "condition": 4, "switch": 3, "delay": 2, "wait_until": 1, "signal": 2,
    "map": 2,
}  # fmt: skip
RULES = {Rule.ALL_SUCCESS: 9, Rule.ALL_DONE: 3, Rule.ONE_SUCCESS: 4, Rule.NONE_FAILED: 3, Rule.ALL_FAILED: 3}
ON_FAILURE = {"continue": 4, "stop": 1}
INPUT: dict[str, Any] = {"yes": True, "no": False, "number": 7, "a": "a", "b": "b", "c": "c", "z": "z"}


class OnPurpose(Exception):
    """What a node fails with."""


def app_of_acts() -> App:
    """The task that graphs are drawn with."""
    app = App()

    @app.task(name="act")
    async def act(fails: int, value: int = 0) -> dict[str, int]:
        if current().attempt <= fails:
            raise OnPurpose(f"attempt {current().attempt}")
        return {"value": value}

    return app


@dataclass
class Drawn:
    """A graph, and what its nodes would do.

    Attributes:
        document: the definition, as JSON.
        does: what each node would do if it ran.
        when: what the condition of each edge that has one comes to.
        early: signals that are sent as soon as the run has been started.
        late: signals that are sent when it has been under way for a while.
    """

    document: dict[str, Any]
    does: dict[str, Does] = field(default_factory=dict)
    when: dict[tuple[str, str], Says] = field(default_factory=dict)
    early: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    @property
    def definition(self) -> Definition:
        """The definition itself."""
        return Definition.model_validate(self.document)

    def reference(self) -> Reference:
        """What must come of it."""
        return Reference(self.definition, self.does, self.when)


def draw(chance: Random, name: str = "graph", most: int = 14, *, cancelled: bool = False) -> Drawn:
    """A graph.

    Args:
        chance: what decides.
        name: the graph's.
        most: nodes.
        cancelled: whether nodes may be cancelled, too.
    """
    return _Drawing(chance, name, most, cancelled).drawn


class _Drawing:
    def __init__(self, chance: Random, name: str, most: int, cancelled: bool) -> None:
        self._chance, self._cancelled = chance, cancelled
        self.drawn = Drawn({"name": name, "nodes": {}, "edges": []})
        names = [f"n{number}" for number in range(1, chance.randint(1, most) + 1)]
        self._above: dict[str, set[str]] = {}
        nodes: dict[str, Any] = {}
        for number, node in enumerate(names):
            sources = chance.sample(names[:number], min(number, chance.choice((0, 1, 1, 1, 2, 2, 3, 4))))
            self._above[node] = set(sources).union(*(self._above[source] for source in sources))
            nodes[node] = self._node(node, sorted(self._above[node]))
            for source in sources:
                self._edge(source, node, nodes[source])
        document = self.drawn.document
        document["nodes"] = dict(chance.sample(sorted(nodes.items()), len(nodes)))
        chance.shuffle(document["edges"])
        document["on_failure"] = self._one(ON_FAILURE)
        document["output"] = {node: f"${{nodes.{node}.state}}" for node in names}
        if chance.random() < 0.5:
            document["concurrency"] = chance.choice((1, 1, 2, 3))

    def _one(self, weights: dict[Any, int]) -> Any:
        return self._chance.choices([*weights], [*weights.values()])[0]

    def _node(self, name: str, above: Sequence[str]) -> dict[str, Any]:
        kind = self._one(KINDS)
        config, does = getattr(self, f"_{kind}")(name, above)
        node: dict[str, Any] = {"type": kind, "config": config, "trigger_rule": self._one(RULES).value}
        if kind in ("task", "map"):
            node["retry"] = {"max_attempts": self._chance.randint(1, 3), "base": self._chance.choice([0.5, "2m"])}
        if self._cancelled and self._chance.random() < 0.1:
            does = Does(cancelled=True)
        self.drawn.does[name] = does
        return node

    def _fails(self) -> int:
        return self._chance.choice((0, 0, 0, 0, 1, 2, MANY))

    def _breaks(self) -> bool:
        return self._chance.random() < 0.15

    def _question(self, above: Sequence[str]) -> tuple[str, Says]:
        """An expression that is true or false, and what it comes to."""
        if above and self._chance.random() < 0.5:
            node, state = self._chance.choice(above), self._chance.choice(STATES)
            return f"nodes.{node}.state == '{state}'", (node, state)
        text, says = self._chance.choice([("input.yes", True), ("input.no", False), ("input.number > 6", True)])
        return text, says

    def _task(self, _: str, __: Sequence[str]) -> tuple[Any, Does]:
        fails = self._fails()
        return {"task": "act", "input": {"fails": fails, "value": self._chance.randint(0, 5)}}, Does((fails,))

    def _noop(self, _: str, __: Sequence[str]) -> tuple[Any, Does]:
        return {}, Does()

    def _transform(self, _: str, above: Sequence[str]) -> tuple[Any, Does]:
        if self._breaks():
            return {"value": "${input.nowhere}"}, Does((inf,))
        return {"value": {"above": [f"${{nodes.{node}.state}}" for node in above]}}, Does()

    def _condition(self, _: str, above: Sequence[str]) -> tuple[Any, Does]:
        if self._breaks():
            return {"when": "${input.number}"}, Does((inf,))
        text, says = self._question(above)
        return {"when": f"${{{text}}}"}, Does(branch=says)

    def _switch(self, _: str, __: Sequence[str]) -> tuple[Any, Does]:
        value = self._chance.choice("abcz")
        config: dict[str, Any] = {"value": f"${{input.{value}}}", "cases": {"first": "a", "second": ["b", "c"]}}
        if not self._breaks():
            config["default"] = "other"
        found = {"a": "first", "b": "second", "c": "second"}.get(value) or config.get("default")
        return config, Does((0 if found else inf,), found)

    def _delay(self, _: str, __: Sequence[str]) -> tuple[Any, Does]:
        return {"time": self._chance.choice([0.5, "30s", "1h", "2d"])}, Does()

    def _wait_until(self, _: str, __: Sequence[str]) -> tuple[Any, Does]:
        if self._breaks():
            return {"at": "${input.a}"}, Does((inf,))
        return {"at": self._chance.choice(["2020-01-01T00:00:00Z", "${input.later}"])}, Does()

    def _signal(self, name: str, _: Sequence[str]) -> tuple[Any, Does]:
        if self._chance.random() < 0.3:
            return {"timeout": self._chance.choice([1, "1h", "3d"])}, Does(branch="timed_out")
        late = self._chance.random() < 0.5
        (self.drawn.late if late else self.drawn.early).append(name)
        return {} if late or self._chance.random() < 0.5 else {"timeout": "2h"}, Does(branch="received")

    def _map(self, _: str, __: Sequence[str]) -> tuple[Any, Does]:
        if self._breaks():
            return {"over": "${input.number}", "task": "act", "input": {"fails": "${item}"}}, Does((inf,))
        over = [self._fails() for _ in range(self._chance.randint(0, 5))]
        config = {"over": over, "task": "act", "input": {"fails": "${item}", "value": "${index}"}}
        config["on_failure"] = self._chance.choice(["fail", "keep", "drop", "report"])
        if self._chance.random() < 0.5:
            config["concurrency"] = self._chance.randint(1, 3)
        return config, Does(tuple(over))

    def _edge(self, source: str, target: str, node: dict[str, Any]) -> None:
        chance = self._chance
        edge = {"from": source, "to": target}
        branches = {
            "condition": ["true", "false"], "switch": ["first", "second", "other"], "signal": ["received", "timed_out"],
        }.get(node["type"])  # fmt: skip
        if chance.random() < (0.25 if self.drawn.does[source].fails == (0,) else 0.5):
            edge["on_state"] = "failed"
        elif branches is not None and chance.random() < 0.7:
            edge["branch"] = chance.choice(branches)
        if chance.random() < 0.2:
            edge["when"], self.drawn.when[source, target] = self._question(sorted({source, *self._above[source]}))
        self.drawn.document["edges"].append(edge)
