"""What the engine itself asks for an attempt, when the connection is lost over it: no error of the attempt."""

from __future__ import annotations

from typing import Any

import pytest

from pgflow import App, Context
from pgflow.config import Settings
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.workers import executing
from tests.runtime.blocking import cut_during

app = App()


@app.task(name="bulky", retry=1)
async def bulky(text: str) -> int:
    return len(text)


@app.workflow(name="bulky_flow", retry=1)
async def bulky_flow(_: Context, text: str) -> int:
    return len(text)


@pytest.mark.parametrize("task", [bulky, bulky_flow], ids=["task", "workflow"])
async def test_an_input_that_cannot_be_fetched_is_waited_for_and_costs_no_attempt(
    database: Settings, task: Any
) -> None:
    async with AsyncClient(database, app.tasks) as client, executing(database, app.tasks) as executor:
        lost = cut_during(database, executor.settler.link, "run", "task/inputs", "task")
        handle = await client.enqueue(task, "x" * 500_000)
        await lost.wait()
        assert await client.result(handle, timeout=60) == 500_000
        assert (await client.show(handle.id))["attempt"] == 1
