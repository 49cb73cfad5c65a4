"""Application events in tests: without a database, in an engine whose time is skipped, with a death at every commit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from pgflow import App, Context, SyncContext, TaskFailed
from pgflow.errors import ArgumentError
from pgflow.expression import ExpressionError
from pgflow.testing import After, Emitted, Inline, Stalled, SyncInline, WaitsForEver, crash_everywhere
from pgflow.testing.plugin import Engines

app = App()
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
DONE: list[str] = []


class Paid(BaseModel):
    amount: int


async def note(what: str) -> str:
    DONE.append(what)
    return what


def note_plainly(what: str) -> str:
    DONE.append(what)
    return what


@app.workflow(name="order")
async def order(ctx: Context, id: str) -> str:
    paid = await ctx.event("order/paid", Paid, key=id, timeout="2d")
    return "expired" if paid is None else f"paid {paid.amount}"


@app.workflow(name="plain_order")
def plain_order(ctx: SyncContext, id: str) -> str:
    paid = ctx.event("order/paid", Paid, key=id, timeout="2d")
    return "expired" if paid is None else f"paid {paid.amount}"


@app.workflow(name="journey")
async def journey(ctx: Context, least: int) -> list[Any]:
    """All there is to waiting for events, between steps."""
    await ctx.step(note, "begun")
    first = await ctx.event("step/taken", match="event.payload >= least", values={"least": least})
    await ctx.step(note, f"after {first}")
    both = await ctx.gather(ctx.event("step/taken"), ctx.step(note, "beside"), ctx.event("rest", timeout="1d"))
    never = await ctx.event("step/taken", key="nobody", timeout="1h")
    return [first, *both, never]


@app.workflow(name="plain_journey")
def plain_journey(ctx: SyncContext) -> list[Any]:
    ctx.step(note_plainly, "begun")
    first = ctx.event("step/taken")
    ctx.sleep("1h")
    return [first, ctx.event("step/taken"), ctx.event("rest", timeout="1d")]


@app.workflow(name="rounds")
async def rounds(ctx: Context, had: list[int], until: int) -> list[int]:
    had = [*had, await ctx.event("tick")]
    if len(had) < until:
        ctx.continue_as_new(had, until)
    return had


@app.workflow(name="family")
async def family(ctx: Context) -> list[int]:
    return [await ctx.event("tick"), await ctx.run(member)]


@app.workflow(name="member")
async def member(ctx: Context) -> int:
    ticked: int = await ctx.event("tick")
    return ticked


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()


# Without a database.


async def test_given_events_are_taken_in_order_and_time_outs_fire() -> None:
    ctx = Inline(events={"order/paid": [{"amount": 5}]}, now=START)
    assert await order(ctx, "42") == "paid 5"
    assert ctx.keys == ["$event:order/paid"]
    assert (ctx.history[0].kind, ctx.history[0].result) == ("event", {"amount": 5})
    ctx = Inline(now=START)
    assert await order(ctx, "42") == "expired"
    assert ctx.elapsed == timedelta(days=2)


def test_plain_workflows_take_given_events_too() -> None:
    assert plain_order(SyncInline(events={"order/paid": Paid(amount=5)}), "42") == "paid 5"
    assert plain_order(SyncInline(), "42") == "expired"


async def test_a_key_that_is_given_has_to_be_the_one_that_is_waited_for() -> None:
    events = [Emitted({"amount": 1}, key="41"), After("1d", Emitted({"amount": 2}, key="42"))]
    ctx = Inline(events={"order/paid": events}, now=START)
    assert await order(ctx, "42") == "paid 2"
    assert ctx.elapsed == timedelta(days=1)
    late = Inline(events={"order/paid": After("3d", {"amount": 2})}, now=START)
    assert await order(late, "42") == "expired"


async def test_expressions_values_and_waits_beside_each_other_work_without_a_database() -> None:
    taken = [Emitted(number, key="somebody") for number in (1, 7, 3)]
    ctx = Inline(events={"step/taken": taken, "rest": After("2h", "rested")})
    assert await journey(ctx, 5) == [7, 1, "beside", "rested", None]
    assert await rounds(Inline(events={"tick": [1, 2, 3, 4]}), [], 3) == [1, 2, 3]
    assert await family(Inline(events={"tick": [1, 2]}, app=app)) == [1, 1], "each workflow has every event"


async def test_an_event_that_never_comes_is_told() -> None:
    with pytest.raises(WaitsForEver, match="waits for event 'tick'"):
        await member(Inline())


@pytest.mark.parametrize(
    ("asked", "error", "match"),
    [
        ({"name": "no good"}, ArgumentError, "no name for an event"),
        ({"name": "order/*"}, ArgumentError, "no name for an event"),
        ({"name": "a", "key": ""}, ArgumentError, "no key for an event"),
        ({"name": "a", "match": "event.payload >"}, ExpressionError, "payload"),
        ({"name": "a", "match": "amount > 1"}, ArgumentError, "names amount, which is not known"),
        ({"name": "a", "values": {"x": 1}}, ArgumentError, "values= are for match="),
        ({"name": "a", "since": datetime(2026, 1, 1)}, ArgumentError, "has no time zone"),  # noqa: DTZ001
    ],
)
async def test_what_makes_no_sense_is_told_where_it_is_asked_for(
    asked: dict[str, Any], error: type[Exception], match: str
) -> None:
    @app.workflow(name="senseless")
    async def senseless(ctx: Context) -> None:
        await ctx.event(**asked)

    with pytest.raises(error, match=match):
        await senseless(Inline())
    app.tasks.pop("senseless")


# In an engine whose time is skipped.


async def test_time_is_skipped_up_to_the_time_out_of_an_event(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    assert await engine.run(order, "42") == "expired"
    run = await engine.start(order, "43")
    await engine.advance("1d")
    await engine.client.emit("order/paid", {"amount": 7}, key=43)
    assert await engine.result(run) == "paid 7"


@pytest.mark.parametrize(
    ("workflow", "args", "events"),
    [
        (order, ("42",), {"order/paid": [Emitted({"amount": 3}, key="41"), Emitted({"amount": 4}, key="42")]}),
        (plain_order, ("42",), {"order/paid": Emitted({"amount": 4}, key="42")}),
        (journey, (5,), {"step/taken": [7, 3], "rest": "rested"}),
        (plain_journey, (), {"step/taken": [1, 2], "rest": "rested"}),
        (rounds, ([], 3), {"tick": [1, 2, 3]}),
        (family, (), {"tick": [1]}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_a_death_at_any_commit_neither_loses_nor_doubles_an_event(
    pgflow_engine: Engines, workflow: Any, args: tuple[Any, ...], events: dict[str, Any]
) -> None:
    engine = pgflow_engine(app)
    report = await crash_everywhere(engine, workflow, *args, events=events)
    assert report.crashes >= 6
    with psycopg.connect(engine.settings.require_url()) as connection:
        assert connection.execute("select * from pgflow.awaited").fetchall() == [], "nobody waits any more"


async def test_a_workflow_that_waits_for_what_nobody_emits_stalls(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    run = await engine.start(member)
    with pytest.raises(Stalled, match="is waiting"):
        await engine.result(run)


# Runs that begin where others stood.


async def test_a_fork_has_the_events_that_its_original_could_have_had(pgflow_engine: Engines) -> None:
    @app.workflow(name="forked")
    async def forked(ctx: Context) -> list[Any]:
        first = await ctx.event("tick")
        await ctx.step(note, "between")
        return [first, await ctx.event("tick"), await ctx.event("tick", timeout="1d")]

    engine = pgflow_engine(app)
    run = await engine.start(forked)
    for number in (1, 2):
        await engine.client.emit("tick", number)
    assert await engine.result(run) == [1, 2, None]
    fork = await engine.client.fork(run, from_step="note")
    assert await engine.result(fork) == [1, 2, None], "the first is recorded, the second is not gone by being taken"
    again = await engine.client.fork(fork, from_step="note")
    assert await engine.result(again) == [1, 2, None]
    rerun = await engine.client.rerun(run)
    await engine.client.emit("tick", 3)
    await engine.client.emit("tick", 4)
    assert await engine.result(rerun) == [3, 4, None], "a rerun begins anew"
    app.tasks.pop("forked")


async def test_a_run_that_failed_and_is_redriven_waits_again(pgflow_engine: Engines) -> None:
    trouble = [True]

    async def fail() -> None:
        if trouble:
            raise ValueError("trouble")

    @app.workflow(name="redriven", retry=1)
    async def redriven(ctx: Context) -> list[Any]:
        had = await ctx.event("tick")
        await ctx.step(fail)
        return [had, await ctx.event("tick")]

    engine = pgflow_engine(app)
    run = await engine.start(redriven)
    await engine.client.emit("tick", 1)
    with pytest.raises(TaskFailed):
        await engine.result(run)
    trouble.clear()
    await engine.client.redrive(run.id)
    await engine.settle()
    await engine.client.emit("tick", 2)
    assert await engine.result(run) == [1, 2]
    app.tasks.pop("redriven")
