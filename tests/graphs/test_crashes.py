"""Graphs drawn at random, run by the real engine while its workers die: every node has the fate that it must have.

Many are under way at once. At some commits, right before or right after, the worker dies; another goes on. Then what
is told of the nodes, what became of the children, and what the runs came to stands beside the reference. The seed and
the number in a failure draw the same graphs and deaths again: `PGFLOW_SEED`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import orjson
import psycopg
import pytest

from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.engine import workflows
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.errors import PgflowError
from pgflow.graph import Definition
from pgflow.nodes.library import Library
from pgflow.testing.crash import CrashReport, come_late, crash_everywhere, described
from pgflow.testing.engine import LocalEngine
from pgflow.testing.mortal import Items, Mortal
from pgflow.testing.plugin import Engines
from tests.graphs.drawing import INPUT, Drawn, app_of_acts, draw

SEED = int(os.environ.get("PGFLOW_SEED", "1"))
TOGETHER = 20
ENDS = {"node.completed": "completed", "node.failed": "failed", "node.skipped": "skipped"}


class Deaths:
    """Lets workers die at commits drawn at random.

    Args:
        chance: what decides.
        most: how many.
        often: in which share of the commits.
    """

    def __init__(self, chance: Random, most: int, often: float) -> None:
        self._chance, self._left, self._often = chance, most, often
        self.told: list[str] = []

    def __call__(self, executor: Mortal, moment: str, items: Items) -> None:
        if executor.dead or not self._left or self._chance.random() > self._often:
            return
        self._left -= 1
        self.told.append(f"{moment} {described(items)}")
        raise executor.die(items, sent=moment == "after")


@dataclass
class Found:
    """What is stored of one run."""

    state: str = ""
    output: Any = None
    error: dict[str, Any] = field(default_factory=dict)
    finished: Any = None
    events: list[tuple[int, str, str, Any]] = field(default_factory=list)
    """Number, type, node and data, in their order."""
    children: dict[str, list[tuple[str, str | None, Any, Any]]] = field(default_factory=lambda: defaultdict(list))
    """By node: key, state, when it was made and when it ended."""


def stored(settings: Settings, runs: Sequence[int]) -> dict[int, Found]:
    """What is stored of these runs."""
    found = {run: Found() for run in runs}
    with psycopg.connect(settings.require_url(), autocommit=True) as connection:
        for root, *event in connection.execute(
            "select root_id, id, type::text, key, data from pgflow.event"
            " where root_id = any (%s) and type::text like 'node.%%' order by id", [list(runs)]
        ):  # fmt: skip
            found[root].events.append(tuple(event))
        for root, step, made, *outcome in connection.execute(
            "select t.root_id, t.step, t.created_at, o.state::text, o.output, o.error, o.finished_at"
            "  from pgflow.task t left join pgflow.outcome o on o.root_id = t.root_id and o.task_id = t.id"
            " where t.root_id = any (%s) order by t.id", [list(runs)]
        ):  # fmt: skip
            one = found[root]
            if step is None:
                one.state, one.output, one.error, one.finished = outcome
            else:
                one.children[step.partition("/")[0]].append((step, outcome[0], made, outcome[3]))
    return found


class Comparison:
    """One run beside its reference: what differs, as lines.

    Args:
        drawn: the graph.
        found: what is stored.
    """

    def __init__(self, drawn: Drawn, found: Found) -> None:
        self._drawn, self._found = drawn, found
        self._definition = drawn.definition
        self._expected = expected = drawn.reference()
        self.lines: list[str] = []
        self._ends: dict[str, tuple[int, str]] = {}
        self._starts: dict[str, int] = {}
        self._refused: set[str] = set()
        """Nodes that say themselves that they were cut off, as a map does whose next children were refused."""
        self._stopped = bool(expected.unhandled) and self._definition.on_failure == "stop"
        self._events()
        self._outcome()
        for name in self._definition.nodes:
            self._one(name)
        self._order()
        if self._definition.concurrency is not None:
            self._limit(self._definition.concurrency)

    def _say(self, line: str) -> None:
        self.lines.append(line)

    def _events(self) -> None:
        for number, kind, name, data in self._found.events:
            if kind == "node.started":
                if name in self._starts:
                    self._say(f"{name} was started twice")
                self._starts[name] = number
                continue
            state = data.get("state", ENDS[kind])
            if name in self._ends:
                self._say(f"{name} ended twice: {self._ends[name][1]}, {state}")
            self._ends[name] = (number, state)
            if (data.get("error") or {}).get("type") == "TaskCancelled":
                self._refused.add(name)
            if kind == "node.completed" and data.get("branch") != self._expected._branch(name):
                self._say(f"{name} took the branch {data.get('branch')}, not {self._expected._branch(name)}")

    def _outcome(self) -> None:
        found, expected = self._found, self._expected
        if expected.unhandled:
            said = str((found.error or {}).get("message"))
            if found.state != "failed" or not any(
                said.startswith(f"node {name} failed") for name in expected.unhandled
            ):
                self._say(f"the run is {found.state} ({said}), though {expected.unhandled} failed")
        elif found.state != "completed" or found.output != expected.states:
            self._say(f"the run is {found.state} {found.error}, with {found.output}, not {expected.states}")

    def _one(self, name: str) -> None:
        state, expected = self._ends.get(name, (0, ""))[1], self._expected.states[name]
        children = self._found.children.get(name, [])
        if self._stopped:
            cut_off = name in self._refused or any(became == "cancelled" for _, became, _, _ in children)
            if state in ("completed", "failed") and state != expected and not (cut_off and state == "failed"):
                self._say(f"{name} is {state}, not {expected}")
            if children and expected == "skipped":
                self._say(f"{name} had children, though it had to be skipped")
            for key, became, _, finished in children:
                if became is None or finished > self._found.finished:
                    self._say(f"{key} is {became or 'not over'}, but the run is")
            return
        if state != expected:
            self._say(f"{name} is {state}, not {expected}")
        if (name in self._starts) != (expected != "skipped"):
            self._say(f"{name} was {'' if name in self._starts else 'not '}started, though it is {expected}")
        if sorted((key, became) for key, became, _, _ in children) != sorted(self._children(name)):
            self._say(f"{name} has the children {children}, not {self._children(name)}")

    def _children(self, name: str) -> list[tuple[str, str]]:
        node = self._definition.nodes[name]
        if self._expected.states[name] == "skipped" or node.type not in ("task", "map"):
            return []
        if node.type == "task":
            return [(name, self._expected.states[name])]
        if not isinstance(node.config["over"], list):
            return []
        most = node.retry.max_attempts if node.retry else 1
        fails = self._drawn.does[name].fails
        return [(f"{name}/{index}", "failed" if n >= most else "completed") for index, n in enumerate(fails)]

    def _order(self) -> None:
        for edge in self._definition.edges:
            began, ended = self._starts.get(edge.target), self._ends.get(edge.source)
            if began is not None and (ended is None or ended[0] > began):
                self._say(f"{edge.target} was started before {edge.source} had ended")
        if self._stopped:
            children = [child for some in self._found.children.values() for child in some]
            ends = [finished for _, became, _, finished in children if became == "cancelled"]
            if late := [key for key, _, made, _ in children if ends and made > min(ends)]:
                self._say(f"{late} were made after children had been cancelled")
            failed = [self._ends[name][0] for name in self._expected.unhandled if name in self._ends]
            late = [name for name, number in self._starts.items() if failed and number > min(failed)]
            if late or not failed:
                self._say(f"{late} were started after the failure, {len(failed)} are told of")

    def _limit(self, limit: int) -> None:
        spans = [
            (min(child[2] for child in children), max(child[3] for child in children))
            for children in self._found.children.values()
            if all(child[3] is not None for child in children)
        ]
        at_once = max((sum(a <= start < b for a, b in spans) for start, _ in spans), default=0)
        if at_once > limit:
            self._say(f"{at_once} nodes had children at once, {limit} are allowed")


class Batch:
    """Graphs that run together.

    Args:
        engine: where.
        seed: what to draw them from.
        number: which of the batches of that seed this is.
        deaths: how many workers die.
    """

    def __init__(self, engine: LocalEngine, seed: int, number: int, deaths: int) -> None:
        self._engine = engine
        self._chance = chance = Random(f"{seed} {number}")
        self._said = f"PGFLOW_SEED={seed}, batch {number}"
        self.drawn = [draw(chance, f"graph_{number}_{index}") for index in range(TOGETHER)]
        self.deaths = Deaths(chance, deaths, 0.1)
        self._late: list[tuple[int, str]] = []
        self._runs: list[int] = []

    async def run(self) -> None:
        """Run them, and demand that each came to what it had to."""
        engine = self._engine
        try:
            await self._start()
            engine.watch, engine.haunt = self.deaths, self._haunt
            await engine.settle()
            if self._chance.random() < 0.3:
                await engine.kill()
            half = len(self._late) // 2
            await self._signal(self._late[:half])
            if self._chance.random() < 0.5:
                await engine.advance("1h")
            await self._signal(self._late[half:])
            await engine.drive()
        except PgflowError as error:
            raise AssertionError(f"{self._said}: {error}; {self._died()}") from error
        finally:
            engine.forget_watch()
        self._compare()
        misplaced = await engine.call(Call("audit/misplaced_tasks", {}, list))
        assert not misplaced, f"{self._said}: {misplaced}"

    async def _start(self) -> None:
        engine = self._engine
        documents = [orjson.dumps(one.definition.model_dump(mode="json", by_alias=True)) for one in self.drawn]
        names = [one.document["name"] for one in self.drawn]
        await engine.call(
            workflows.define(
                [workflows.Definition(name, "graph", name.encode().ljust(32), document)
                 for name, document in zip(names, documents, strict=True)]
            )
        )  # fmt: skip
        later = (await engine.now() + timedelta(days=1)).isoformat()
        given = orjson.dumps(INPUT | {"later": later})
        self._runs = (await engine.call(enqueue([Request(Spec(name), given) for name in names]))).ids
        sent = list(zip(self._runs, self.drawn, strict=True))
        await self._signal([(run, name) for run, one in sent for name in one.early])
        self._late = [(run, name) for run, one in sent for name in one.late]
        self._chance.shuffle(self._late)

    async def _signal(self, signals: Sequence[tuple[int, str]]) -> None:
        if signals:
            await self._engine.call(workflows.signal([workflows.Signal(*signal) for signal in signals]))

    async def _haunt(self, dead: Mortal) -> None:
        await come_late(self._engine, dead, self._said)

    def _compare(self) -> None:
        found = stored(self._engine.settings, self._runs)
        for run, drawn in zip(self._runs, self.drawn, strict=True):
            if lines := Comparison(drawn, found[run]).lines:
                said = "\n  ".join(lines)
                raise AssertionError(
                    f"{self._said}, run {run}:\n  {said}\n{self._died()}\n{orjson.dumps(drawn.document).decode()}\n"
                    f"{drawn.does}\n{drawn.when}\n{[event[1:] for event in found[run].events]}"
                )

    def _died(self) -> str:
        return f"{len(self.deaths.told)} deaths: {'; '.join(self.deaths.told)}"


def sturdy(settings: Settings) -> Settings:
    """Whoever is killed at random by the dozen has to be allowed to survive it by the dozen."""
    return settings.model_copy(update={"max_crashes": 100})


async def batches(settings: Settings, seed: int, numbers: Sequence[int], deaths: int) -> int:
    """Run so many batches. Returns how many workers died."""
    died = 0
    async with LocalEngine(app_of_acts(), sturdy(settings)) as engine:
        for number in numbers:
            batch = Batch(engine, seed, number, deaths)
            await batch.run()
            died += len(batch.deaths.told)
    return died


async def test_graphs_come_to_what_the_reference_says_when_nobody_dies(pgflow_database: Settings) -> None:
    assert await batches(pgflow_database, SEED, range(4), 0) == 0


async def test_graphs_come_to_what_the_reference_says_while_workers_die(pgflow_database: Settings) -> None:
    assert await batches(pgflow_database, SEED, range(100, 110), 8) > 50


@pytest.mark.torture
@pytest.mark.parametrize("part", range(10))
async def test_thousands_of_graphs_come_to_what_the_reference_says_while_workers_die(
    pgflow_database: Settings, part: int
) -> None:
    assert await batches(pgflow_database, SEED, range(1000 + 25 * part, 1000 + 25 * (part + 1)), 12) > 100


async def everywhere(engine: LocalEngine, document: dict[str, Any]) -> CrashReport:
    """Let a worker die at each commit of a run of this graph."""
    definition = Definition.model_validate({"name": "graph", **document})
    text = orjson.dumps(definition.model_dump(mode="json", by_alias=True))
    await engine.call(workflows.define([workflows.Definition("graph", "graph", b"x" * 32, text)]))
    workflow = await Library(engine.call, engine.client._drive).workflow("graph")
    assert workflow is not None
    report = await crash_everywhere(engine, workflow, INPUT)
    with psycopg.connect(engine.settings.require_url(), autocommit=True) as connection:
        twice = connection.execute(
            "select root_id, key, array_agg(type::text) from pgflow.event"
            " where type::text = any (%s) group by 1, 2 having count(*) > 1", [list(ENDS)]
        ).fetchall()  # fmt: skip
    assert not twice
    return report


def act(fails: int = 0, **more: Any) -> dict[str, Any]:
    """A task node."""
    retry = {"max_attempts": 2, "base": 0.5, "jitter": False}
    return {"type": "task", "config": {"task": "act", "input": {"fails": fails}}, "retry": retry, **more}


def edges(text: str) -> list[dict[str, str]]:
    """Edges, from `a>b b>c`."""
    return [dict(zip(("from", "to"), edge.split(">"), strict=True)) for edge in text.split()]


async def test_what_has_begun_goes_on_after_a_death_however_few_may_run_at_once(pgflow_engine: Engines) -> None:
    many = {
        "type": "map", "config": {"over": [0, 0, 0], "task": "act", "input": {"fails": "${item}"}, "concurrency": 1},
    }  # fmt: skip
    nodes = {"first": act(), "second": act(1), "nothing": {"type": "noop"}, "then": act(), "many": many, "more": many}
    document = {"nodes": nodes, "edges": edges("first>nothing nothing>then second>many second>more"), "concurrency": 2}
    report = await everywhere(pgflow_engine(app_of_acts()), document)
    assert report.crashes > 10


async def test_a_run_comes_to_the_same_at_whichever_commit_its_worker_dies(pgflow_engine: Engines) -> None:
    nodes = {
        "fetch": act(1),
        "many": {"type": "map", "config": {"over": [0, 1, 5, 0], "task": "act", "input": {"fails": "${item}"},
                                           "concurrency": 2, "on_failure": "keep"}},
        "rest": {"type": "delay", "config": {"time": "1d"}},
        "big": {"type": "condition", "config": {"when": "${size(nodes.many.output) > 3}"}},
        "wrong": act(5),
        "mend": {"type": "transform", "config": {"value": "${nodes.wrong.error.message}"}},
        "small": act(),
        "last": act(trigger_rule="one_success"),
    }  # fmt: skip
    document = {
        "nodes": nodes,
        "edges": [
            *edges("fetch>many fetch>rest many>big mend>last small>last"),
            {"from": "big", "to": "wrong", "branch": "true"},
            {"from": "big", "to": "small", "branch": "false"},
            {"from": "wrong", "to": "mend", "on_state": "failed", "when": "nodes.many.output[2] == null"},
        ],
        "output": ["${nodes.mend.output}", "${nodes.small.state}", "${nodes.last.output}"],
    }
    report = await everywhere(pgflow_engine(app_of_acts()), document)
    assert report.crashes > 20


async def test_a_run_that_stops_comes_to_the_same_at_whichever_commit_its_worker_dies(pgflow_engine: Engines) -> None:
    nodes = {
        "bad": act(5),
        "nothing": {"type": "noop"},
        "good": act(),
        "after": act(),
        "rest": {"type": "delay", "config": {"time": "1d"}},
        "never": act(),
    }
    document = {"nodes": nodes, "edges": edges("good>nothing nothing>after rest>never"), "on_failure": "stop"}
    report = await everywhere(pgflow_engine(app_of_acts()), document)
    assert report.crashes > 5


async def test_what_has_passed_does_not_wait_for_its_turn_again_after_a_death(pgflow_engine: Engines) -> None:
    slow = act(1) | {"retry": {"max_attempts": 2, "base": "2m", "jitter": False}}
    nodes = {"first": act(), "nothing": {"type": "noop"}, "slow": slow}
    document = {"nodes": nodes, "edges": edges("first>slow"), "timeout": "1m", "concurrency": 1}
    report = await everywhere(pgflow_engine(app_of_acts()), document)
    assert report.crashes > 5


async def test_a_map_that_was_refused_its_next_child_is_cut_off_for_good(pgflow_engine: Engines) -> None:
    many = {
        "type": "map", "retry": {"max_attempts": 2, "base": "2m", "jitter": False},
        "config": {"over": [1, 1], "task": "act", "input": {"fails": 1}, "concurrency": 1, "on_failure": "keep"},
    }  # fmt: skip
    document = {"nodes": {"bad": act(5), "many": many}, "on_failure": "stop"}
    report = await everywhere(pgflow_engine(app_of_acts()), document)
    assert report.crashes > 5
