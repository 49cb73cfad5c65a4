"""The examples, importable as their workers import them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from pgflow.config import Settings
from pgflow.runtime.supervisor import Plan, Supervisor
from pgflow.sdk import loading
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def tasks() -> dict[str, Task[..., Any]]:
    """Every task of the examples, by name."""
    return loading.load([str(EXAMPLES)])


@pytest.fixture
def database_url(database: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated database, in the environment of this process and of those it starts."""
    url = database.require_url()
    monkeypatch.setenv("PGFLOW_DATABASE_URL", url)
    return url


@pytest.fixture
async def client(database: Settings, tasks: dict[str, Task[..., Any]]) -> AsyncIterator[AsyncClient]:
    """A client that knows the examples' tasks."""
    async with AsyncClient(database, tasks) as client:
        yield client


class Workers(Protocol):
    def __call__(self, folder: str, processes: int = 1) -> AbstractAsyncContextManager[Supervisor]: ...


@pytest.fixture
def workers(database: Settings, database_url: str) -> Workers:
    """`async with workers("census"):` runs real executors for the tasks of that example."""

    @asynccontextmanager
    async def run(folder: str, processes: int = 1) -> AsyncIterator[Supervisor]:
        plan = Plan((str(EXAMPLES / folder),), processes=processes, concurrency=8)
        supervisor = Supervisor(database.model_copy(update={"drain": 2.0}), plan)
        running = asyncio.create_task(supervisor.run())
        try:
            yield supervisor
        finally:
            supervisor.stop()
            await running

    return run
