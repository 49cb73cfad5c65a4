"""Streams under gunicorn, on real sockets: who does not read harms nobody, and is not waited for at the end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pgflow.config import Settings
from tests.api.conftest import Askers
from tests.api.live.clients import Reader, Socket, deaf, was_cut
from tests.api.test_server import END, GRACEFUL, children, ended, ready
from tests.engine.crowd import write
from tests.fixtures.database import Engine
from tests.fixtures.ports import own_port

SOON = 60.0
SERVE = """
import sys
from pgflow.api.live import hub
hub.STUCK = float(sys.argv.pop(1))
hub.PATIENCE = 5.0
from pgflow.cli import main
main()
"""


@contextmanager
def serving(settings: Settings, *, stuck: float) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server that cuts whoever takes nothing for so many seconds."""
    port = own_port()
    limits = {"RATE": "100000/second", "ADDRESS_RATE": "100000/second", "STREAMS_EACH": "1000"}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(stuck), "api", "--port", str(port), "--graceful", GRACEFUL],
        env={**os.environ, "PGFLOW_DATABASE_URL": settings.require_url(),
             **{f"PGFLOW_API_{name}": value for name, value in limits.items()}},
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process, port
    finally:
        ended(process)


def memory(pid: int) -> int:
    """Bytes that the process and its children hold."""
    pages = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in (pid, *children(pid))]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Load:
    """What is done to a server."""

    readers: int
    deaf: int
    batches: int
    patience: float
    pause: float = 0.02


async def asking(port: int, token: str) -> int:
    """Ask for something else until told to stop. Returns how often it was answered."""
    answers = 0
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SOON) as http:
        try:
            while True:
                answer = await http.get("/api/v1/queues", headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 200
                answers += 1
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            return answers


async def streams(port: int, token: str) -> int:
    """How many are open, without WebSockets."""
    async with httpx.AsyncClient(timeout=SOON) as http:
        answer = await http.get(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"})
    found = re.search(r'^pgflow_api_streams{kind="sse"} ([0-9.]+)$', answer.text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


async def storm(load: Load, engine: Engine, port: int, token: str, pid: int) -> None:
    """Many watch, some never read, and much happens."""
    root = engine.enqueue(name="orders.ship")[0]
    readers = [await Reader.open(port, token) for _ in range(load.readers)]
    before = memory(pid)
    silent = await asyncio.to_thread(lambda: [deaf(port, token) for _ in range(load.deaf)])
    mute = await Socket.open(port, token, reads=False)
    mute.say(op="subscribe", id="a")
    talk = await Socket.open(port, token)
    talk.say(op="subscribe", id="a")
    await talk.hear("subscribed")
    written: list[int] = []
    others = asyncio.create_task(asking(port, token))
    for _ in range(load.batches):
        written += await asyncio.to_thread(write, engine.connection, root, 20)
        await asyncio.sleep(load.pause)
    heard: list[int] = []
    async with asyncio.timeout(load.patience):
        while len(heard) < len(written):
            heard += [int(event["id"]) for event in (await talk.hear("events"))["events"]]
        while any(reader.ids()[-1:] != written[-1:] for reader in readers):
            await asyncio.sleep(0.05)
    others.cancel()
    assert await others > 0
    assert heard == written
    for reader in readers:
        assert reader.ids() == written
    assert memory(pid) - before < (load.readers + load.deaf) * 512 * 1024 + 32 * 2**20
    async with asyncio.timeout(load.patience):
        while await streams(port, token) > load.readers:
            await asyncio.sleep(0.1)
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


async def ends(engine: Engine, process: subprocess.Popen[str], port: int, token: str, count: int) -> None:
    """SIGTERM, with so many of each kind open: all are told, and who does not read is waited for by nobody."""
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
    async with asyncio.timeout(SOON):
        while any(reader.ids() != written for reader in readers):
            await asyncio.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, END) == 0
    for reader in readers:
        assert b": draining\n\n" in await reader.end()
    for talk in talks:
        assert await talk.closed() == 1012
        talk.writer.close()
    for one in silent:
        one.close()
    mute.writer.transport.abort()


async def test_who_never_reads_harms_nobody_and_is_not_waited_for(
    database: Settings, askers: Askers, engine: Engine
) -> None:
    token = askers.token("viewer")
    with serving(database, stuck=5) as (process, port):
        await asyncio.to_thread(ready, process, port)
        # No more events than `hub.BUFFER`: whoever reads is told all of them, however slow this machine is.
        await storm(Load(readers=50, deaf=10, batches=45, patience=60), engine, port, token, process.pid)
        await ends(engine, process, port, token, 5)


@pytest.mark.torture
async def test_five_hundred_watch_and_fifty_never_read(database: Settings, askers: Askers, engine: Engine) -> None:
    token = askers.token("viewer")
    with serving(database, stuck=10) as (process, port):
        await asyncio.to_thread(ready, process, port)
        load = Load(readers=450, deaf=50, batches=100, patience=120, pause=0.25)
        await storm(load, engine, port, token, process.pid)
        await ends(engine, process, port, token, 50)
