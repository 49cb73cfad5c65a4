"""That a workflow has ended is recorded in the commit that ends its lease, and so once, whoever dies when."""

from __future__ import annotations

import asyncio

import pytest

from pgflow import App, Context
from pgflow.config import Settings
from pgflow.errors import TaskFailed
from pgflow.runtime.batch import Batch
from pgflow.sdk.async_client import AsyncClient
from pgflow.testing.plugin import Engines
from tests.fixtures.database import Engine
from tests.workflows.conftest import working

FINISHED = "select data ->> 'state' from pgflow.event where type = 'workflow.finished'"


async def test_the_end_is_recorded_with_the_lease(database: Settings) -> None:
    app = App()

    @app.workflow(name="short")
    async def short(_: Context) -> None: ...

    async with AsyncClient(database, app.tasks) as client, working(database, app.tasks) as executor:
        together: list[bool] = []

        def look(items: object) -> None:
            calls = {call.name for call in Batch(items, 0).calls}  # type: ignore[arg-type]
            if "task/settle" in calls:
                together.append("task/record" in calls)

        executor.settler.before_commit = look
        await client.result(await client.start(short), timeout=60)
        assert together == [True]


async def test_a_workflow_that_took_too_long_has_finished_once(database: Settings, engine: Engine) -> None:
    app = App()

    @app.workflow(name="long", timeout=0.05, retry=1)
    async def long(_: Context) -> None:
        await asyncio.sleep(10)

    async with AsyncClient(database, app.tasks) as client, working(database, app.tasks):
        with pytest.raises(TaskFailed, match="took longer"):
            await client.result(await client.start(long), timeout=60)
    assert engine.query(FINISHED) == [("failed",)]


async def test_a_workflow_that_was_to_start_later_runs_and_may_wait(pgflow_engine: Engines) -> None:
    app = App()

    @app.workflow(name="later")
    async def later(ctx: Context) -> str:
        await ctx.sleep("1h")
        return "done"

    engine = pgflow_engine(app)
    run = await engine.start(later.options(delay="2h"))
    assert await engine.result(run) == "done"
