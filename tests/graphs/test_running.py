"""Graphs run: arrows, rules, branches, skips and failures, on the real engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import psycopg

from pgflow import App
from pgflow.config import Settings
from pgflow.engine.workflows import Definition as Stored
from pgflow.engine.workflows import define
from pgflow.graph import Definition
from pgflow.testing.engine import LocalEngine
from pgflow.testing.plugin import Engines


def app_of_sums() -> App:
    app = App()

    @app.task(name="double")
    async def double(n: int) -> int:
        return 2 * n

    @app.task(name="fail", retry=1)
    async def fail(why: str = "") -> None:
        raise ValueError(why or "on purpose")

    return app


async def run(engine: LocalEngine, document: Mapping[str, Any], **input: Any) -> Any:
    definition = Definition.model_validate({"name": "graph", **document})
    stored = orjson.dumps(definition.model_dump(mode="json", by_alias=True))
    await engine.call(define([Stored("graph", "graph", stored[:32], stored)]))
    from pgflow.engine.enqueue import Request, Spec, enqueue

    done = await engine.call(enqueue([Request(Spec("graph"), orjson.dumps(input))]))
    return await engine.result(done.ids[0])


def told(settings: Settings) -> list[tuple[str, str]]:
    with psycopg.connect(settings.require_url(), autocommit=True) as connection:
        return connection.execute(
            "select type::text, key from pgflow.event where type::text like 'node.%' order by id"
        ).fetchall()


async def test_a_line_of_nodes(pgflow_engine: Engines, pgflow_database: Settings) -> None:
    engine = pgflow_engine(app_of_sums())
    document = {
        "nodes": {
            "twice": {"type": "task", "config": {"task": "double", "input": {"n": "${input.n}"}}},
            "more": {"type": "transform", "config": {"value": {"sum": "${nodes.twice.output + 1}"}}},
            "rest": {"type": "delay", "config": {"time": "1d"}},
            "again": {"type": "task", "config": {"task": "double", "input": {"n": "${nodes.more.output.sum}"}}},
        },
        "edges": [{"from": "twice", "to": "more"}, {"from": "more", "to": "rest"}, {"from": "rest", "to": "again"}],
        "output": {"got": "${nodes.again.output}"},
    }
    assert await run(engine, document, n=4) == {"got": 18}
    assert told(pgflow_database) == [
        (f"node.{what}", name) for name in ("twice", "more", "rest", "again") for what in ("started", "completed")
    ]


async def test_a_branch_is_taken_and_the_other_skipped(pgflow_engine: Engines, pgflow_database: Settings) -> None:
    engine = pgflow_engine(app_of_sums())
    document = {
        "nodes": {
            "big": {"type": "condition", "config": {"when": "${input.n > 10}"}},
            "large": {"type": "transform", "config": {"value": "large"}},
            "small": {"type": "transform", "config": {"value": "small"}},
            "after_small": {"type": "noop"},
            "join": {"type": "transform", "trigger_rule": "one_success", "config": {"value": "${nodes.large.state}"}},
        },
        "edges": [
            {"from": "big", "to": "large", "branch": "true"},
            {"from": "big", "to": "small", "branch": "false"},
            {"from": "small", "to": "after_small"},
            {"from": "large", "to": "join"},
            {"from": "small", "to": "join"},
        ],
        "output": "${nodes.join.output}",
    }
    assert await run(engine, document, n=11) == "completed"
    assert {key for type, key in told(pgflow_database) if type == "node.skipped"} == {"small", "after_small"}


async def test_a_failure_takes_its_edge_and_the_run_completes(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app_of_sums())
    document = {
        "nodes": {
            "bad": {"type": "task", "config": {"task": "fail"}},
            "never": {"type": "noop"},
            "mend": {"type": "transform", "config": {"value": "mended: ${nodes.bad.error.message}"}},
        },
        "edges": [{"from": "bad", "to": "never"}, {"from": "bad", "to": "mend", "on_state": "failed"}],
        "output": "${nodes.mend.output}",
    }
    assert await run(engine, document) == "mended: on purpose"


async def test_a_map_over_a_thousand(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app_of_sums(), concurrency=100)
    document = {
        "nodes": {
            "each": {
                "type": "map",
                "config": {"over": "${input.of}", "task": "double", "input": {"n": "${item}"}, "concurrency": 100},
            }
        },
        "output": "${nodes.each.output}",
    }
    assert await run(engine, document, of=list(range(1000))) == [2 * n for n in range(1000)]
