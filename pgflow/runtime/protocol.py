"""What a supervisor and its executors say to each other: JSON lines over a socket pair.

Executor to supervisor: `hello` (its worker is registered), `pulse` (each second: how many tasks run, its floors),
`failed` (the apps could not be loaded), `bye` (drained). Supervisor to executor: `setup` first, then `answer` (what the
database said to the last beat), `cancel`, `drain`. When the line closes, the other one is gone: an executor then stops
at once, since nobody renews its lease any more.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import orjson

Message = dict[str, Any]
LIMIT = 16 * 1024 * 1024


class Line:
    """One end of the line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Line:
        """Speak over this end of a socket pair."""
        reader, writer = await asyncio.open_unix_connection(sock=end, limit=LIMIT)
        return cls(reader, writer)

    def say(self, kind: str, **content: Any) -> None:
        """Send a message; lost without an error when nobody is there."""
        if not self._writer.is_closing():
            self._writer.write(orjson.dumps({"kind": kind, **content}) + b"\n")

    async def hear(self) -> Message | None:
        """The next message; None when the line is closed."""
        try:
            line = await self._reader.readline()
        except (ConnectionError, asyncio.IncompleteReadError):
            return None
        return orjson.loads(line) if line.endswith(b"\n") else None

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
