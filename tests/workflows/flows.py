"""The workflows that tests' workers run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from pgflow import App, Context, RetryPolicy, SyncContext

app = App()
QUICK = RetryPolicy(3, backoff="fixed", base=0.01, jitter=False)
CALLS: list[Any] = []
"""What steps did, in this process; tests clear it."""


class Confirmation(BaseModel):
    by: str


@app.task(name="double")
async def double(number: int) -> int:
    return number * 2


@app.task(name="broken", retry=1)
async def broken() -> None:
    raise ValueError("broken for good")


async def note(what: str) -> str:
    CALLS.append(what)
    return what


def note_plainly(what: str) -> str:
    CALLS.append(what)
    return what


@app.workflow(name="steps")
async def steps(ctx: Context, count: int) -> list[str]:
    return [await ctx.step(note, f"{number}") for number in range(count)]


@app.workflow(name="plain_steps")
def plain_steps(ctx: SyncContext, count: int) -> list[str]:
    return [ctx.step(note_plainly, f"{number}") for number in range(count)]


@app.workflow(name="nap")
async def nap(ctx: Context, seconds: float) -> str:
    await ctx.step(note, "before")
    await ctx.sleep(timedelta(seconds=seconds))
    await ctx.step(note, "after")
    return "slept"


@app.workflow(name="family")
async def family(ctx: Context, numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total += await ctx.run(double, number)
    return total


@app.workflow(name="plain_family")
def plain_family(ctx: SyncContext, numbers: list[int]) -> int:
    first = ctx.start(double, 100)
    mapped = ctx.map(double, numbers)
    gathered = ctx.gather(ctx.op.run(double, 1), ctx.op.step(note_plainly, "beside"))
    return first.result() + sum(mapped) + int(gathered[0])


@app.workflow(name="spread")
async def spread(ctx: Context, numbers: list[int], concurrency: int | None = None) -> int:
    return sum(await ctx.map(double, numbers, concurrency=concurrency))


@app.workflow(name="confirm")
async def confirm(ctx: Context, timeout: float | None = None) -> str:
    answer = await ctx.signal("confirmed", Confirmation, timeout=timeout or "1h")
    return "expired" if answer is None else answer.by
