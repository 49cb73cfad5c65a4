"""What the engine itself asks for a run of a graph, when the connection is lost over it: no error of the run."""

from __future__ import annotations

from typing import Any

import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.nodes.publishing import AsyncWorkflows
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.verbs import Handle
from tests.fixtures.database import Engine
from tests.fixtures.workers import executing, outcome
from tests.runtime.blocking import cut_during

app = App()
PLAIN: dict[str, Any] = {"name": "graph", "nodes": {"a": {"type": "noop"}}}
STOPS: dict[str, Any] = {
    "name": "graph",
    "on_failure": "stop",
    "nodes": {
        "bad": {"type": "task", "config": {"task": "fail"}},
        "rest": {"type": "task", "config": {"task": "fail"}, "queue": "nobody"},
    },
}


@app.task(name="fail", retry=1)
async def fail() -> None:
    raise ValueError("on purpose")


@pytest.mark.parametrize(
    ("name", "turn"),
    [("definition/latest", 1), ("definition/version", 1), ("definition/latest", 2)],
    ids=["which_workflow", "its_definition", "which_version"],
)
async def test_a_run_waits_for_what_it_is_to_follow(database: Settings, engine: Engine, name: str, turn: int) -> None:
    async with AsyncClient(database, app.tasks) as client, executing(database, app.tasks) as executor:
        await AsyncWorkflows(client).publish(PLAIN)
        lost = cut_during(database, executor._own.client, "_run", name, "definition", turn)
        (run,) = engine.run(enqueue([Request(Spec("graph"), b"{}")])).ids
        await lost.wait()
        await client.result(run, timeout=60)
        assert (await client.show(run))["attempt"] == 1


async def test_a_run_that_stops_waits_until_it_has_cancelled_the_rest(database: Settings, engine: Engine) -> None:
    async with AsyncClient(database, app.tasks) as client, executing(database, app.tasks) as executor:
        await AsyncWorkflows(client).publish(STOPS)
        lost = cut_during(database, executor._own.client, "_run", "run/below", "task")
        (run,) = engine.run(enqueue([Request(Spec("graph"), b"{}")])).ids
        await lost.wait()
        shown = await outcome(client, Handle(run))
    assert (shown["state"], shown["error"]["type"]) == ("failed", "NodeFailed")
    assert engine.query("select state::text from pgflow.task_state where queue = 'nobody'") == [("cancelled",)]
