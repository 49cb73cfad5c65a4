"""Streams under gunicorn, on real sockets: who does not read harms nobody, and the end is quick."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgflow.config import Settings
from pgflow.embedded.port import free_port
from tests.api.conftest import Askers
from tests.api.live.clients import Reader, Socket, deaf, was_cut
from tests.api.test_server import ready
from tests.engine.crowd import write
from tests.fixtures.database import Engine

SERVE = """
import sys
from pgflow.api.live import hub
hub.STUCK = float(sys.argv.pop(1))
from pgflow.cli import main
main()
"""


PROBE = """
import http.client, sys, time
port, token, count = sys.argv[1:]
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
for number in range(int(count) + 20):
    began = time.perf_counter()
    connection.request("GET", "/api/v1/queues", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    if number >= 20:
        print(time.perf_counter() - began)
    time.sleep(0.005)
"""


@contextmanager
def serving(settings: Settings, *, stuck: float) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server that cuts whoever takes nothing for so many seconds."""
    port = free_port()
    limits = {"RATE": "100000/second", "ADDRESS_RATE": "100000/second", "STREAMS_EACH": "1000"}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(stuck), "api", "--port", str(port), "--graceful", "20"],
        env={**os.environ, "PGFLOW_DATABASE_URL": settings.require_url(),
             **{f"PGFLOW_API_{name}": value for name, value in limits.items()}},
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process, port
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def memory(pid: int) -> int:
    """Bytes that the process and its children hold."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in (str(pid), *children)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def tell(text: str) -> None:
    """For whoever runs it with -s."""
    sys.stdout.write(f"{text}\n")


async def latencies(port: int, token: str, count: int) -> list[float]:
    """How long a plain request takes, so many times, in order. Asked from a process that does nothing else."""
    probe = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROBE, str(port), token, str(count), stdout=subprocess.PIPE
    )
    said, _ = await probe.communicate()
    assert probe.returncode == 0
    return sorted(map(float, said.split()))


@dataclass
class Load:
    """What is done to a server."""

    readers: int
    deaf: int
    batches: int
    asked: int
    patience: float
    stuck: float
    pause: float = 0.02


async def storm(load: Load, engine: Engine, port: int, token: str, pid: int) -> None:
    """Many watch, some never read, and much happens."""
    root = engine.enqueue(name="orders.ship")[0]
    alone = await latencies(port, token, load.asked)
    readers = [await Reader.open(port, token) for _ in range(load.readers)]
    idle = await latencies(port, token, load.asked)
    before = memory(pid)
    silent = await asyncio.to_thread(lambda: [deaf(port, token) for _ in range(load.deaf)])
    mute = await Socket.open(port, token, reads=False)
    mute.say(op="subscribe", id="a")
    talk = await Socket.open(port, token)
    talk.say(op="subscribe", id="a")
    await talk.hear("subscribed")
    written: list[int] = []
    measured = asyncio.create_task(latencies(port, token, load.asked))
    for _ in range(load.batches):
        written += await asyncio.to_thread(write, engine.connection, root, 20)
        await asyncio.sleep(load.pause)
    busy = await measured
    heard: list[int] = []
    async with asyncio.timeout(load.patience):
        while len(heard) < len(written):
            heard += [int(event["id"]) for event in (await talk.hear("events"))["events"]]
        while any(reader.ids()[-1:] != written[-1:] for reader in readers):
            await asyncio.sleep(0.2)
    assert heard == written
    for reader in readers:
        assert reader.ids() == written
    settled = await latencies(port, token, load.asked)
    after = memory(pid)
    for name, took in (("alone", alone), ("watched", idle), ("while it storms", busy), ("after it", settled)):
        tell(f"{name}: median {took[len(took) // 2] * 1e3:.1f} ms, p99 {took[len(took) * 99 // 100] * 1e3:.1f} ms")
    tell(f"memory: {before / 2**20:.0f} MiB, then {after / 2**20:.0f} MiB")
    assert settled[len(settled) // 2] < 5 * alone[len(alone) // 2] + 0.02
    assert after - before < (load.readers + load.deaf) * 512 * 1024 + 32 * 2**20
    await asyncio.sleep(load.stuck + 1)
    async with asyncio.timeout(load.patience):
        assert all(await asyncio.gather(*(asyncio.to_thread(was_cut, one, load.patience) for one in silent)))
    for one in silent:
        one.close()
    for reader in readers:
        reader.writer.close()
        assert reader.task is not None
        reader.task.cancel()
    await asyncio.gather(*(reader.task for reader in readers if reader.task), return_exceptions=True)
    for ws in (talk, mute):
        ws.writer.transport.abort()


async def ends(engine: Engine, process: subprocess.Popen[str], port: int, token: str, count: int) -> float:
    """SIGTERM, with so many of each kind open. Returns how long it took."""
    root = engine.enqueue(name="orders.ship")[0]
    readers = [await Reader.open(port, token) for _ in range(count)]
    talks = [await Socket.open(port, token) for _ in range(count)]
    mute = await Socket.open(port, token, reads=False)
    mute.say(op="subscribe", id="a")
    silent: list[socket.socket] = [await asyncio.to_thread(deaf, port, token) for _ in range(count)]
    for talk in talks:
        talk.say(op="subscribe", id="a")
        await talk.hear("subscribed")
    written = write(engine.connection, root, 500)
    async with asyncio.timeout(20):
        while any(reader.ids() != written for reader in readers):
            await asyncio.sleep(0.05)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 20) == 0
    took = time.monotonic() - began
    for reader in readers:
        assert b": draining\n\n" in await reader.end()
    for talk in talks:
        assert await talk.closed() == 1012
        talk.writer.close()
    for one in silent:
        one.close()
    mute.writer.transport.abort()
    return took


async def test_who_never_reads_harms_nobody_and_the_end_is_quick(
    database: Settings, askers: Askers, engine: Engine
) -> None:
    token = askers.token("viewer")
    with serving(database, stuck=1) as (process, port):
        await asyncio.to_thread(ready, process, port)
        await storm(
            Load(readers=50, deaf=10, batches=60, asked=100, patience=30, stuck=1), engine, port, token, process.pid
        )
        took = await ends(engine, process, port, token, 5)
        tell(f"ended in {took:.2f} s")
        assert took < 5.0, "who does not read was waited for"


@pytest.mark.torture
async def test_five_hundred_watch_and_fifty_never_read(database: Settings, askers: Askers, engine: Engine) -> None:
    token = askers.token("viewer")
    with serving(database, stuck=10) as (process, port):
        await asyncio.to_thread(ready, process, port)
        await storm(
            Load(readers=450, deaf=50, batches=100, asked=500, patience=60, stuck=10, pause=0.25),
            engine,
            port,
            token,
            process.pid,
        )
        tell(f"ended in {await ends(engine, process, port, token, 50):.2f} s")
