"""Workers that run the workflows of tests/workflows/flows.py in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.runtime.executor import Executor
from pgflow.runtime.leader import Leader
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from tests.fixtures.workers import Workers
from tests.workflows import flows


@asynccontextmanager
async def working(
    settings: Settings, tasks: Mapping[str, Task[..., Any]], concurrency: int = 8, **weights: float
) -> AsyncIterator[Executor]:
    """A worker for these tasks and a leader, in this process, for the length of the block."""
    executor, leader = Executor(settings, tasks, weights, concurrency), Leader(settings)
    await executor.register()
    executor.start()
    leading = asyncio.create_task(leader.run())
    try:
        yield executor
    finally:
        leader.finish()
        await leading
        await executor.drain(2.0)


@pytest.fixture(params=["kept", "replayed"])
def flow_workers(database: Settings, request: pytest.FixtureRequest) -> Workers:
    """`async with flow_workers() as executor:` runs the workflows of tests/workflows/flows.py here, with a leader.

    Each test runs twice: with code that goes on where it stopped, and with code that is replayed each time.
    """
    flows.CALLS.clear()
    flows.TROUBLE.clear()

    @asynccontextmanager
    async def run(*, concurrency: int = 8, **weights: float) -> AsyncIterator[Executor]:
        async with working(database, flows.app.tasks, concurrency, **weights) as executor:
            if request.param == "replayed":
                executor.workflows.keep = 0
            yield executor

    return run


@pytest.fixture
async def flow_client(database: Settings) -> AsyncIterator[AsyncClient]:
    """An async client that knows the workflows of tests/workflows/flows.py."""
    async with AsyncClient(database, flows.app.tasks) as client:
        yield client
