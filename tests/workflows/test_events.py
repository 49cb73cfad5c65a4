"""Workflows wait for application events: emitted before, meanwhile or after; each taken once, the oldest first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from pgflow import App, Context, SyncContext
from pgflow.config import Settings
from pgflow.runtime.executor import Executor
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.checking import Checker, Finding, Verdict
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually
from tests.workflows.conftest import working

app = App()


class Paid(BaseModel):
    amount: int


async def note(what: str) -> str:
    return what


@app.workflow(name="events.order")
async def order(ctx: Context, id: str, timeout: float | None = None) -> int | None:
    paid = await ctx.event("order/paid", Paid, key=id, timeout=timeout or "1h")
    return None if paid is None else paid.amount


@app.workflow(name="events.plain_order")
def plain_order(ctx: SyncContext, id: str) -> int:
    return ctx.event("order/paid", Paid, key=id).amount


@app.workflow(name="events.several")
async def several(ctx: Context, count: int, key: str | None = None) -> list[int]:
    return [await ctx.event("tick", key=key) for _ in range(count)]


@app.workflow(name="events.plain_several")
def plain_several(ctx: SyncContext, count: int) -> list[int]:
    return [ctx.event("tick") for _ in range(count)]


@app.workflow(name="events.beside")
async def beside(ctx: Context, count: int, concurrency: int | None = None) -> list[int]:
    return await ctx.gather(*[ctx.event("tick") for _ in range(count)], concurrency=concurrency)


@app.workflow(name="events.beside_plainly")
def beside_plainly(ctx: SyncContext, count: int) -> list[int]:
    return ctx.gather(*[ctx.op.event("tick") for _ in range(count)])


@app.workflow(name="events.large")
async def large(ctx: Context, least: int, timeout: float | None = None) -> int | None:
    values = {"least": least}
    paid = await ctx.event(
        "order/paid", Paid, match="event.payload.amount >= least", values=values, timeout=timeout or "1h"
    )
    return None if paid is None else paid.amount


@app.workflow(name="events.later")
async def later(ctx: Context) -> Any:
    await ctx.signal("go on")
    return await ctx.event("tick", since=ctx.now())


@app.workflow(name="events.counting")
async def counting(ctx: Context, had: list[int], until: int) -> list[int]:
    had = [*had, await ctx.event("tick")]
    if len(had) < until:
        ctx.continue_as_new(had, until)
    return had


@app.workflow(name="events.parent")
async def parent(ctx: Context) -> list[int]:
    return [await ctx.event("tick"), await ctx.run(child), await ctx.run(child)]


@app.workflow(name="events.child")
async def child(ctx: Context) -> int:
    ticked: int = await ctx.event("tick")
    return ticked


@dataclass
class Stage:
    """A worker, a client and a look into the database."""

    worker: Executor
    client: AsyncClient
    engine: Engine

    async def waits(self, count: int = 1) -> None:
        """Until so many waits are known, and whoever waits has suspended."""
        await eventually(lambda: self.engine.query("select count(*) from pgflow.awaited") == [(count,)])
        await eventually(lambda: not self.engine.query("select from pgflow.lease"))

    async def result(self, run: Any) -> Any:
        return await self.client.result(run, timeout=60)

    async def emit(self, name: str, payload: Any = None, **rest: Any) -> Any:
        """Emit, and wait until it is told."""
        return await self.result(await self.client.emit(name, payload, **rest))


@pytest.fixture(params=["kept", "replayed"])
async def stage(database: Settings, engine: Engine, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with working(database, app.tasks) as worker, AsyncClient(database, app.tasks) as client:
        if request.param == "replayed":
            worker.workflows.keep = 0
        yield Stage(worker, client, engine)


@pytest.mark.parametrize("flow", [order, plain_order])
async def test_an_event_wakes_whoever_waits_for_it(stage: Stage, flow: Any) -> None:
    run = await stage.client.start(flow, "42")
    other = await stage.client.start(flow, "43")
    await stage.waits(2)
    assert await stage.emit("order/paid", {"amount": 450}, key="42") == {"started": [], "woken": 1}
    assert await stage.result(run) == 450
    assert stage.engine.query("select task_id, step, key from pgflow.awaited") == [
        (other.id, "$event:order/paid", "43")
    ]
    await stage.client.emit("order/paid", {"amount": 451}, key="43")
    assert await stage.result(other) == 451


@pytest.mark.parametrize("flow", [order, plain_order])
async def test_an_event_that_came_before_the_wait_counts(database: Settings, engine: Engine, flow: Any) -> None:
    async with AsyncClient(database, app.tasks) as client:
        await client.emit("order/paid", {"amount": 1}, key="42")
        run = await client.start(flow, "42")
        await client.emit("order/paid", {"amount": 2}, key="7")
        await client.emit("order/paid", {"amount": 3}, key="42")
        await client.emit("order/paid", {"amount": 4}, key="42")
        async with working(database, app.tasks):
            assert await client.result(run, timeout=60) == 3, "the first of its key since it was asked for"
    assert engine.query("select count(*) from pgflow.awaited") == [(0,)]


async def test_each_event_is_taken_once_the_oldest_first(stage: Stage) -> None:
    run = await stage.client.start(several, 5)
    for number in range(3):
        await stage.client.emit("tick", number)
    await stage.waits()
    for number in range(3, 6):
        await stage.client.emit("tick", number)
    assert await stage.result(run) == [0, 1, 2, 3, 4]


async def test_a_burst_of_events_is_taken_in_its_order(stage: Stage) -> None:
    run = await stage.client.start(several, 40, "k")
    await stage.waits()
    for number in range(40):
        await stage.client.emit("tick", number, key="k")
    assert await stage.result(run) == list(range(40))


@pytest.mark.parametrize("flow", [beside, beside_plainly])
async def test_waits_beside_each_other_take_an_event_each(stage: Stage, flow: Any) -> None:
    run = await stage.client.start(flow, 6)
    await stage.client.emit("tick", 0)
    await stage.client.emit("tick", 1)
    # Four are left, or fewer for now: all are told of an event, and one takes it. The others wait anew when the run
    # goes on, which is at the latest when the last of them is told of the next one.
    await eventually(lambda: 1 <= stage.engine.query("select count(*) from pgflow.awaited")[0][0] <= 4)
    for number in range(2, 6):
        await stage.emit("tick", number)
    assert sorted(await stage.result(run)) == list(range(6))
    assert stage.engine.query("select count(*) from pgflow.awaited") == [(0,)]


async def test_waits_beside_each_other_keep_to_their_concurrency(stage: Stage) -> None:
    run = await stage.client.start(beside, 5, 2)
    for number in range(5):
        await stage.client.emit("tick", number)
    assert sorted(await stage.result(run)) == list(range(5))


async def test_an_expression_decides_before_and_after_the_wait(stage: Stage) -> None:
    early, late = await stage.client.start(large, 100), await stage.client.start(large, 1000)
    for amount in (5, 50, 100, 500):
        await stage.client.emit("order/paid", {"amount": amount})
    assert await stage.result(early) == 100
    await stage.waits()
    assert await stage.emit("order/paid", {"amount": 999}) == {"started": [], "woken": 0}
    assert await stage.emit("order/paid", {"nothing": 999}) == {"started": [], "woken": 0}
    assert await stage.emit("order/paid", {"amount": 1001}) == {"started": [], "woken": 1}
    assert await stage.result(late) == 1001


async def test_what_is_looked_back_at_is_read_page_by_page(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgflow.sdk.event_verbs.FIRST", 2)
    monkeypatch.setattr("pgflow.sdk.event_verbs.PAGE", 3)
    async with AsyncClient(database, app.tasks) as client:
        run = await client.start(large, 10)
        for amount in range(11):
            await client.emit("order/paid", {"amount": amount})
        async with working(database, app.tasks):
            assert await client.result(run, timeout=60) == 10


async def test_a_wait_ends_at_its_time_out(stage: Stage) -> None:
    run = await stage.client.start(order, "42", 0.05)
    other = await stage.client.start(large, 10, 0.05)
    assert await stage.result(run) is None
    assert await stage.result(other) is None
    assert stage.engine.query("select count(*) from pgflow.awaited") == [(0,)]
    await stage.emit("order/paid", {"amount": 1}, key="42")


async def test_since_leaves_out_what_came_before(stage: Stage) -> None:
    run = await stage.client.start(later)
    await stage.emit("tick", "early")
    await stage.client.signal(run, "go on")
    await stage.waits()
    await stage.emit("tick", "late")
    assert await stage.result(run) == "late"


async def test_a_run_continued_as_new_has_each_event_once(stage: Stage) -> None:
    run = await stage.client.start(counting, [], 5)
    for number in range(4):
        await stage.client.emit("tick", number)
    await eventually(lambda: stage.engine.query("select step from pgflow.awaited") == [("5/$event:tick",)])
    await stage.emit("tick", 4)
    assert await stage.result(run) == [0, 1, 2, 3, 4]


async def test_each_workflow_of_a_run_has_every_event_since_the_run_began(stage: Stage) -> None:
    run = await stage.client.start(parent)
    await stage.emit("tick", 1)
    assert await stage.result(run) == [1, 1, 1]


async def test_a_payload_that_does_not_fit_is_told(stage: Stage) -> None:
    run = await stage.client.start(order, "42")
    await stage.emit("order/paid", {"amount": "much"}, key="42")
    with pytest.raises(Exception, match="the event's payload"):
        await stage.result(run)


@pytest.mark.parametrize(
    ("flow", "args", "recorded"), [(several, (3,), 2), (plain_several, (3,), 2), (beside, (3,), 2)]
)
async def test_a_rehearsal_stands_where_an_event_is_waited_for(
    stage: Stage, flow: Any, args: tuple[Any, ...], recorded: int
) -> None:
    run = await stage.client.start(flow, *args)
    for number in range(recorded):
        await stage.emit("tick", number)
    await eventually(
        lambda: len(stage.engine.query("select from pgflow.event where type = 'step.completed'")) == recorded
    )
    await stage.waits()
    before = stage.engine.query("select * from pgflow.awaited")
    asked = await stage.client.recorded(run)

    def check() -> Finding:
        with Checker(app.tasks) as checker:
            return checker.check(asked)

    finding = await asyncio.to_thread(check)
    assert (finding.verdict, finding.recorded, finding.put_in) == (Verdict.FITS, recorded, [])
    assert stage.engine.query("select * from pgflow.awaited") == before


async def test_an_event_of_another_name_does_not_fit_what_is_recorded(stage: Stage) -> None:
    run = await stage.client.start(several, 2)
    await stage.emit("tick", 1)
    await eventually(lambda: stage.engine.query("select from pgflow.event where type = 'step.completed'"))
    asked = await stage.client.recorded(run)
    other = App()

    @other.workflow(name="events.several")
    async def tock(ctx: Context, count: int, key: str | None = None) -> list[int]:
        return [await ctx.event("tock", key=key) for _ in range(count)]

    def check() -> Finding:
        with Checker(other.tasks) as checker:
            return checker.check(asked)

    finding = await asyncio.to_thread(check)
    assert finding.verdict is Verdict.BREAKS
    assert "- $event:tick" in finding.diff
