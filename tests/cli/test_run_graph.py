"""`pgflow run` and runs of graphs: how far they are, again from what failed, and what differs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import invoke
from tests.graphs.test_forking import LINE, World, act, edges, world

__all__ = ["world"]


async def test_a_graph_is_started_as_its_definition_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", world.engine.settings.require_url())
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    await world.publish({**LINE, "input": schema, "priority": "high", "tags": {"a": "b"}})  # type: ignore[dict-item]
    name = "graph"
    refused = invoke("run", "start", name, '{"n": "three"}')
    assert refused.code == 2
    assert "n" in refused.err
    begun = invoke("run", "start", name, '{"n": 3}', "--tag", "c=d", "--json").json
    warning = begun["warning"] or ""
    assert "has code for" not in warning
    shown = invoke("run", "show", begun["id"], "--json").json
    assert (shown["priority"], shown["tags"]) == ("high", {"a": "b", "c": "d"})
    assert "has code for" not in invoke("schedule", "create", "s", name, "--every", "1h", "--input", '{"n": 3}').err


async def test_a_graph_is_shown_begun_again_and_compared(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", world.engine.settings.require_url())
    world.broken = {"load"}
    old = await world.run(LINE, n=3)
    said = invoke("run", "show", old).out
    assert "graph, version 1: 5 nodes, 3 completed, 1 failed, 1 skipped" in said
    (line,) = [line for line in said.splitlines() if line.startswith("load ")]
    assert line.split()[1:3] == ["task", "failed"]
    assert "ValueError: load is broken" in line
    assert "because of load" in said

    world.broken = set()
    again = int(invoke("run", "rerun", old).out)
    await world.engine.outcome(again)
    said = invoke("run", "show", again).out
    assert f"kept from {old}" in said
    nodes = json.loads(invoke("run", "show", again, "--json").out)["nodes"]
    assert (nodes["fetch"]["kept"], nodes["load"]["kept"], nodes["load"]["state"]) == (old, None, "completed")
    history = invoke("run", "history", again).out
    assert f"from {old}, nodes: 3 kept, 2 anew" in history
    assert f"fetch, kept from {old}" in history

    said = invoke("run", "diff", old, again).out.splitlines()
    assert said[0].startswith(f"- {old} graph version 1, failed in ")
    assert said[1].startswith(f"+ {again} graph version 1, completed in ")
    assert any(
        line.startswith("~ load: failed -> completed, error ValueError: load is broken -> none") for line in said
    )
    assert any(line.startswith("~ tell: skipped -> completed") for line in said)
    found: dict[str, Any] = json.loads(invoke("run", "diff", old, again, "--json").out)
    assert [part["name"] for part in found["parts"]] == ["load", "tell"]

    await world.publish({**LINE, "nodes": {**LINE["nodes"], "more": act("more")}, "edges": edges("fetch>load")})  # type: ignore[dict-item]
    answer = invoke("run", "rerun", again, "--from-node", "load", "--version", "newest")
    assert answer.code == 2
    assert "nodes that run" in answer.err
    whole = invoke("run", "rerun", again, "--whole", "--version", 2, "--set", "input.n=4", "--json").json
    await world.engine.outcome(whole["id"])
    said = invoke("run", "diff", again, whole["id"]).out.splitlines()
    assert "    + node more (task)" in said
    assert "input.n: 3 -> 4" in said
    assert "+ more: completed" in "\n".join(said)
    forked = invoke("run", "fork", old, "--from-step", "tell", "--version", "same")
    assert forked.code == 0
    for args in (["rerun", old, "--version", "x"], ["rerun", old, "--from-node", "fetsh"], ["diff", old]):
        answer = invoke("run", *args)
        assert answer.code in (2, 3)
    assert "did you mean 'fetch'?" in invoke("run", "rerun", old, "--from-node", "fetsh").err


async def test_what_is_of_a_graph_is_not_redriven(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGFLOW_DATABASE_URL", world.engine.settings.require_url())
    world.broken = {"load"}
    old = await world.run(LINE, n=3)
    ((child,),) = world.query("select id from pgflow.task where root_id = %s and step = 'load'", old)
    answer = invoke("task", "redrive", old)
    assert answer.code == 2
    assert f"{old} is a run of a graph, which cannot be redriven" in answer.err
    assert f"pgflow run rerun {old}" in answer.err
    assert f"{child} does a node of {old}" in invoke("task", "redrive", child).err
    assert await world.client.redrive_where() == []
    assert world.query("select count(*) from pgflow.outcome where state = 'failed'") == [(2,)]
