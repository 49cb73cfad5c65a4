"""Workers that run the workflows of tests/workflows/flows.py in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pgflow.config import Settings
from pgflow.runtime.executor import Executor
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.workers import Workers
from tests.workflows import flows


@pytest.fixture
def flow_workers(database: Settings) -> Workers:
    """`async with flow_workers() as executor:` runs the workflows of tests/workflows/flows.py in this process."""

    @asynccontextmanager
    async def run(*, concurrency: int = 8, **weights: float) -> AsyncIterator[Executor]:
        flows.CALLS.clear()
        executor = Executor(database, flows.app.tasks, weights, concurrency)
        await executor.register()
        executor.start()
        try:
            yield executor
        finally:
            await executor.drain(2.0)

    return run


@pytest.fixture
async def flow_client(database: Settings) -> AsyncIterator[AsyncClient]:
    """An async client that knows the workflows of tests/workflows/flows.py."""
    async with AsyncClient(database, flows.app.tasks) as client:
        yield client
