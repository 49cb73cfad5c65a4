"""A workflow of each colour that uses every method of its context: checked by mypy, and run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection, Connection
from pydantic import BaseModel

from pgflow import App, Context, Handle, RetryPolicy, SyncContext, step

app = App()
client = app.client()


class Order(BaseModel):
    item: str
    round: int = 1


@dataclass
class Answer:
    by: str


async def charge(amount: int, currency: str = "EUR") -> str:
    return f"{amount} {currency}"


def charge_plainly(amount: int) -> str:
    return str(amount)


def charge_nothing() -> None: ...


def size_of(text: str) -> int:
    return len(text)


@app.step(retry=2)
async def rate(currency: str) -> float:
    return 1.0 if currency == "EUR" else 2.0


@app.task(name="every.resize")
async def resize(photo: str, width: int = 100) -> str:
    return f"{photo}@{width}"


async def insert(db: AsyncConnection[Any], amount: int) -> int:
    await db.execute("select 1")
    return amount


async def insert_one(db: AsyncConnection[Any]) -> int:
    return await insert(db, 1)


def insert_plainly(db: Connection[Any]) -> int:
    db.execute("select 1")
    return 1


async def announce(ctx: Context, db: AsyncConnection[Any]) -> int:
    emitted: Handle[Any] = await ctx.client.on(db).emit("every/ended", Answer("every"), key=ctx.run_id)
    return emitted.id


@app.workflow(name="every.pal")
async def pal(ctx: Context) -> str:
    answer = await ctx.signal("hello", Answer)
    return answer.by


@app.workflow(name="every")
async def every(ctx: Context, order: Order) -> str:
    ctx.compensate(charge, -5)
    ctx.on_cancel(size_of, "cancelled")
    receipt: str = await ctx.step(charge, 5, currency="USD")
    named: str = await ctx.step(step(lambda: "named", name="lambda", retry=RetryPolicy(2)))
    factor: float = await ctx.step(rate.options(key="rate-of-the-day"), "EUR")
    whatever = await ctx.step("rate", "USD")
    thumb: str = await ctx.run(resize, "thumb", width=10)
    child = await ctx.start(resize, "later")
    sizes: list[int] = await ctx.map(size_of, ["a", "bb"], concurrency=1)
    thumbs: list[str] = await ctx.map(resize, ["a", "b"], on_error="return")
    both = await ctx.gather(ctx.step(charge, 1), ctx.run(resize, "c"), ctx.sleep(0.001), concurrency=2)
    await ctx.wait(timedelta(milliseconds=1))
    await ctx.sleep_until(ctx.now() + timedelta(milliseconds=1))
    friend = await ctx.start(pal)
    await ctx.send_signal(friend.id, "hello", Answer("every"))
    said: str = await friend.result()
    late: Answer | None = await ctx.signal("never", Answer, timeout=0.001)
    await ctx.tx(lambda db: announce(ctx, db))
    heard: Answer = await ctx.event("every/ended", Answer, key=ctx.run_id, match="event.payload.by == me",
                                    values={"me": "every"}, since=ctx.now() - timedelta(hours=1))  # fmt: skip
    missed: Answer | None = await ctx.event("every/ended", Answer, key="nobody", timeout=0.001)
    assert (heard, missed) == (Answer("every"), None)
    amount: int = await ctx.tx(lambda db: insert(db, 3))
    again: int = await ctx.tx(step(insert_one, retry=2))
    assert again == 1
    draw: int = ctx.random().randrange(10)
    ctx.log.info("drawn", draw=draw, id=str(ctx.uuid()), replaying=ctx.replaying)
    ctx.set_state({"order": order.item})
    ctx.heartbeat(0.5, note="half way")
    if ctx.version("again", 2) >= 2 and order.round < 2:
        ctx.continue_as_new(Order(item=order.item, round=order.round + 1))
    assert ctx.client is not None
    assert ctx.idempotency_key == f"pgflow-{ctx.task_id}"
    assert (ctx.run_id, ctx.attempt) == (ctx.task_id, 1)
    later: str = await child.result()
    return f"{receipt} {named} {factor} {whatever} {thumb} {sizes} {thumbs} {both} {said} {late} {amount} {later}"


@app.workflow(name="every_plainly")
def every_plainly(ctx: SyncContext, order: Order) -> str:
    ctx.compensate(charge_plainly, -5)
    ctx.on_cancel(size_of, "cancelled")
    receipt: str = ctx.step(charge_plainly, 5)
    whatever = ctx.step("rate", "USD")
    thumb: str = ctx.run(resize, "thumb", width=10)
    child = ctx.start(resize, "later")
    sizes: list[int] = ctx.map(size_of, ["a", "bb"], concurrency=1)
    thumbs: list[str] = ctx.map(resize, ["a", "b"], on_error="return")
    both = ctx.gather(ctx.op.step(charge, 1), ctx.op.run(resize, "c"), ctx.op.sleep(0.001), concurrency=2)
    ctx.sleep(0.001)
    ctx.wait(timedelta(milliseconds=1))
    ctx.sleep_until(ctx.now() + timedelta(milliseconds=1))
    friend = ctx.start(pal)
    ctx.send_signal(friend.id, "hello", Answer("every_plainly"))
    said: str = friend.result()
    late: Answer | None = ctx.signal("never", Answer, timeout=0.001)
    ctx.tx(lambda db: ctx.client.on(db).emit("every/ended", Answer("every_plainly"), key=ctx.run_id).id)
    heard: Answer = ctx.event("every/ended", Answer, key=ctx.run_id)
    missed: Answer | None = ctx.event("every/ended", Answer, key="nobody", timeout=0.001)
    assert (heard, missed) == (Answer("every_plainly"), None)
    amount: int = ctx.tx(insert_plainly)
    again: int = ctx.tx(step(insert_plainly, key="again"))
    assert again == amount
    draw: int = ctx.random().randrange(10)
    ctx.log.info("drawn", draw=draw, id=str(ctx.uuid()), replaying=ctx.replaying)
    ctx.set_state({"order": order.item})
    ctx.heartbeat(0.5, note="half way")
    if ctx.version("again", 2) >= 2 and order.round < 2:
        ctx.continue_as_new(Order(item=order.item, round=order.round + 1))
    assert ctx.client is not None
    assert ctx.idempotency_key == f"pgflow-{ctx.task_id}"
    assert (ctx.run_id, ctx.attempt) == (ctx.task_id, 1)
    later: str = child.result()
    return f"{receipt} {whatever} {thumb} {sizes} {thumbs} {both} {said} {late} {amount} {later}"
