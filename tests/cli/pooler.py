"""What a transaction pooler does to the protocol, between a client and the test's server: it refuses start-up options,
makes up its own cancel key, and may swallow notifications. Each can be had by itself."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from psycopg.conninfo import conninfo_to_dict, make_conninfo


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def _refusal(text: str) -> bytes:
    fields = b"SFATAL\0VFATAL\0C08P01\0M" + text.encode() + b"\0\0"
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


class _Connection:
    def __init__(self, client: socket.socket, server: socket.socket, *, refuse_options: bool, deaf: bool) -> None:
        self.client, self.server = client, server
        self.refuse_options, self.deaf = refuse_options, deaf

    def run(self) -> None:
        with self.client, self.server, suppress(OSError, struct.error):
            (length,) = struct.unpack("!i", header := _exactly(self.client, 4))
            startup = _exactly(self.client, length - 4)
            if self.refuse_options and b"\0options\0" in startup:
                self.client.sendall(_refusal("unsupported startup parameter: options"))
                return
            self.server.sendall(header + startup)
            threading.Thread(target=self._upstream, daemon=True).start()
            while True:
                kind, length = struct.unpack("!ci", head := _exactly(self.server, 5))
                body = _exactly(self.server, length - 4)
                if kind == b"K":
                    body = struct.pack("!i", 4711) + body[4:]
                if not (kind == b"A" and self.deaf):
                    self.client.sendall(head + body)

    def _upstream(self) -> None:
        with suppress(OSError):
            while data := self.client.recv(65536):
                self.server.sendall(data)


@contextmanager
def pooler(url: str, *, refuse_options: bool = False, deaf: bool = False) -> Iterator[str]:
    """The URL of the same database through it."""
    target = conninfo_to_dict(url)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((str(target["host"]), int(str(target["port"]))))
                connection = _Connection(client, server, refuse_options=refuse_options, deaf=deaf)
                threading.Thread(target=connection.run, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        port = listener.getsockname()[1]
        yield make_conninfo(url, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
    finally:
        listener.close()
