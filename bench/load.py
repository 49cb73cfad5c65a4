"""Requests over HTTP as fast as they are answered, from a process of its own.

`python -m bench.load` reads what to do as JSON from its standard input, and prints what it found.

So many connections each send the next request as soon as the last is answered. What is sent is put together before, and
of an answer only its status and its length are looked at: the generator shall not be what is measured.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from bench.result import percentiles
from bench.worker import HOME

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(slots=True)
class Load:
    """What is to be sent.

    Args:
        port: on this machine.
        token: sent with each request.
        method: as in `POST`.
        paths: in turn.
        body: JSON; empty: none.
        connections: how many at once.
        seconds: for how long.
        requests: no more than so many; 0: as many as there are.
        pause: seconds that each connection rests between an answer and the next request.
    """

    port: int
    token: str
    method: str = "GET"
    paths: Sequence[str] = field(default_factory=list)
    body: str = ""
    connections: int = 1
    seconds: float = 1.0
    requests: int = 0
    pause: float = 0.0


@dataclass(slots=True)
class Found:
    """What came of it.

    Args:
        rate: answers a second.
        answers: how many.
        refused: how many of those were no success.
        ms: how long they took.
    """

    rate: float
    answers: int
    refused: int
    ms: dict[str, float]


def loaded(load: Load) -> Found:
    """Send it from another process, and wait for its end."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"], input=json.dumps(asdict(load)), text=True, check=True, cwd=HOME,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    return Found(**json.loads(done.stdout))


class Sender(asyncio.Protocol):
    """A connection that is never without a request, until the time is over."""

    def __init__(self, requests: Sequence[bytes], first: int, end: float, load: Load) -> None:
        self._requests, self._turn, self._end, self._most = requests, first, end, load.requests
        self._pause = load.pause
        self._buffer = b""
        self._sent_at = 0.0
        self.took: list[float] = []
        self.refused = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Send the next one once the answer is whole."""
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end + 2)
        assert length is not None, self._buffer[:end]
        if len(self._buffer) < end + 4 + int(length[1]):
            return
        self.took.append(time.perf_counter() - self._sent_at)
        self.refused += self._buffer[9:10] != b"2"
        self._buffer = b""
        if time.perf_counter() >= self._end or len(self.took) == self._most:
            self._transport.close()
        elif self._pause:
            asyncio.get_running_loop().call_later(self._pause, self._send)
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 (as asyncio calls it)
        """The end, or the server's."""
        if not self.over.done():
            self.over.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._requests[self._turn % len(self._requests)])
        self._turn += 1


async def _send(load: Load) -> Found:
    body = load.body.encode()
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    requests = [
        f"{load.method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\n"
        f"Authorization: Bearer {load.token}\r\n{kind}\r\n".encode()
        + body
        for path in load.paths
    ]
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    senders: list[Sender] = []
    for number in range(load.connections):
        _, sender = await loop.create_connection(
            lambda number=number: Sender(requests, number, begun + load.seconds, load),  # type: ignore[misc]
            "127.0.0.1",
            load.port,
        )
        senders.append(sender)
    await asyncio.gather(*(sender.over for sender in senders))
    passed = time.perf_counter() - begun
    took = [one for sender in senders for one in sender.took]
    return Found(len(took) / passed, len(took), sum(sender.refused for sender in senders), percentiles(took))


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_send(Load(**json.load(sys.stdin)))))))
