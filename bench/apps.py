"""The tasks that the measured workers run."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta

from pgflow import App, Context

QUEUE = "bench"
KEYED_QUEUE = "bench-keyed"

app = App()


@app.task(name="bench.noop", queue=QUEUE)
async def noop() -> None:
    """Do nothing: what is left is the engine's own cost."""


@app.task(name="bench.probe", queue=QUEUE)
async def probe(sent: float) -> float:
    """Return how many seconds passed from `sent` (this machine's clock) to the handler's first line."""
    return time.time() - sent


@app.task(name="bench.nap", queue=QUEUE)
async def nap(seconds: float) -> None:
    """Be running for a while."""
    await asyncio.sleep(seconds)


@app.task(name="bench.mark", queue=QUEUE)
async def mark(path: str, number: int) -> None:
    """Append `number` to a file: proof that the handler ran, whatever the history says."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, number.to_bytes(8, "big"))
    finally:
        os.close(descriptor)


@app.task(name="bench.keyed", queue=KEYED_QUEUE, slot=lambda slot: f"{slot}")
async def keyed(slot: int) -> None:
    """Do nothing, as one of those that share a slot."""


async def nothing() -> None:
    """Do nothing, as a step."""


async def instant() -> float:
    """Return what this machine's clock says."""
    return time.time()


@app.task(name="bench.leaf", queue=QUEUE)
async def leaf(number: int) -> None:
    """Do nothing, as one of many children."""


@app.workflow(name="bench.chain", queue=QUEUE)
async def chain(ctx: Context, steps: int) -> None:
    """So many steps, one after another."""
    for _ in range(steps):
        await ctx.step(nothing)


@app.workflow(name="bench.fan", queue=QUEUE)
async def fan(ctx: Context, children: int) -> int:
    """So many children beside each other. Returns how many have ended."""
    return len(await ctx.map(leaf, range(children)))


@app.workflow(name="bench.sleeper", queue=QUEUE)
async def sleeper(ctx: Context, hours: float) -> None:
    """Sleep."""
    await ctx.sleep(timedelta(hours=hours))


@app.workflow(name="bench.alarm", queue=QUEUE)
async def alarm(ctx: Context, at: float) -> None:
    """Sleep until an instant, in seconds since 1970."""
    await ctx.sleep_until(datetime.fromtimestamp(at, UTC))


@app.workflow(name="bench.long", queue=QUEUE)
async def long(ctx: Context, steps: int, rest: float) -> float:
    """Record so many steps and sleep; then return the instant at which the next step begins."""
    for _ in range(steps):
        await ctx.step(nothing)
    await ctx.sleep(rest)
    return await ctx.step(instant)
