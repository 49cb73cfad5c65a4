"""A workflow whose lease is gone writes nothing more; whoever has it now goes on from what is recorded."""

from __future__ import annotations

import asyncio

from pgflow import App, Context
from pgflow.config import Settings
from pgflow.engine import reaping
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually
from tests.workflows.conftest import working


async def test_the_steps_of_a_zombie_are_refused(database: Settings, engine: Engine) -> None:
    app, begun, gates = App(), [], [asyncio.Event(), asyncio.Event()]

    async def quick() -> str:
        begun.append("quick")
        return "quick"

    async def slow() -> str:
        number = begun.count("slow")
        begun.append("slow")
        await gates[number].wait()
        return f"slow {number}"

    @app.workflow(name="two_steps")
    async def two_steps(ctx: Context) -> str:
        return f"{await ctx.step(quick)}, {await ctx.step(slow)}"

    async with AsyncClient(database, app.tasks) as client, working(database, app.tasks) as zombie:
        run = await client.start(two_steps)
        await eventually(lambda: "slow" in begun)
        engine.run(reaping.reap([zombie.worker_id], max_crashes=3))  # as if its lease had run out
        await eventually(lambda: begun.count("slow") == 2)
        gates[0].set()
        await asyncio.sleep(0.1)
        assert engine.query("select count(*) from pgflow.event where key = 'slow'") == [(0,)]
        gates[1].set()
        assert await client.result(run, timeout=60) == "quick, slow 1"
    assert begun == ["quick", "slow", "slow"]
    assert engine.query("select count(*) from pgflow.outcome") == [(1,)]
