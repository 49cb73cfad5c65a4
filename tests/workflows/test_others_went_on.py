"""Kept code notices what another worker did meanwhile that is no fact: a child spawned, a try made."""

from __future__ import annotations

from pgflow import App, Context, RetryPolicy, step
from pgflow.config import Settings
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing
from tests.workflows.conftest import fire, only


async def test_a_child_that_another_worker_spawned_is_noticed(database: Settings, engine: Engine) -> None:
    app = App()

    @app.task(name="far", queue="far")
    async def far() -> str:
        return "done"

    @app.workflow(name="rested")
    async def rested(ctx: Context) -> str:
        await ctx.sleep("200ms")
        return await ctx.run(far)

    async with (
        AsyncClient(database, app.tasks) as client,
        executing(database, app.tasks) as one,
        executing(database, app.tasks) as other,
    ):
        await only(one, other)
        run = await client.start(rested)
        await eventually(lambda: engine.query("select 1 from pgflow.delayed"))
        await only(other, one, "far")  # spawns the child, and waits for it
        await fire(engine, other)
        await eventually(lambda: engine.query("select 1 from pgflow.inbox where needed > arrived"))
        await only(one, other)  # runs the child, and then the workflow that it has kept where it slept
        assert await client.result(run, timeout=60) == "done"


async def test_a_try_that_another_worker_made_is_noticed(database: Settings, engine: Engine) -> None:
    app = App()

    async def unlucky() -> None:
        raise ConnectionError("again")

    @app.workflow(name="tried")
    async def tried(ctx: Context) -> None:
        await ctx.step(step(unlucky, retry=RetryPolicy(3, backoff="fixed", base=0.2, jitter=False)))

    def tries() -> list[int]:
        return [
            n
            for (n,) in engine.query(
                "select attempt::int from pgflow.event where type in ('step.retried', 'step.failed')"
            )
        ]

    async with (
        AsyncClient(database, app.tasks) as client,
        executing(database, app.tasks) as one,
        executing(database, app.tasks) as other,
    ):
        await only(one, other)
        run = await client.start(tried)
        await eventually(lambda: len(tries()) == 1)
        await eventually(lambda: engine.query("select 1 from pgflow.delayed"))
        await only(other, one)
        await fire(engine, other)
        await eventually(lambda: len(tries()) == 2)
        await eventually(lambda: engine.query("select 1 from pgflow.delayed"))
        await only(one, other)
        await fire(engine, one)
        await eventually(lambda: engine.state(run.id) == "failed")
        assert sorted(tries()) == [1, 2, 3]
