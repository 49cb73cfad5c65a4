"""Clients of a real server, on raw sockets: some read, some never do."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

_EVENT = re.compile(rb"id: (\d+)-(\d+)\ndata: ")


def _socket(port: int, *, tiny: bool) -> socket.socket:
    made = socket.socket()
    if tiny:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    made.settimeout(30)
    made.connect(("127.0.0.1", port))
    return made


def _request(token: str, path: str, **headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


def deaf(port: int, token: str) -> socket.socket:
    """A stream whose client never reads."""
    made = _socket(port, tiny=True)
    made.sendall(_request(token, "/api/v1/events", Accept="text/event-stream"))
    return made


def was_cut(connection: socket.socket, seconds: float = 20.0) -> bool:
    """Whether the other side closes, once all that is under way has been taken."""
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@dataclass
class Reader:
    """A stream whose client reads."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    came: bytearray = field(default_factory=bytearray)
    task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, port: int, token: str) -> Reader:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        writer.write(_request(token, "/api/v1/events", Accept="text/event-stream"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        made = cls(reader, writer)
        made.task = asyncio.create_task(made._read())
        return made

    async def _read(self) -> None:
        """Take the chunks apart, until the last."""
        while size := int(await self.reader.readline(), 16):
            self.came += await self.reader.readexactly(size)
            await self.reader.readexactly(2)

    def ids(self) -> list[int]:
        """Of the events that came, in order."""
        return [int(id) for _, id in _EVENT.findall(self.came)]

    async def end(self) -> bytes:
        """Wait for the end. Returns what came last."""
        assert self.task is not None
        await asyncio.wait_for(self.task, 60)
        self.writer.close()
        return bytes(self.came[-200:])


@dataclass
class Socket:
    """A WebSocket."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int, token: str, *, reads: bool = True) -> Socket:
        made = await asyncio.to_thread(_socket, port, tiny=not reads)
        made.setblocking(False)
        # Of one who does not read, asyncio must not read either.
        reader, writer = await asyncio.open_connection(sock=made, limit=1 << 22 if reads else 1)
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": key}  # fmt: skip
        writer.write(_request(token, "/api/v1/events/ws", **upgrade))
        if reads:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101"), head
        return cls(reader, writer)

    def say(self, **document: Any) -> None:
        text = json.dumps(document).encode()
        mask = os.urandom(4)
        assert len(text) < 126
        masked = bytes(byte ^ mask[number % 4] for number, byte in enumerate(text))
        self.writer.write(bytes([0x81, 0x80 | len(text)]) + mask + masked)

    async def frame(self) -> tuple[int, bytes]:
        """The next: what kind, and what it says."""
        first, length = await self.reader.readexactly(2)
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 15, await self.reader.readexactly(length)

    async def hear(self, op: str) -> dict[str, Any]:
        """The next that is of this kind."""
        while True:
            kind, text = await self.frame()
            assert kind == 1, (kind, text)
            heard: dict[str, Any] = json.loads(text)
            if heard["op"] == op:
                return heard

    async def closed(self) -> int:
        """Wait for the end. Returns its code."""
        while True:
            kind, text = await self.frame()
            if kind == 8:
                return int(struct.unpack("!H", text[:2])[0])
