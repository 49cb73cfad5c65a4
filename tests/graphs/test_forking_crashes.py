"""Graphs drawn at random, run, and begun again from nodes drawn at random, with what failed mended: what is kept is as
it was and not done again, and all else comes to what the reference says. The seed in a failure draws the same again:
`PGFLOW_SEED`.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, ParamSpec, TypeVar

import orjson
import psycopg
import pytest

from pgflow import App, current
from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.engine import workflows
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.errors import PgflowError
from pgflow.graph import Definition
from pgflow.nodes.library import Library
from pgflow.sdk.task import Task
from pgflow.sdk.verbs import Handle
from pgflow.testing.crash import come_late, crash_everywhere
from pgflow.testing.engine import LocalEngine
from tests.graphs.drawing import INPUT, Drawn, OnPurpose, draw
from tests.graphs.reference import Does
from tests.graphs.test_crashes import SEED, Comparison, Deaths, Found, act, edges, stored, sturdy

TOGETHER = 15
P = ParamSpec("P")
R = TypeVar("R")


class Mended:
    """The task that graphs are drawn with, which can be mended; and which runs it has worked for."""

    def __init__(self) -> None:
        self.app = App()
        self.whole = False
        self.worked: set[tuple[int, str]] = set()

        @self.app.task(name="act")
        async def act(fails: int, value: int = 0) -> dict[str, int]:
            task = current()
            self.worked.add((task.task_id, "act"))
            if not self.whole and task.attempt <= fails:
                raise OnPurpose(f"attempt {task.attempt}")
            return {"value": value}


def mended(drawn: Drawn, kept: set[str]) -> Drawn:
    """The same graph, in which what is done anew does not fail where `act` did."""

    def better(name: str, does: Does) -> Does:
        if name in kept or drawn.definition.nodes[name].type not in ("task", "map"):
            return does
        return replace(does, fails=tuple(0 if fails < 1000 else fails for fails in does.fails))

    return replace(drawn, does={name: better(name, does) for name, does in drawn.does.items()})


class Forking(LocalEngine):
    """An engine in which to start something is to fork a run."""

    old: int

    async def start(self, task: Task[P, R], /, *_: P.args, **__: P.kwargs) -> Handle[R]:
        """A fork from what failed."""
        return await (await self.own_client()).rerun(self.old)


class Forks:
    """Graphs that run together, and forks of them.

    Args:
        engine: where.
        acts: what their tasks do.
        seed: what to draw from.
        deaths: how many workers die while the forks run.
    """

    def __init__(self, engine: LocalEngine, acts: Mended, seed: str, deaths: int) -> None:
        self._engine, self._acts, self._seed = engine, acts, seed
        self._chance = Random(seed)
        self.deaths = Deaths(self._chance, deaths, 0.1)
        self.kept = self.forks = 0

    async def run(self) -> None:
        """Run and fork them, and demand that each comes to what it has to."""
        engine, chance = self._engine, self._chance
        drawn = [draw(chance, f"graph_{self._seed.replace(' ', '_')}_{index}") for index in range(TOGETHER)]
        self._acts.whole = False
        olds = await self._start(drawn)
        await engine.settle()
        cut_short = chance.random() < 0.3
        if cut_short:
            await engine.advance("1h")
            await engine.client.cancel(*(run for run in olds if chance.random() < 0.3))
        await self._signal(olds, drawn)
        await engine.drive()
        self._acts.whole = True
        before = stored(engine.settings, olds)
        forks: list[tuple[int, int, Drawn]] = []
        for old, one in zip(olds, drawn, strict=True):
            names = [*one.definition.nodes]
            chosen = [] if chance.random() < 0.4 else chance.sample(names, chance.randint(1, min(2, len(names))))
            forks.append(((await engine.client.rerun(old, from_node=chosen or None)).id, old, one))
        engine.watch, engine.haunt = self.deaths, self._haunt
        try:
            await engine.settle()
            await self._signal([fork for fork, _, _ in forks], drawn)
            await engine.drive()
        except PgflowError as error:
            raise AssertionError(f"PGFLOW_SEED={self._seed}: {error}; {self.deaths.told}") from error
        finally:
            engine.forget_watch()
        after = stored(engine.settings, [fork for fork, _, _ in forks])
        for fork, old, one in forks:
            self._compare(fork, after[fork], before[old], one)
        assert not await engine.call(Call("audit/misplaced_tasks", {}, list))

    async def _start(self, drawn: list[Drawn]) -> list[int]:
        engine = self._engine
        documents = [orjson.dumps(one.definition.model_dump(mode="json", by_alias=True)) for one in drawn]
        names = [one.document["name"] for one in drawn]
        await engine.call(
            workflows.define(
                [workflows.Definition(name, "graph", name.encode().ljust(32), document)
                 for name, document in zip(names, documents, strict=True)]
            )
        )  # fmt: skip
        given = orjson.dumps(INPUT | {"later": "2020-01-01T00:00:00Z"})
        return (await engine.call(enqueue([Request(Spec(name), given) for name in names]))).ids

    async def _signal(self, runs: list[int], drawn: list[Drawn]) -> None:
        sent = [
            workflows.Signal(run, name)
            for run, one in zip(runs, drawn, strict=True) for name in (*one.early, *one.late)
        ]  # fmt: skip
        if sent:
            await self._engine.call(workflows.signal(sent))

    async def _haunt(self, dead: Any) -> None:
        await come_late(self._engine, dead, self._seed)

    def _compare(self, fork: int, found: Found, old: Found, drawn: Drawn) -> None:
        kept = {name for _, kind, name, data in found.events if data.get("kept") and kind != "node.started"}
        self.kept, self.forks = self.kept + len(kept), self.forks + 1
        expected = mended(drawn, kept)
        found.events = [(number, kind, name, {k: v for k, v in data.items() if k not in ("kept", "at")})
                        for number, kind, name, data in found.events]  # fmt: skip
        lines = Comparison(expected, found).lines
        ends = {name: (kind, data) for _, kind, name, data in old.events if kind != "node.started"}
        now = {name: (kind, data) for _, kind, name, data in found.events if kind != "node.started"}
        lines += [
            f"{name} is kept as {now[name]}, and was {ends.get(name)}" for name in kept if now[name] != ends[name]
        ]
        worked = {step for step, id in self._children(fork) if (id, "act") in self._acts.worked}
        lines += [f"{step} was done, though {step.partition('/')[0]} is kept" for step in worked
                  if step.partition("/")[0] in kept]  # fmt: skip
        if lines:
            said = "\n  ".join(lines)
            raise AssertionError(
                f"PGFLOW_SEED={self._seed}, run {fork}, kept {sorted(kept)}:\n  {said}\n{self.deaths.told}\n"
                f"{orjson.dumps(drawn.document).decode()}\n{drawn.does}\n{drawn.when}\n"
                f"was {[event[1:] for event in old.events]}\nis {[event[1:] for event in found.events]}"
            )

    def _children(self, run: int) -> list[tuple[str, int]]:
        with psycopg.connect(self._engine.settings.require_url(), autocommit=True) as connection:
            return connection.execute(
                "select step, id from pgflow.task where root_id = %s and parent_id = %s", (run, run)
            ).fetchall()


async def forked(settings: Settings, seeds: list[str], deaths: int) -> tuple[int, int, int]:
    """How many forks there were, how many nodes they kept, and how many workers died."""
    acts = Mended()
    forks = kept = died = 0
    async with LocalEngine(acts.app, sturdy(settings)) as engine:
        for seed in seeds:
            some = Forks(engine, acts, seed, deaths)
            await some.run()
            forks, kept, died = forks + some.forks, kept + some.kept, died + len(some.deaths.told)
    return forks, kept, died


async def test_forks_come_to_what_the_reference_says_and_do_nothing_again(pgflow_database: Settings) -> None:
    forks, kept, died = await forked(pgflow_database, [f"{SEED} {number}" for number in range(4)], 4)
    assert forks == 4 * TOGETHER
    assert kept > 100
    assert died > 4


@pytest.mark.torture
@pytest.mark.parametrize("part", range(4))
async def test_a_thousand_forks_come_to_what_the_reference_says(pgflow_database: Settings, part: int) -> None:
    seeds = [f"{SEED} {number}" for number in range(1000 + 20 * part, 1000 + 20 * (part + 1))]
    assert (await forked(pgflow_database, seeds, 6))[0] == 20 * TOGETHER


async def test_a_fork_comes_to_the_same_at_whichever_commit_its_worker_dies(pgflow_database: Settings) -> None:
    acts = Mended()
    nodes = {
        "first": act(),
        "many": {"type": "map", "config": {"over": [0, 5, 0, 5], "task": "act", "input": {"fails": "${item}"},
                                           "concurrency": 1}},
        "said": {"type": "transform", "config": {"value": "${input.number}"}},
        "rest": {"type": "delay", "config": {"time": "1d"}},
        "wrong": act(5), "mend": act(),
        "last": act(),
    }  # fmt: skip
    document = {
        "name": "graph", "nodes": nodes, "concurrency": 2,
        "edges": [*edges("first>many said>rest rest>last many>last"),
                  {"from": "wrong", "to": "mend", "on_state": "failed"}],
        "output": ["${nodes.many.output}", "${nodes.said.output}", "${nodes.wrong.state}"],
    }  # fmt: skip
    async with Forking(acts.app, sturdy(pgflow_database)) as engine:
        text = orjson.dumps(Definition.model_validate(document).model_dump(mode="json", by_alias=True))
        await engine.call(workflows.define([workflows.Definition("graph", "graph", b"x" * 32, text)]))
        engine.old = (await engine.call(enqueue([Request(Spec("graph"), orjson.dumps(INPUT))]))).ids[0]
        assert (await engine.outcome(engine.old)).state == "failed"
        acts.whole = True
        workflow = await Library(engine.call, engine.client._drive).workflow("graph")
        assert workflow is not None
        report = await crash_everywhere(engine, workflow, {})
    assert report.crashes > 8
