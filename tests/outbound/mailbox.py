"""A mail server on a real socket that keeps what it is sent."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Mailbox:
    """A running server, and what it took."""

    port: int = 0
    offer: ssl.SSLContext | None = None
    """Offers STARTTLS with this."""
    refuse: dict[str, str] = field(default_factory=dict)
    """What it says to a command, by its beginning, instead of doing it."""
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    users: list[tuple[str, str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        self.writers.discard(writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to: list[str] = []
        say = lambda text: writer.write(text.encode() + b"\r\n")  # noqa: E731
        say("220 mailbox ESMTP")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            command = line.upper()
            refusal = next((said for start, said in self.refuse.items() if command.startswith(start.upper())), None)
            if refusal is not None:
                say(refusal)
            elif command.startswith("EHLO"):
                secure = writer.get_extra_info("ssl_object") is not None
                offers = ["AUTH PLAIN", *(["STARTTLS"] if self.offer and not secure else [])]
                for offer in ("mailbox", *offers[:-1]):
                    say(f"250-{offer}")
                say(f"250 {offers[-1]}")
            elif command == "STARTTLS":
                say("220 go on")
                assert self.offer is not None
                await writer.start_tls(self.offer)
            elif command.startswith("AUTH PLAIN"):
                _, user, password = b64decode(line.split(" ")[2]).decode().split("\0")
                self.users.append((user, password))
                say("235 welcome")
            elif command.startswith("RCPT TO:"):
                to.append(line[9:].partition(">")[0])
                say("250 well")
            elif command == "DATA":
                say("354 go on")
                letter = await reader.readuntil(b"\r\n.\r\n")
                made = message_from_bytes(letter[:-5].replace(b"\r\n..", b"\r\n."), policy=policy.default)
                assert isinstance(made, EmailMessage)
                self.letters.append(made)
                self.recipients.append(to)
                self.encrypted.append(writer.get_extra_info("ssl_object") is not None)
                say("250 kept")
            elif command == "QUIT":
                say("221 bye")
                await writer.drain()
                return
            else:
                say("250 well")
            await writer.drain()


@asynccontextmanager
async def mailbox(
    *, tls: ssl.SSLContext | None = None, offer: ssl.SSLContext | None = None, **refuse: str
) -> AsyncIterator[Mailbox]:
    """A mail server for the length of the block."""
    box = Mailbox(offer=offer, refuse=refuse)
    listening = await asyncio.start_server(box.serve, "127.0.0.1", 0, ssl=tls)
    box.port = listening.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        listening.close()
        for writer in tuple(box.writers):
            writer.transport.abort()
        await asyncio.sleep(0.01)
