"""Nodes that have something else done: workflow, loop, map; with real workers."""

from __future__ import annotations

from typing import Any

import pytest

from pgflow import App, Context
from pgflow.errors import TaskFailed
from tests.nodes.conftest import Make

DOUBLING = {
    "nodes": {"twice": {"type": "transform", "config": {"value": "${input.n * 2}"}}},
    "output": {"twice": "${nodes.twice.output}"},
}


def app() -> App:
    made = App()

    @made.task(name="add", retry=1)
    async def add(total: int, n: int) -> dict[str, Any]:
        return {"total": total + n, "done": total + n >= 10}

    @made.task(name="odd", retry=1)
    async def odd(item: int) -> int:
        if item % 2:
            raise ValueError(f"{item} is odd")
        return item

    @made.workflow(name="code")
    async def code(ctx: Context, n: int) -> int:
        await ctx.sleep("1d")
        return n + 1

    return made


@pytest.mark.parametrize(
    ("name", "given"),
    [("graph_of_its_own", {"twice": 14}), ("code", 8)],
)
async def test_a_workflow_of_code_or_a_graph_is_a_node(graphs: Make, name: str, given: Any) -> None:
    made = graphs(app())
    await made.publish(DOUBLING, "graph_of_its_own")
    node = {"type": "workflow", "config": {"workflow": name, "input": {"n": "${input.n}"}}}
    assert await made.one(node, n=7) == given
    (row,) = made.query("select root_id, step from pgflow.task where name = %s", name)
    assert row == (made.query("select root_id from pgflow.task where name = 'graph'")[0][0], "it")


async def test_a_child_that_fails_fails_the_node(graphs: Make) -> None:
    made = graphs(app())
    await made.publish({"nodes": {"bad": {"type": "task", "config": {"task": "odd", "input": {"item": 1}}}}}, "inner")
    with pytest.raises(TaskFailed, match="1 is odd"):
        await made.one({"type": "workflow", "config": {"workflow": "inner"}})


async def test_a_child_is_cancelled_with_its_run(graphs: Make) -> None:
    made = graphs(app())
    run = await made.start({"nodes": {"it": {"type": "workflow", "config": {"workflow": "code", "input": {"n": 1}}}}})
    await made.engine.settle()
    await made.engine.client.cancel(run)
    await made.engine.drive()
    assert made.query("select state::text from pgflow.outcome") == [("cancelled",), ("cancelled",)]


async def test_a_map_of_graphs(graphs: Make) -> None:
    made = graphs(app())
    await made.publish(DOUBLING, "doubling")
    node = {
        "type": "map",
        "config": {"over": "${input.of}", "workflow": "doubling", "input": {"n": "${item}"}, "concurrency": 3},
    }
    assert await made.one(node, of=list(range(10))) == [{"twice": 2 * n} for n in range(10)]


@pytest.mark.parametrize(("policy", "given"), [("keep", [0, None, 2, None]), ("drop", [0, 2])])
async def test_a_map_of_which_some_fail(graphs: Make, policy: str, given: Any) -> None:
    config = {"over": [0, 1, 2, 3], "task": "odd", "on_failure": policy}
    assert await graphs(app()).one({"type": "map", "config": config}) == given


async def test_a_map_that_reports_tells_of_each_what_became_of_it(graphs: Make) -> None:
    def odd(item: int) -> dict[str, Any]:
        return {"state": "failed", "output": None, "error": {"type": "ValueError", "message": f"{item} is odd"}}

    made = graphs(app())
    document = {
        "nodes": {
            "many": {"type": "map", "config": {"over": [0, 1, 2, 3], "task": "odd", "on_failure": "report"}},
            "told": {
                "type": "transform",
                "config": {"value": "${nodes.many.output.filter(r, r.state == 'failed').map(r, r.error.message)}"},
            },
        },
        "edges": [{"from": "many", "to": "told"}],
        "output": {"all": "${nodes.many.output}", "bad": "${nodes.told.output}"},
    }
    assert await made.run(document) == {
        "all": [
            {"state": "completed", "output": 0, "error": None},
            odd(1),
            {"state": "completed", "output": 2, "error": None},
            odd(3),
        ],
        "bad": ["1 is odd", "3 is odd"],
    }


async def test_a_map_says_how_many_failed(graphs: Make) -> None:
    with pytest.raises(TaskFailed, match=r"2 of 4 failed; the first is element 1.*1 is odd"):
        await graphs(app()).one({"type": "map", "config": {"over": [0, 1, 2, 3], "task": "odd"}})


def loop(**config: Any) -> dict[str, Any]:
    base = {
        "task": "add",
        "initial": {"total": 0},
        "input": {"total": "${last.output.total}", "n": "${index + input.more}"},
        "until": "${last.output.done}",
        "max_iterations": 20,
    }
    return {"type": "loop", "config": base | config}


async def test_a_loop_goes_on_until_something_holds(graphs: Make) -> None:
    made = graphs(app())
    assert await made.one(loop(), more=1) == {"output": {"total": 10, "done": True}, "iterations": 4, "done": True}
    assert [row[0] for row in made.query("select step from pgflow.task where name = 'add' order by id")] == [
        "it/0", "it/1", "it/2", "it/3",
    ]  # fmt: skip


async def test_a_loop_has_an_end(graphs: Make) -> None:
    made = graphs(app())
    with pytest.raises(TaskFailed, match="done 3 times"):
        await made.one(loop(max_iterations=3), more=1)
    assert (await made.one(loop(max_iterations=3, exhausted="go_on"), more=1))["done"] is False
    document = {
        "nodes": {
            "it": loop(max_iterations=3, exhausted="go_on"),
            "fine": {"type": "transform", "config": {"value": "fine"}},
            "more": {"type": "transform", "config": {"value": "more"}},
        },
        "edges": [
            {"from": "it", "to": "fine", "branch": "done"},
            {"from": "it", "to": "more", "branch": "exhausted"},
        ],
        "output": "${nodes.more.output}",
    }
    assert await made.run(document, more=1) == "more"


async def test_a_loop_rests_between_two_times(graphs: Make) -> None:
    made = graphs(app())
    before = await made.engine.now()
    assert (await made.one(loop(delay="1h"), more=1))["iterations"] == 4
    assert 3 * 3600 <= (await made.engine.now() - before).total_seconds() < 3 * 3600 + 60


async def test_a_loop_without_a_condition_is_done_so_often(graphs: Make) -> None:
    given = await graphs(app()).one(loop(until=None, max_iterations=2), more=5)
    assert given == {"output": {"total": 11, "done": True}, "iterations": 2, "done": True}


async def test_a_condition_that_is_none_fails_the_loop(graphs: Make) -> None:
    with pytest.raises(TaskFailed, match="neither true nor false"):
        await graphs(app()).one(loop(until="${last.output.total}"), more=1)


async def test_a_loop_survives_a_death_at_every_commit(graphs: Make) -> None:
    made = graphs(app())
    deaths = 0

    def watch(executor: Any, moment: str, entries: Any) -> None:
        nonlocal deaths
        if moment == "after" and deaths < 6 and not executor.dead:
            deaths += 1
            raise executor.die(entries, sent=True)

    made.engine.watch = watch
    assert (await made.one(loop(delay="1m"), more=1))["output"]["total"] == 10
    assert deaths == 6
    assert made.query("select count(*) from pgflow.task where name = 'add'") == [(4,)]
