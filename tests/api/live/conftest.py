"""Streams and WebSockets of the API, asked without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from falcon.testing import ASGIConductor, helpers

from pgflow.api.live import hub
from pgflow.api.live.connection import EXTENSION
from tests.api.conftest import Api

SOON = 60.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is gone is noticed at once."""
    monkeypatch.setattr(hub, "LOOK", 0.02)


class Pipe:
    """What the server writes to. When it is shut nothing more fits in, and whoever sends waits."""

    def __init__(self) -> None:
        self.closed = False
        self.room = asyncio.Event()
        self.room.set()
        self.pending = 0

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return self.pending

    def abort(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> None:
        return None


class Watching:
    """An SSE answer, as its client sees it."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.status = 0
        self.headers: dict[str, str] = {}
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        self.said: list[str] = []
        """Comments and named events."""
        self.place = ""
        """What a browser would send as Last-Event-ID."""
        self._rest = b""
        self._came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self.begun.set()
            return
        self._read(message.get("body", b""))
        await self.pipe.room.wait()

    def _read(self, data: bytes) -> None:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            fields: dict[str, str] = {}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(":")
                fields[name or "comment"] = value.removeprefix(" ")
            self.place = fields.get("id", self.place)
            if "event" in fields or "comment" in fields:
                self.said.append(fields.get("event", "") or fields["comment"])
            elif "data" in fields:
                event = orjson.loads(fields["data"])
                assert event["cursor"] == fields["id"]
                self._came.put_nowait(event)

    async def take(self, count: int) -> list[dict[str, Any]]:
        """So many events."""
        async with asyncio.timeout(SOON):
            return [await self._came.get() for _ in range(count)]

    async def beat(self) -> None:
        """The next sign of life, which comes when there is nothing else."""
        async with asyncio.timeout(SOON):
            while "beat" not in self.said:
                await asyncio.sleep(0.005)

    def waiting(self) -> list[dict[str, Any]]:
        """What has come and was not taken yet."""
        return [self._came.get_nowait() for _ in range(self._came.qsize())]

    async def end(self) -> None:
        """Wait for the end."""
        async with asyncio.timeout(SOON):
            await self.over.wait()


@asynccontextmanager
async def watching(
    api: Api, *, token: str = "", last: str | None = None, pipe: Pipe | None = None, **query: Any
) -> AsyncIterator[Watching]:
    """A stream of events, until the end of the block."""
    headers = {"Authorization": f"Bearer {token or api.admin}", "Accept": "text/event-stream"}
    if last is not None:
        headers["Last-Event-ID"] = last
    scope = helpers.create_scope("/api/v1/events", urlencode(query, doseq=True), headers=headers)
    answer = Watching(pipe or Pipe())
    scope["extensions"] = {EXTENSION: answer.pipe}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def run() -> None:
        try:
            await api.conductor.app(scope, receive, answer.send)
        finally:
            answer.over.set()

    request = asyncio.create_task(run())
    try:
        async with asyncio.timeout(SOON):
            await answer.begun.wait()
        yield answer
    finally:
        answer.pipe.closed = True
        answer.pipe.room.set()
        async with asyncio.timeout(SOON):
            await request


Talking = Callable[..., Any]


class Talk:
    """A WebSocket, as its client sees it."""

    def __init__(self, ws: Any) -> None:
        self.ws = ws

    async def say(self, **document: Any) -> None:
        await self.ws.send_text(orjson.dumps(document).decode())

    async def hear(self, op: str) -> dict[str, Any]:
        """The next that is of this kind."""
        async with asyncio.timeout(SOON):
            while True:
                heard: dict[str, Any] = orjson.loads(await self.ws.receive_text())
                if heard["op"] == op:
                    return heard

    async def take(self, count: int, label: str = "a") -> list[dict[str, Any]]:
        """So many events of a subscription, whose others are left out."""
        taken: list[dict[str, Any]] = []
        while len(taken) < count:
            heard = await self.hear("events")
            if heard["id"] == label:
                assert heard["cursor"] == heard["events"][-1]["cursor"]
                taken += heard["events"]
        assert len(taken) == count
        return taken


@asynccontextmanager
async def talking(api: Api, *, token: str = "", **headers: str) -> AsyncIterator[Talk]:
    """A WebSocket, until the end of the block."""
    if "Cookie" not in headers:
        headers["Authorization"] = f"Bearer {token or api.admin}"
    async with api.conductor.simulate_ws("/api/v1/events/ws", headers=headers, spec_version="2.4") as ws:
        yield Talk(ws)


@asynccontextmanager
async def opened(api: Api, settings: Any) -> AsyncIterator[Api]:
    """The API with other settings."""
    from pgflow.api.app import create_app

    async with ASGIConductor(create_app(settings)) as conductor:
        yield Api(conductor, api.admin)
