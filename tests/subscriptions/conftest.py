"""Workers that may call this host, and that do not wait long before they try again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.runtime.executor import Executor
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from pgflow.tasks import deliver
from tests.fixtures.workers import Workers, executing, leading
from tests.subscriptions import apps

PAUSES = (0.05,) * 7


@pytest.fixture
def local(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings, with calls to this host allowed and quick retries."""
    monkeypatch.setattr(deliver, "DELAYS", PAUSES)
    monkeypatch.setenv("PGFLOW_SECRET_HOOK_KEY", "whsec_" + "a" * 32)
    monkeypatch.setenv("PGFLOW_SECRET_OLD_KEY", "whsec_" + "b" * 32)
    return database.model_copy(update={"outbound_allow": ["127.0.0.0/8"], "public_url": "https://flows.example/"})


@pytest.fixture
def flow_workers(local: Settings) -> Workers:
    """`async with flow_workers():` runs the tasks of tests/subscriptions/apps.py here, with a leader."""

    @asynccontextmanager
    async def run(
        *, concurrency: int = 8, settings: Settings = local, tasks: Mapping[str, Task[..., Any]] = apps.app.tasks,
        **weights: float,
    ) -> AsyncIterator[Executor]:  # fmt: skip
        async with executing(settings, tasks, concurrency=concurrency, **weights) as executor, leading(settings):
            yield executor

    return run


@pytest.fixture
async def client(local: Settings) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(local, apps.app.tasks, actor="tester") as client:
        yield client
