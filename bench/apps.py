"""The tasks that the measured workers run."""

from __future__ import annotations

import asyncio
import os
import time

from pgflow import App

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
