"""`client.bulk` beside the database: looked at, started, followed, undone."""

from __future__ import annotations

import inspect
from datetime import datetime

import orjson
import pytest

from pgflow.config import Settings
from pgflow.engine import definitions
from pgflow.errors import ArgumentError, NotFound, PgflowError
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.registry.bulks import AsyncBulks, Bulks
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing, leading

GRAPH = {"name": "rest", "nodes": {"rest": {"type": "delay", "config": {"time": "1h"}}}}


def test_both_colours_have_the_same_verbs_and_signatures() -> None:
    for name, method in vars(Bulks).items():
        if not name.startswith("_"):
            assert inspect.signature(method) == inspect.signature(getattr(AsyncBulks, name)), name
            assert getattr(AsyncBulks, name).__doc__ == method.__doc__


async def test_an_undo_says_what_it_could_not_bring_back(
    client: AsyncClient, database: Settings, engine: Engine
) -> None:
    engine.run(definitions.publish("rest", b"x", orjson.dumps(GRAPH)))
    plain = engine.enqueue(2, name="orders.ship", queue="nobody")
    (graph,) = engine.enqueue(name="rest", queue="graphs")
    async with leading(database), executing(database, {}, graphs=1):
        await eventually(lambda: engine.state(graph) not in {"queued", "running"})
        seen = await client.bulk.preview("cancel", ids=[*plain, graph])
        assert (seen.count, [one.id for one in seen.sample]) == (3, [*plain, graph])
        assert "runs of graphs that have begun, which stay cancelled" in (seen.undo or "")
        run = await client.bulk.start(seen)
        await eventually(lambda: engine.state(run.id) == "completed")
        back = await client.bulk.undo(run)
        await eventually(lambda: engine.state(back.id) == "completed")
    shown = await client.bulk.get(back)
    assert (shown["action"], shown["of"], shown["changed"], shown["failed"]) == ("undo", run.id, 2, 1)
    assert shown["errors"] == [f"{graph}: a run of a graph stays cancelled; re-run it"]
    assert [engine.state(id) for id in (*plain, graph)] == ["queued", "queued", "cancelled"]
    assert [one["id"] for one in await client.bulk.list()] == [run.id]


def test_what_makes_no_sense_is_refused_before_anything_is_started(sync_client: Client, engine: Engine) -> None:
    engine.enqueue(2, name="orders.ship")
    with pytest.raises(ArgumentError, match="no action 'explode'"):
        sync_client.bulk.preview("explode")
    with pytest.raises(ArgumentError, match="failed cannot be changed by cancel"):
        sync_client.bulk.preview("cancel", states=["failed"])
    with pytest.raises(ArgumentError, match="no time zone"):
        sync_client.bulk.preview("cancel", since=datetime(2026, 1, 1))  # noqa: DTZ001 (that is the point)
    rerun = sync_client.bulk.preview("rerun", states=["failed"])
    assert (rerun.count, rerun.undo) == (0, None)
    seen = sync_client.bulk.preview("pause", workflow="orders.ship")
    with pytest.raises(ArgumentError, match="rate"):
        sync_client.bulk.start(seen, rate=0)
    engine.enqueue(50, name="orders.ship")
    run = sync_client.bulk.start(seen)
    assert sync_client.bulk.start(seen).id == run.id
    with pytest.raises(PgflowError, match="goes on"):
        sync_client.bulk.undo(run)
    assert sync_client.bulk.cancel(run)["state"] == "cancelled"
    with pytest.raises(NotFound, match="no bulk 1"):
        sync_client.bulk.get(1)
