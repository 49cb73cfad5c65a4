"""Code that was changed under a run: what no longer fits parks it, before anything is done that is not recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from pgflow import App, Context
from pgflow.config import Settings
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually
from tests.workflows.conftest import working

CALLS: list[str] = []


class Receipt(BaseModel):
    paid: int


async def charge(amount: int) -> int:
    CALLS.append(f"charge {amount}")
    return amount


async def charge_card(amount: int) -> int:
    CALLS.append(f"charge_card {amount}")
    return amount


async def ship(amount: int) -> str:
    CALLS.append(f"ship {amount}")
    return f"shipped {amount}"


async def check_fraud() -> bool:
    CALLS.append("check_fraud")
    return False


async def first(ctx: Context, amount: int) -> str:
    paid = await ctx.step(charge, amount)
    await ctx.signal("go")
    return await ctx.step(ship, paid)


async def renamed(ctx: Context, amount: int) -> str:
    paid = await ctx.step(charge_card, amount)
    await ctx.signal("go")
    return await ctx.step(ship, paid)


async def put_in(ctx: Context, amount: int) -> str:
    if await ctx.step(check_fraud):
        return "fraud"
    paid = await ctx.step(charge, amount)
    await ctx.signal("go")
    return await ctx.step(ship, paid)


async def other_input(ctx: Context, amount: int, currency: str) -> str:
    return await first(ctx, amount)


async def other_result(ctx: Context, amount: int) -> str:
    async def charge(amount: int) -> Receipt:
        return Receipt(paid=amount)

    await ctx.step(charge, amount)
    await ctx.signal("go")
    return "done"


def app_with(code: Callable[..., Any]) -> App:
    app = App()
    app.workflow(name="order")(code)
    return app


async def changed(database: Settings, engine: Engine, client: AsyncClient, code: Callable[..., Any]) -> int:
    """A run that waits for a signal under the first code, gets it under the other, and has stopped or ended."""
    CALLS.clear()
    app = app_with(first)
    async with working(database, app.tasks):
        run = await client.start(app.tasks["order"], 5)
        await eventually(lambda: engine.query("select 1 from pgflow.inbox where needed > arrived"))
    async with working(database, app_with(code).tasks):
        await client.signal(run, "go")
        await eventually(lambda: engine.state(run.id) in {"needs_attention", "completed", "failed"})
    return run.id


@pytest.fixture
async def client(database: Settings) -> Any:
    async with AsyncClient(database) as client:
        yield client


async def test_a_renamed_step_is_found_out_before_it_is_done_and_the_old_code_can_go_on(
    database: Settings, engine: Engine, client: AsyncClient
) -> None:
    run = await changed(database, engine, client, renamed)
    assert engine.state(run) == "needs_attention"
    assert CALLS == ["charge 5"]
    ((detail,),) = engine.query("select detail from pgflow.parked")
    assert detail["type"] == "HistoryMismatch"
    assert {"- charge", "+ charge_card"} <= set(detail["diff"])
    assert "test_code_changes.py:" in detail["message"]
    await client.resume(run)
    async with working(database, app_with(first).tasks):
        assert await client.result(run, timeout=60) == "shipped 5"
    assert CALLS == ["charge 5", "ship 5"]


async def test_a_step_that_was_put_in_is_done_and_the_recorded_ones_are_kept(
    database: Settings, engine: Engine, client: AsyncClient
) -> None:
    run = await changed(database, engine, client, put_in)
    assert engine.state(run) == "completed"
    assert CALLS == ["charge 5", "check_fraud", "ship 5"]


@pytest.mark.parametrize("code", [other_input, other_result])
async def test_what_no_longer_fits_its_annotation_parks_the_run(
    database: Settings, engine: Engine, client: AsyncClient, code: Callable[..., Any]
) -> None:
    run = await changed(database, engine, client, code)
    assert engine.state(run) == "needs_attention"
    ((detail,),) = engine.query("select detail from pgflow.parked")
    assert detail["type"] == "HistoryMismatch"
    await client.resume(run)
    async with working(database, app_with(first).tasks):
        assert await client.result(run, timeout=60) == "shipped 5"


async def test_a_signal_may_have_a_slash_in_its_name(database: Settings, engine: Engine, client: AsyncClient) -> None:
    async def hearing(ctx: Context, amount: int) -> str:
        heard = await ctx.signal("orders/42")
        await ctx.sleep(0.05)
        return str(heard)

    app = app_with(hearing)
    async with working(database, app.tasks) as worker:
        worker.workflows.keep = 0
        run = await client.start(app.tasks["order"], 1)
        await client.signal(run, "orders/42", "yes")
        assert await client.result(run, timeout=60) == "yes"
