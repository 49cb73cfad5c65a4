"""Graphs on the real engine, with whatever the operator allows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Any, Protocol

import orjson
import psycopg
import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.engine.workflows import Definition as Stored
from pgflow.engine.workflows import define
from pgflow.graph import Definition
from pgflow.testing.engine import LocalEngine


class Graphs:
    """An engine, and graphs to run on it."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    async def publish(self, document: Mapping[str, Any], name: str = "graph") -> None:
        definition = Definition.model_validate({"name": name, **document})
        stored = orjson.dumps(definition.model_dump(mode="json", by_alias=True))
        await self.engine.call(define([Stored(name, "graph", sha256(stored).digest(), stored)]))

    async def start(self, document: Mapping[str, Any], /, **input: Any) -> int:
        await self.publish(document)
        done = await self.engine.call(enqueue([Request(Spec("graph"), orjson.dumps(input))]))
        return done.ids[0]

    async def run(self, document: Mapping[str, Any], /, **input: Any) -> Any:
        return await self.engine.result(await self.start(document, **input))

    async def one(self, node: Mapping[str, Any], /, **input: Any) -> Any:
        """A graph of one node, which gives what the node gives."""
        return await self.run({"nodes": {"it": node}, "output": "${nodes.it.output}"}, **input)

    def kill(self) -> None:
        """Let the worker die while the engine is driven; another goes on."""
        assert self.engine._executor is not None
        self.engine._executor.die(sent=False)

    def query(self, text: str, *params: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.engine.settings.require_url(), autocommit=True) as connection:
            return connection.execute(text, params).fetchall()  # type: ignore[arg-type]

    def stored(self) -> str:
        """Everything the database holds about runs, as text."""
        found = [
            self.query(f"select t::text from pgflow.{table} t") for table in ("task", "event", "outcome", "progress")
        ]
        return "\n".join(row[0] for rows in found for row in rows)


class Make(Protocol):
    def __call__(self, app: App | None = None, /, **settings: Any) -> Graphs: ...


@pytest.fixture
async def graphs(pgflow_database: Settings) -> AsyncIterator[Make]:
    """`graphs(app, outbound_allow=["127.0.0.1"])`: an engine under these settings."""
    made: list[LocalEngine] = []

    def make(app: App | None = None, /, **settings: Any) -> Graphs:
        allowed = {"outbound_allow": ["127.0.0.1"], **settings}
        engine = LocalEngine(app or App(), pgflow_database.model_copy(update=allowed))
        made.append(engine)
        return Graphs(engine)

    yield make
    for engine in made:
        await engine.close()
