"""Runs that stop: what they cancel, what they leave alone, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import psycopg

from pgflow import App, Context
from pgflow.config import Settings
from pgflow.engine import workflows
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.graph import Definition
from pgflow.model import Outcome
from pgflow.testing.engine import LocalEngine
from pgflow.testing.plugin import Engines

FAILS: dict[str, Any] = {"type": "task", "config": {"task": "fail"}}


def app_of_failures(undone: list[str]) -> App:
    app = App()

    @app.task(name="fail", retry=1)
    async def fail() -> None:
        raise ValueError("on purpose")

    @app.task(name="nothing")
    async def nothing(n: int = 0) -> int:
        return n

    async def undo() -> None:
        undone.append("undone")

    @app.workflow(name="guarded")
    async def guarded(ctx: Context) -> None:
        ctx.on_cancel(undo)
        await ctx.sleep("30d")

    return app


async def outcome(engine: LocalEngine, *documents: Mapping[str, Any]) -> Outcome:
    """Publish these, and run the last."""
    for document in documents:
        text = orjson.dumps(Definition.model_validate(document).model_dump(mode="json", by_alias=True))
        name = document["name"]
        await engine.call(workflows.define([workflows.Definition(name, "graph", name.encode().ljust(32), text)]))
    run = (await engine.call(enqueue([Request(Spec(documents[-1]["name"]), b"{}")]))).ids[0]
    return await engine.outcome(run)


def edge(source: str, target: str, **more: str) -> dict[str, str]:
    return {"from": source, "to": target, **more}


async def test_a_graph_that_stops_within_another_leaves_the_other_alone(pgflow_engine: Engines) -> None:
    inner = {
        "name": "inner",
        "on_failure": "stop",
        "nodes": {
            "bad": FAILS,
            "rest": {"type": "delay", "config": {"time": "1d"}},
            "go": {"type": "task", "config": {"task": "guarded"}},
        },
    }
    outer = {
        "name": "outer",
        "nodes": {
            "sub": {"type": "workflow", "config": {"workflow": "inner"}},
            "long": {"type": "task", "config": {"task": "nothing", "input": {"n": 2}}},
            "each": {"type": "map", "config": {"over": [1, 2, 3], "task": "nothing", "input": {"n": "${item}"}}},
            "mend": {"type": "noop"},
        },
        "edges": [edge("sub", "mend", on_state="failed")],
        "output": ["${nodes.mend.state}", "${nodes.long.output}", "${nodes.each.output}"],
    }
    found = await outcome(pgflow_engine(app_of_failures([])), inner, outer)
    assert (found.state, found.output) == ("completed", ["completed", 2, [1, 2, 3]])


async def test_a_workflow_with_something_to_undo_undoes_it_when_its_graph_stops(pgflow_engine: Engines) -> None:
    undone: list[str] = []
    engine = pgflow_engine(app_of_failures(undone))
    document = {
        "name": "graph",
        "on_failure": "stop",
        "nodes": {
            "go": {"type": "task", "config": {"task": "guarded"}},
            "rest": {"type": "delay", "config": {"time": "1h"}},
            "bad": FAILS,
        },
        "edges": [edge("rest", "bad")],
    }
    assert (await outcome(engine, document)).state == "failed"
    await engine.drive()
    assert undone == ["undone"]


async def test_a_map_starts_nothing_more_when_its_graph_has_stopped(
    pgflow_engine: Engines, pgflow_database: Settings
) -> None:
    document = {
        "name": "graph",
        "on_failure": "stop",
        "nodes": {
            "each": {"type": "map", "config": {"over": [1, 2, 3], "task": "guarded", "input": {}, "concurrency": 1}},
            "rest": {"type": "delay", "config": {"time": "1h"}},
            "bad": FAILS,
        },
        "edges": [edge("rest", "bad")],
    }
    assert (await outcome(pgflow_engine(app_of_failures([])), document)).state == "failed"
    with psycopg.connect(pgflow_database.require_url(), autocommit=True) as connection:
        assert connection.execute(
            "select array_agg(step order by id) from pgflow.task where step <> 'bad'"
        ).fetchone() == (["each/0"],)


async def test_a_run_that_is_over_its_time_says_so_and_does_not_go_round(
    pgflow_engine: Engines, pgflow_database: Settings
) -> None:
    document = {
        "name": "graph",
        "timeout": "1h",
        "nodes": {
            "go": {"type": "task", "config": {"task": "guarded"}},
            "bad": FAILS,
            "rest": {"type": "delay", "config": {"time": "1d"}},
        },
    }
    found = await outcome(pgflow_engine(app_of_failures([])), document)
    assert found.state == "failed"
    assert found.error is not None
    assert "took longer than 3600 s" in found.error["message"]
    with psycopg.connect(pgflow_database.require_url(), autocommit=True) as connection:
        row = connection.execute(
            "select count(*) from pgflow.event where type = 'task.started' and task_id = root_id"
        ).fetchone()
    assert row is not None
    assert row[0] <= 5


async def test_what_waits_for_its_turn_when_its_graph_stops_never_begins(
    pgflow_engine: Engines, pgflow_database: Settings
) -> None:
    document = {
        "name": "graph",
        "on_failure": "stop",
        "concurrency": 1,
        "nodes": {"bad": FAILS, "next": {"type": "noop"}, "last": {"type": "task", "config": {"task": "nothing"}}},
    }
    assert (await outcome(pgflow_engine(app_of_failures([])), document)).state == "failed"
    with psycopg.connect(pgflow_database.require_url(), autocommit=True) as connection:
        rows = connection.execute(
            "select key, array_agg(type::text order by id) from pgflow.event"
            " where type::text like 'node.%' group by key"
        ).fetchall()
    assert dict(rows) == {
        "bad": ["node.started", "node.failed"], "next": ["node.skipped"], "last": ["node.skipped"],
    }  # fmt: skip
