"""Where a node's task waits: where the node says, else where its code says, else where the graph says."""

from __future__ import annotations

from typing import Any

from pgflow import App
from tests.nodes.conftest import Make


def app() -> App:
    made = App()

    @made.task(name="plain")
    async def plain(item: int = 0) -> int:
        return item

    @made.task(name="heavy", queue="gpu")
    async def heavy(item: int = 0) -> int:
        return item

    @made.task(name="aside", queue="slow")
    async def aside() -> None: ...

    return made


def node(task: str, **more: Any) -> dict[str, Any]:
    return {"type": "task", "config": {"task": task}, **more}


async def test_a_task_waits_in_its_own_queue_unless_the_node_says_another(graphs: Make) -> None:
    made = graphs(app())
    nodes = {
        "a": node("plain"),
        "b": node("heavy"),
        "c": node("heavy", queue="slow"),
        "d": {"type": "map", "config": {"over": [1, 2], "task": "heavy"}},
        "e": {"type": "loop", "config": {"task": "heavy", "max_iterations": 1}},
        "f": node("plain", queue="gpu"),
    }
    await made.run({"nodes": nodes})
    found = made.query("select step, queue from pgflow.task where parent_id is not null order by step")
    assert found == [
        ("a", "default"), ("b", "gpu"), ("c", "slow"), ("d/0", "gpu"), ("d/1", "gpu"), ("e/0", "gpu"), ("f", "gpu"),
    ]  # fmt: skip


async def test_a_task_without_a_queue_of_its_own_waits_in_that_of_the_graph(graphs: Make) -> None:
    made = graphs(app())
    document = {"queue": "slow", "nodes": {"a": node("plain"), "b": node("heavy")}}
    run = await made.start(document)
    await made.engine.result(run)
    found = made.query("select step, queue from pgflow.task where parent_id is not null order by step")
    assert found == [("a", "slow"), ("b", "gpu")]
