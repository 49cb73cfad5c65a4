"""Workers that run the workflows of tests/workflows/flows.py in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.runtime.executor import Executor
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from tests.fixtures.workers import Workers, executing, leading
from tests.workflows import flows


@asynccontextmanager
async def working(
    settings: Settings, tasks: Mapping[str, Task[..., Any]], concurrency: int = 8, **weights: float
) -> AsyncIterator[Executor]:
    """A worker for these tasks and a leader, in this process, for the length of the block."""
    async with executing(settings, tasks, concurrency=concurrency, **weights) as executor, leading(settings):
        yield executor


def only(worker: Executor, other: Executor, *queues: str) -> None:
    """Let this worker claim, but not of these queues, and the other one nothing."""
    worker.lanes.paused, other.lanes.paused = frozenset(queues), frozenset({"default", "far"})
    worker.fetcher.wake()


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
