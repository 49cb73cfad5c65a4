"""When a next attempt is made, whatever a handler asks for."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta

from pgflow import App, Context, RetryLater, RetryPolicy, step
from pgflow.config import Settings
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.workers import executing

ASKED = (1e12, 1e300, math.inf, math.nan)
DAY = RetryPolicy(3, backoff="fixed", base="1d", cap="1d", jitter=False)


async def work(number: int) -> None:
    raise RetryLater("not now", after=ASKED[number])


app = App()
later = app.task(name="later", retry=DAY)(work)


@app.workflow(name="flow")
async def flow(ctx: Context, number: int) -> None:
    await ctx.step(step(work, retry=DAY), number)


async def test_what_asks_to_be_tried_again_at_no_time_can_still_be_listed(database: Settings) -> None:
    began = datetime.now(UTC)
    async with AsyncClient(database) as client, executing(database, app.tasks):
        asked = [(await client.enqueue(task, number)).id for task in (later, flow) for number in range(len(ASKED))]
        async with asyncio.timeout(60):
            while len(found := [row for row in await client.tasks() if row["due_at"]]) < len(asked):
                await asyncio.sleep(0.005)
    due = {row["id"]: row["due_at"] - began for row in found}
    assert sorted(due) == asked
    for number, run in enumerate(asked):
        if math.isnan(ASKED[number % len(ASKED)]):
            assert timedelta(hours=23) < due[run] < timedelta(days=3), "as the policy says"
        else:
            assert timedelta(days=36_000) < due[run] < timedelta(days=37_000)
