"""An MCP server on a real socket, made with the MCP package itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError


@dataclass
class ToolServer:
    """A running server.

    Attributes:
        url: where it is.
        called: which tools were called with what.
        tokens: what came in the header Authorization.
    """

    url: str = ""
    called: list[tuple[str, object]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)


@asynccontextmanager
async def tooling() -> AsyncIterator[ToolServer]:
    """A server with the tools `add`, `look.up` and `broken`."""
    made = ToolServer()
    server = MCPServer("tools")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        made.called.append(("add", (a, b)))
        return a + b

    @server.tool(name="look.up", description="Look something up.")
    def look_up(word: str) -> str:
        made.called.append(("look.up", word))
        return f"{word} is a word"

    @server.tool()
    def broken() -> str:
        """Does not work."""
        made.called.append(("broken", None))
        raise ToolError("the disk is full")

    app = server.streamable_http_app()

    async def noting(scope: dict, receive: object, send: object) -> None:  # type: ignore[type-arg]
        for name, value in scope.get("headers", ()):
            if name == b"authorization":
                made.tokens.add(value.decode())
        await app(scope, receive, send)  # type: ignore[arg-type]

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    made.url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    config = uvicorn.Config(noting, log_level="critical", lifespan="on", timeout_graceful_shutdown=1)  # type: ignore[arg-type]
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve([listening]))
    while not running.started:
        await asyncio.sleep(0.005)
    try:
        yield made
    finally:
        running.should_exit = True
        await serving
