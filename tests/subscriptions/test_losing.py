"""A worker that is killed while it delivers loses nothing, and what it sends twice can be told by its id."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from pgflow.config import Settings
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.outbound.servers import Request, respond, serving

APPS = Path(__file__).parent / "apps.py"


@contextmanager
def worker(settings: Settings, log: IO[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A `pgflow worker` of its own, quick to notice that an executor has died."""
    given = {
        "PGFLOW_DATABASE_URL": settings.require_url(), "PGFLOW_LEASE": "1", "PGFLOW_HEARTBEAT": "0.3",
        "PGFLOW_OUTBOUND_ALLOW": "127.0.0.1", "PGFLOW_MAX_CRASHES": "50",
    }  # fmt: skip
    command = [sys.executable, "-m", "pgflow", "worker", str(APPS), "-c", "8"]
    process = subprocess.Popen(command, env={**os.environ, **given}, stdout=log, stderr=log, cwd="/")
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def executors(of: subprocess.Popen[bytes]) -> list[int]:
    return [int(child) for child in Path(f"/proc/{of.pid}/task/{of.pid}/children").read_text().split()]


@pytest.mark.xdist_group("processes")
@pytest.mark.skipif(sys.platform != "linux", reason="finds the executor in /proc")
async def test_nothing_is_lost_and_what_comes_twice_has_the_same_id(database: Settings, engine: Engine) -> None:
    events = 40
    async with AsyncClient(database) as client, serving() as server:

        async def slowly(request: Request, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.02)
            await respond()(request, writer)

        server.answer = slowly
        await client.subscriptions.create("ops", server.url, types=["task.completed"])
        engine.register(1)
        engine.enqueue(events)
        engine.settle(*engine.claim(events))
        with tempfile.TemporaryFile("w+") as log, worker(database, log) as process:
            for seen in (5, 15, 25):
                while len(server.requests) < seen:
                    assert process.poll() is None
                    await asyncio.sleep(0.005)
                for pid in executors(process):  # while deliveries are on their way
                    os.kill(pid, signal.SIGKILL)
            for _ in range(6000):
                found = await client.subscriptions.deliveries("ops", limit=100)
                if all(delivery.delivered for delivery in found):
                    break
                await asyncio.sleep(0.01)
            assert Counter(delivery.state for delivery in found) == {"completed": events}
    bodies: dict[str, set[bytes]] = {}
    for request in server.requests:
        bodies.setdefault(request.headers["webhook-id"], set()).add(request.body)
    assert len(server.requests) > events  # the kills did hit deliveries that had arrived
    assert len(bodies) == events
    assert all(len(each) == 1 for each in bodies.values())
    tasks = {json.loads(body)["data"]["task_id"] for each in bodies.values() for body in each}
    assert len(tasks) == events
