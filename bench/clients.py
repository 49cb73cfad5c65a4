"""Clients that enqueue one task at a time, each on a connection of its own, awaiting each commit.

`python -m bench.clients URL CLIENTS SECONDS KIND WAKE` prints how many they enqueued. KIND `noop` sends one statement
prepared beforehand, so that the figure is the database's and not the client's; `probe` puts the time into each input.
`Crowd` spreads them over two processes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

import uvloop

from bench.apps import QUEUE
from bench.ground import NOOP
from bench.server import settings_of
from bench.worker import HOME
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import AsyncSession, Call
from pgflow.engine.enqueue import Request, Spec, enqueue_plain

PROBE = Spec("bench.probe", QUEUE)
PROCESSES = 2


def probe_request() -> Request:
    """A probe that carries the time of asking."""
    return Request(PROBE, b'{"sent":%.6f}' % time.time())


def single(*, wake: bool) -> Call[int | None]:
    """One no-op task."""
    return enqueue_plain(Request(NOOP, b"{}"), wake=wake)


async def _connect(settings: Settings) -> AsyncSession:
    """A client that has sent one task already, so that its statement is planned."""
    connection = await connect.open_async(settings, "bench-client")
    session = AsyncSession(connection, settings.schema_name, True)
    await session.run(single(wake=False))
    return session


async def _client(session: AsyncSession, seconds: float, kind: str, wake: bool) -> int:
    fixed = single(wake=wake)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        await session.run(fixed if kind == "noop" else enqueue_plain(probe_request(), wake=wake))
        count += 1
    return count


async def _clients(url: str, clients: int, seconds: float, kind: str, wake: bool) -> None:
    sessions = [await _connect(settings_of(url)) for _ in range(clients)]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # so that all processes begin at once
    counts = await asyncio.gather(*(_client(session, seconds, kind, wake) for session in sessions))
    print(json.dumps(sum(counts)), flush=True)
    for session in sessions:
        await session.connection.close()


class Crowd:
    """Clients in processes of their own, connected and ready to enqueue for `seconds`."""

    def __init__(self, settings: Settings, clients: int, seconds: float, kind: str = "noop", *, wake: bool) -> None:
        self._seconds = seconds
        shares = [clients // PROCESSES + (n < clients % PROCESSES) for n in range(PROCESSES)]
        command = [sys.executable, "-m", "bench.clients", settings.require_url()]
        self._processes = [
            subprocess.Popen(
                [*command, str(share), str(seconds), kind, str(int(wake))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HOME,
            )
            for share in shares
            if share
        ]  # fmt: skip
        for process in self._processes:
            assert process.stdout is not None
            process.stdout.readline()

    def count(self) -> int:
        """Begin; how many they enqueued, once they have ended."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return sum(int(process.communicate(timeout=60 + self._seconds)[0]) for process in self._processes)

    def rate(self) -> float:
        """Tasks a second."""
        return self.count() / self._seconds


if __name__ == "__main__":
    _, _url, _number, _seconds, _kind, _wake = sys.argv
    uvloop.run(_clients(_url, int(_number), float(_seconds), _kind, _wake == "1"))
