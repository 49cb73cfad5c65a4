"""Runs of graphs begun again from a node: what is kept, what is done anew, and from what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Any

import orjson
import psycopg
import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.engine import workflows
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.errors import ArgumentError, NotFound
from pgflow.graph import Definition
from pgflow.testing.engine import LocalEngine


class World:
    """An engine, what its tasks have done, and which of them fail."""

    def __init__(self, settings: Settings) -> None:
        self.done: list[str] = []
        self.broken: set[str] = set()
        app = App()

        @app.task(name="act", retry=1)
        async def act(name: str, value: Any = None) -> Any:
            self.done.append(name)
            if name in self.broken:
                raise ValueError(f"{name} is broken")
            return value

        self.engine = LocalEngine(app, settings)
        self.client = self.engine.client

    async def publish(self, document: Mapping[str, Any], name: str = "graph") -> None:
        stored = orjson.dumps(
            Definition.model_validate({"name": name, **document}).model_dump(mode="json", by_alias=True)
        )
        await self.engine.call(workflows.define([workflows.Definition(name, "graph", sha256(stored).digest(), stored)]))

    async def start(self, document: Mapping[str, Any], /, **input: Any) -> int:
        await self.publish(document)
        return (await self.engine.call(enqueue([Request(Spec("graph"), orjson.dumps(input))]))).ids[0]

    async def run(self, document: Mapping[str, Any], /, **input: Any) -> int:
        run = await self.start(document, **input)
        await self.engine.outcome(run)
        return run

    async def ends(self, run: int) -> tuple[Any, list[str]]:
        """What a run comes to, and what was done for that."""
        self.done.clear()
        found = await self.engine.outcome(run)
        assert found.state == "completed", found.error
        return found.output, sorted(self.done)

    async def told(self, run: int) -> dict[str, str]:
        """How each node ended, and whether that is kept."""
        state = await self.client.graph(run)
        return {name: f"{node.state} kept" if node.kept else node.state for name, node in state.nodes.items()}

    def query(self, text: Any, *params: Any) -> list[Any]:
        with psycopg.connect(self.engine.settings.require_url(), autocommit=True) as connection:
            return connection.execute(text, params).fetchall()


@pytest.fixture
async def world(pgflow_database: Settings) -> AsyncIterator[World]:
    made = World(pgflow_database)
    yield made
    await made.engine.close()


def act(name: str, value: Any = 1, **more: Any) -> dict[str, Any]:
    return {"type": "task", "config": {"task": "act", "input": {"name": name, "value": value}}, **more}


def edges(text: str) -> list[dict[str, str]]:
    """Edges, from `a>b b>c`; `a!b` for a failure, `a=yes>b` for a branch."""
    found = []
    for edge in text.split():
        source, _, target = edge.replace("!", ">").partition(">")
        name, _, branch = source.partition("=")
        found.append({"from": name, "to": target} | ({"on_state": "failed"} if "!" in edge else {})
                     | ({"branch": branch} if branch else {}))  # fmt: skip
    return found


LINE = {
    "nodes": {
        "fetch": act("fetch", "${input.n}"),
        "twice": {"type": "transform", "config": {"value": "${nodes.fetch.output * 2 + input.n}"}},
        "load": act("load", "${nodes.twice.output}"),
        "tell": act("tell", "${[nodes.twice.output, nodes.load.output, input.n]}"),
        "aside": act("aside", "${input.n}"),
    },
    "edges": edges("fetch>twice twice>load load>tell"),
    "output": "${[nodes.tell.output, nodes.aside.output]}",
}


async def test_a_failed_run_is_begun_again_from_what_failed(world: World) -> None:
    world.broken = {"load"}
    run = await world.run(LINE, n=3)
    assert await world.told(run) == {
        "fetch": "completed", "twice": "completed", "load": "failed", "tell": "skipped", "aside": "completed",
    }  # fmt: skip
    world.broken = set()
    again = await world.client.rerun(run)
    assert (await world.client.graph(again.id)).nodes["fetch"].kept == run, "already before it runs"
    assert await world.ends(again.id) == ([[9, 9, 3], 3], ["load", "tell"])
    assert await world.told(again.id) == {
        "fetch": "completed kept", "twice": "completed kept", "load": "completed", "tell": "completed",
        "aside": "completed kept",
    }  # fmt: skip
    ((data,),) = world.query("select data from pgflow.event where task_id = %s and type = 'workflow.forked'", again.id)
    assert data == {"from": run, "step": None, "nodes": ["load", "tell"], "kept": 3, "anew": 2}
    whole = await world.client.rerun(again.id, set={"input.n": 5})
    assert await world.ends(whole.id) == ([[15, 15, 5], 5], ["aside", "fetch", "load", "tell"]), "nothing had failed"


async def test_a_fork_keeps_what_kept_nodes_were_made_with_through_forks_of_forks(world: World) -> None:
    run = await world.run(LINE, n=3)
    forked = await world.client.fork(run, from_step="tell", set={"input.n": 4})
    assert await world.ends(forked.id) == ([[9, 9, 4], 3], ["tell"])
    again = await world.client.rerun(forked.id, from_node="load", set={"input.n": 5})
    assert await world.ends(again.id) == ([[9, 9, 5], 3], ["load", "tell"])
    (found,) = world.query("select data->'result' from pgflow.event where task_id = %s and key = '$kept'", again.id)[0]
    assert found["parts"] == [{"run": run, "task": run, "input": {"n": 3}, "nodes": ["aside", "fetch", "twice"]}]
    back = await world.client.rerun(again.id, from_node=["aside", "tell"], input={"n": 3})
    assert await world.ends(back.id) == ([[9, 9, 3], 3], ["aside", "tell"])
    nodes = (await world.client.graph(back.id)).nodes
    assert {name: nodes[name].kept for name in ("fetch", "load", "tell")} == {
        "fetch": run, "load": again.id, "tell": None,
    }  # fmt: skip
    assert nodes["fetch"].started_at == (await world.client.graph(run)).nodes["fetch"].started_at


async def test_whether_an_edge_between_kept_nodes_is_taken_stays_as_it_was(world: World) -> None:
    document = {
        "nodes": {
            "a": act("a"), "b": act("b"), "c": act("c"),
            "last": act("last", "${nodes.b.state}", trigger_rule="all_done"),
        },
        "edges": [{"from": "a", "to": "b", "when": "input.n > 2"}, {"from": "a", "to": "c", "when": "input.n <= 2"},
                  *edges("b>last c>last")],
        "output": "${[nodes.b.state, nodes.c.state, nodes.last.output]}",
    }  # fmt: skip
    run = await world.run(document, n=3)
    forked = await world.client.fork(run, from_step="last", set={"input.n": 0})
    assert await world.ends(forked.id) == (["completed", "skipped", "completed"], ["last"])
    other = await world.client.rerun(run, from_node=["b", "c"], set={"input.n": 0})
    assert await world.ends(other.id) == (["skipped", "completed", "skipped"], ["c", "last"])


async def test_a_failure_that_an_edge_was_there_for_is_kept_and_one_that_none_was_for_is_not(world: World) -> None:
    document = {
        "nodes": {"bad": act("bad"), "mend": act("mend"), "good": act("good"), "worse": act("worse"),
                  "after": act("after")},
        "edges": edges("bad!mend good>after"),
        "output": "${[nodes.bad.state, nodes.mend.state, nodes.worse.state]}",
    }  # fmt: skip
    world.broken = {"bad", "worse"}
    run = await world.run(document)
    assert (await world.engine.outcome(run)).state == "failed"
    world.broken = set()
    again = await world.client.rerun(run)
    assert await world.ends(again.id) == (["failed", "completed", "completed"], ["worse"])
    again = await world.client.fork(run, from_step="after")
    assert (await world.ends(again.id))[1] == ["after", "worse"], "else it could only fail"
    again = await world.client.fork(run, from_step="bad")
    assert await world.ends(again.id) == (["completed", "skipped", "completed"], ["bad", "worse"])


async def test_what_a_stop_cut_off_or_never_let_begin_is_done_anew(world: World) -> None:
    document = {
        "on_failure": "stop",
        "nodes": {
            "first": act("first"), "rest": {"type": "delay", "config": {"time": "1h"}}, "bad": act("bad"),
            "long": {"type": "delay", "config": {"time": "1d"}}, "late": act("late"), "asks": {"type": "signal"},
        },
        "edges": edges("first>rest rest>bad bad>late long>late"),
        "output": "done",
    }  # fmt: skip
    world.broken = {"bad"}
    run = await world.run(document)
    assert (await world.client.graph(run)).nodes["long"].state == "skipped"
    due = world.query("select data->>'due_at' from pgflow.event where task_id = %s and key = 'long'"
                      " and type = 'timer.created'", run)  # fmt: skip
    world.broken = set()
    again = await world.client.rerun(run)
    await world.client.signal(again.id, "asks")
    assert (await world.ends(again.id))[1] == ["bad", "late"]
    kept = world.query("select data->>'due_at' from pgflow.event where task_id = %s and key = 'long'"
                       " and type = 'timer.created'", again.id)  # fmt: skip
    assert kept == due, "a delay that was cut off ends when it would have ended"


async def test_a_map_goes_on_with_the_elements_that_failed_and_a_loop_with_the_time_that_did(world: World) -> None:
    document = {
        "nodes": {
            "each": {"type": "map", "config": {"over": "${input.of}", "task": "act", "concurrency": 1,
                                               "input": {"name": "${item}", "value": "${item}"}}},
            "again": {"type": "loop", "config": {"task": "act", "max_iterations": 3, "delay": "1h",
                                                 "input": {"name": "t${index}", "value": "${last.count}"}}},
        },
        "output": "${[nodes.each.output, nodes.again.output.output]}",
    }  # fmt: skip
    world.broken = {"a", "c", "t1"}
    run = await world.run(document, of=["a", "b", "c", "d"])
    world.broken = set()
    again = await world.client.rerun(run)
    assert await world.ends(again.id) == ([["a", "b", "c", "d"], 2], ["a", "c", "t1", "t2"])
    assert world.query("select count(*) from pgflow.task where root_id = %s", again.id) == [(8,)]
    named = await world.client.rerun(run, from_node=["each", "again"])
    assert (await world.ends(named.id))[1] == ["a", "b", "c", "d", "t0", "t1", "t2"]
    other = await world.client.rerun(run, set={"input.of": ["x", "y"]})
    assert (await world.ends(other.id))[1] == ["t0", "t1", "t2", "x", "y"]


async def test_a_run_that_broke_goes_on_from_where_it_broke(world: World) -> None:
    document = {
        "timeout": "2h",
        "nodes": {
            "first": act("first"), "then": act("then"), "other": act("other"),
            "rest": {"type": "delay", "config": {"time": "${input.rest}"}}, "late": act("late"),
        },
        "edges": [{"from": "first", "to": "then", "when": "input.go"}, *edges("first>other rest>late")],
        "output": "done",
    }  # fmt: skip
    broken = await world.run(document, rest="1h")
    assert "edge first -> then" in ((await world.engine.outcome(broken)).error or {})["message"]
    again = await world.client.rerun(broken, set={"input.go": True})
    assert (await world.ends(again.id))[1] == ["late", "other", "then"]
    slow = await world.run(document, go=False, rest="1d")
    assert "took longer" in ((await world.engine.outcome(slow)).error or {})["message"]
    again = await world.client.rerun(slow, set={"input.rest": "1m"})
    assert (await world.ends(again.id))[1] == ["late"]


async def test_signals_are_there_again_but_decisions_are_not(world: World) -> None:
    ask = {"type": "approval", "config": {"title": "May we?"}}
    document = {
        "nodes": {"paid": {"type": "signal"}, "ask": ask, "later": ask, "go": act("go"), "end": act("end")},
        "edges": edges("paid>go ask>go later>end"),
        "output": "${[nodes.paid.output.payload, nodes.ask.output.by, nodes.later.output.by]}",
    }
    run = await world.start(document)
    await world.client.signal(run, "paid", 5)
    await world.engine.settle()
    assert await world.told(run) == {
        "paid": "completed", "ask": "running", "later": "running", "go": "waiting", "end": "waiting",
    }  # fmt: skip
    for one in await world.client.approvals.list(run=run):
        await world.client.approvals.decide(one.id, True, actor="ann")
    assert await world.ends(run) == ([5, "ann", "ann"], ["end", "go"])
    again = await world.client.rerun(run, from_node=["paid", "later"])
    await world.engine.settle()
    (question,) = await world.client.approvals.list(run=again.id)
    assert question.node == "later"
    await world.client.approvals.decide(question.id, True, actor="bob")
    assert await world.ends(again.id) == ([5, "ann", "bob"], ["end"])
    cancelled = await world.client.fork(again.id, from_step="later")
    await world.engine.settle()
    await world.client.cancel(cancelled.id)
    assert await world.told(cancelled.id) == {
        "paid": "completed kept", "ask": "completed kept", "later": "cancelled", "go": "completed kept",
        "end": "skipped",
    }  # fmt: skip
    last = await world.client.rerun(cancelled.id)
    await world.engine.settle()
    (question,) = await world.client.approvals.list(run=last.id)
    await world.client.approvals.decide(question.id, True, actor="eve")
    assert await world.ends(last.id) == ([5, "ann", "eve"], ["end"])


async def test_another_version_may_be_followed_if_what_is_kept_is_the_same_in_it(world: World) -> None:
    world.broken = {"load"}
    run = await world.run(LINE, n=3)
    world.broken = set()
    nodes: dict[str, Any] = {**LINE["nodes"], "load": act("put", "${nodes.twice.output}"), "more": act("more")}  # type: ignore[dict-item]
    newer = {**LINE, "nodes": nodes, "edges": [*LINE["edges"], *edges("load>more")]}
    await world.publish(newer)
    same = await world.client.rerun(run)
    assert (await world.ends(same.id))[1] == ["load", "tell"]
    assert (await world.client.graph(same)).version == 1
    again = await world.client.rerun(run, version="newest")
    assert await world.ends(again.id) == ([[9, 9, 3], 3], ["more", "put", "tell"])
    other = {**newer, "nodes": {**nodes, "fetch": act("get", "${input.n}")}}
    del other["nodes"]["aside"]
    other["output"] = "${nodes.tell.output}"
    await world.publish(other)
    with pytest.raises(ArgumentError, match=r"version 3 of graph: aside \(gone\), fetch\n"):
        await world.client.rerun(run, version="newest")
    with pytest.raises(NotFound, match="has no version 9"):
        await world.client.rerun(run, version=9)
    whole = await world.client.rerun(run, version=2, whole=True)
    assert (await world.ends(whole.id))[1] == ["aside", "fetch", "more", "put", "tell"]


async def test_what_cannot_be_kept_is_refused_with_what_to_do(world: World) -> None:
    run = await world.run(LINE, n=3)
    with pytest.raises(NotFound, match="no node 'fetsh'") as caught:
        await world.client.fork(run, from_step="fetsh")
    assert caught.value.hint == "did you mean 'fetch'?"
    with pytest.raises(ArgumentError, match="or as a whole"):
        await world.client.rerun(run, from_node="fetch", whole=True)
    waiting = await world.start(LINE, n=3)
    with pytest.raises(ArgumentError, match="has not begun"):
        await world.client.rerun(waiting, from_node="fetch")
    await world.client.enqueue_many([Request(Spec("act"), b'{"name": "x"}')])
    with pytest.raises(ArgumentError, match="is no graph"):
        await world.client.rerun(waiting + 1, from_node="fetch")
    with pytest.raises(ArgumentError, match="is no run of a graph"):
        await world.client.graph(waiting + 1)
