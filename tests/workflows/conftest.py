"""Workers that run the workflows of tests/workflows/flows.py in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.engine import timers, workers
from pgflow.runtime.executor import Executor
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from tests.fixtures.database import Engine
from tests.fixtures.workers import Workers, eventually, executing, leading
from tests.workflows import flows


@asynccontextmanager
async def working(
    settings: Settings, tasks: Mapping[str, Task[..., Any]], concurrency: int = 8, **weights: float
) -> AsyncIterator[Executor]:
    """A worker for these tasks and a leader, in this process, for the length of the block."""
    async with executing(settings, tasks, concurrency=concurrency, **weights) as executor, leading(settings):
        yield executor


async def only(worker: Executor, other: Executor, *queues: str) -> None:
    """Let this worker claim, but not of these queues, and the other one nothing."""
    worker.lanes.paused, other.lanes.paused = frozenset(queues), frozenset({"default", "far"})
    # This comes after a claim that is under way, and nobody wakes the other in vain from then on.
    await other.fetcher.link.run(workers.idle(other.lanes.queues, other.fetcher.channel, 0.0))
    worker.fetcher._stands_until = 0.0  # it may have been the other before
    worker.fetcher.wake()


async def fire(engine: Engine, worker: Executor) -> None:
    """Do a leader's duty where there is none: wait until something delayed is due, and have this worker go on with it.

    What sleeps is left alone until then, so that a test can see it sleep.
    """
    await eventually(lambda: engine.run(timers.fire(10)))
    worker.fetcher.wake()


@pytest.fixture(params=["kept", "replayed"])
def keeping(request: pytest.FixtureRequest) -> bool:
    """Each test runs twice: with code that goes on where it stopped, and with code that is replayed each time."""
    return bool(request.param == "kept")


@pytest.fixture
def flow_workers(database: Settings, keeping: bool) -> Workers:
    """`async with flow_workers() as executor:` runs the workflows of tests/workflows/flows.py here, with a leader."""
    return _flow_workers(working, database, keeping)


@pytest.fixture
def unled_flow_workers(database: Settings, keeping: bool) -> Workers:
    """The same without a leader: what sleeps goes on when `fire` is called."""
    return _flow_workers(executing, database, keeping)


def _flow_workers(
    begin: Callable[..., AbstractAsyncContextManager[Executor]], database: Settings, keeping: bool
) -> Workers:
    flows.CALLS.clear()
    flows.TROUBLE.clear()

    @asynccontextmanager
    async def run(*, concurrency: int = 8, **weights: float) -> AsyncIterator[Executor]:
        async with begin(database, flows.app.tasks, concurrency=concurrency, **weights) as executor:
            if not keeping:
                executor.workflows.keep = 0
            yield executor

    return run


@pytest.fixture
async def flow_client(database: Settings) -> AsyncIterator[AsyncClient]:
    """An async client that knows the workflows of tests/workflows/flows.py."""
    async with AsyncClient(database, flows.app.tasks) as client:
        yield client
