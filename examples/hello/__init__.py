"""Three small tasks to try things with. See examples/README.md."""

from __future__ import annotations

import asyncio
import random

import pgflow
from pgflow import App, RetryPolicy

app = App()


@app.task
async def greet(name: str = "world") -> str:
    """Answer at once."""
    return f"Hello, {name}!"


@app.task(retry=RetryPolicy(5, backoff="exponential", base="500ms", cap="10s"))
def flaky(chance: float = 0.5) -> str:
    """Fail with this chance: watch it being retried, and sometimes end as a dead letter."""
    attempt = pgflow.current().attempt
    if random.random() < chance:
        raise ConnectionError(f"attempt {attempt} had no luck")
    return f"attempt {attempt} made it"


@app.task(timeout="5s", retry=2)
async def slow(seconds: float = 60.0) -> str:
    """Sleep, for longer than its time-out unless told otherwise."""
    await asyncio.sleep(seconds)
    return f"slept {seconds:g} s"
