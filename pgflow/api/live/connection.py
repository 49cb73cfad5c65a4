"""The connection under an answer that stays open.

ASGI tells an application nothing of it: who waits in `send` for somebody that does not read waits for ever, and what
the server has buffered for them keeps it from ending. So the server's protocol class is made to leave the transport in
the scope. Where it is not there, as under another server or in a test without one, slow clients are still dropped when
they fall behind, but their connections are not cut.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol

EXTENSION = "pgflow.transport"
KERNEL = 64 * 1024
"""Bytes that the kernel is to hold of a stream, which otherwise would grow to megabytes for who does not read."""


class Connection(ASGIProtocol):  # type: ignore[misc]
    """Gunicorn's own, which leaves the transport in the scope."""

    def _build_http_scope(self, *args: Any, **more: Any) -> dict[str, Any]:
        return self._extended(super()._build_http_scope(*args, **more))

    def _build_websocket_scope(self, *args: Any, **more: Any) -> dict[str, Any]:
        return self._extended(super()._build_websocket_scope(*args, **more))

    def _extended(self, scope: dict[str, Any]) -> dict[str, Any]:
        scope["extensions"] = {**(scope.get("extensions") or {}), EXTENSION: self.transport}
        return scope


def transport_of(scope: Mapping[str, Any]) -> asyncio.WriteTransport | None:
    """What the answer is written to, made to hold little; None if the server does not tell."""
    found: asyncio.WriteTransport | None = (scope.get("extensions") or {}).get(EXTENSION)
    if found is not None:
        with suppress(OSError, AttributeError):
            found.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
    return found
