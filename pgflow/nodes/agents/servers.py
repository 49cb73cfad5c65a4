"""MCP servers: what tools they have, and calls of these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND, CallToolResult, TextContent

from pgflow.errors import Fatal, RetryLater
from pgflow.nodes.agents.config import Mcp
from pgflow.nodes.agents.transport import client, why_refused
from pgflow.outbound.client import Outbound

MOST_PAGES = 100
QUOTED = 500
_REFUSALS = {INVALID_PARAMS, METHOD_NOT_FOUND}
"""What says that the call itself makes no sense."""


class ServerFailed(RetryLater):
    """An MCP server did not answer, but may when it is asked again."""


class ToolRefused(Fatal):
    """An MCP server answered that the tool failed: the model is told so."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool that a server has.

    Args:
        name: what the server calls it.
        description: for the model.
        schema: a JSON Schema of its arguments.
    """

    name: str
    description: str | None
    schema: dict[str, Any]


async def offers(server: Mcp, outbound: Outbound) -> list[Offer]:
    """All tools that a server has, or those of them that are wanted.

    Args:
        server: which, with secrets in clear.
        outbound: what calls are made with.

    Raises:
        Fatal: it may not be called, or lacks what is wanted.
        ServerFailed: it did not answer.
    """
    found: list[Offer] = []
    async with _opened(server, outbound) as session:
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            listed = await session.list_tools(cursor=cursor)
            found += [Offer(tool.name, tool.description, dict(tool.input_schema)) for tool in listed.tools]
            cursor = listed.next_cursor
            if cursor is None:
                break
    if not server.only:
        return found
    lacking = sorted(set(server.only) - {tool.name for tool in found})
    if lacking:
        there = ", ".join(tool.name for tool in found) or "none"
        raise Fatal(f"the MCP server {_where(server)} has no tool {', '.join(lacking)}; it has: {there}")
    return [tool for tool in found if tool.name in server.only]


async def call(server: Mcp, tool: str, arguments: Mapping[str, Any], outbound: Outbound) -> Any:
    """Have a tool called. Returns what it gives: JSON, or text.

    Args:
        server: which, with secrets in clear.
        tool: what the server calls it.
        arguments: by name.
        outbound: what calls are made with.

    Raises:
        ToolRefused: the tool failed.
        Fatal: the server may not be called.
        ServerFailed: it did not answer.
    """
    failed, given = False, None
    async with _opened(server, outbound) as session:
        try:
            result = await session.call_tool(tool, dict(arguments), read_timeout_seconds=server.timeout)
            failed, given = bool(result.is_error), _given(result)
        except MCPError as error:
            if error.code not in _REFUSALS:
                raise
            failed, given = True, error.message
    if failed:
        raise ToolRefused(str(given)[:QUOTED] or "it failed, and says nothing more")
    return given


def _given(result: CallToolResult) -> Any:
    if result.structured_content is not None:
        structured = result.structured_content
        return structured["result"] if set(structured) == {"result"} else structured
    parts = [part.text if isinstance(part, TextContent) else f"({part.type})" for part in result.content]
    return "\n".join(parts)


@asynccontextmanager
async def _opened(server: Mcp, outbound: Outbound) -> AsyncIterator[Client]:
    try:
        async with (
            asyncio.timeout(server.timeout),
            client(outbound, server.timeout, dict(server.headers)) as http,
            Client(
                streamable_http_client(server.url, http_client=http), cache=None,
                read_timeout_seconds=server.timeout,
            ) as session,
        ):  # fmt: skip
            yield session
    except (Fatal, RetryLater):
        raise
    except TimeoutError:
        raise ServerFailed(f"the MCP server {_where(server)} did not answer within {server.timeout:g} s") from None
    except Exception as error:  # noqa: BLE001 (the client's own and anyio's groups: whatever it is, there is no answer)
        if (refused := why_refused(error)) is not None:
            raise Fatal(f"the MCP server {_where(server)} may not be called: {refused}") from None
        raise ServerFailed(f"the MCP server {_where(server)} did not answer: {_said(error)}") from None


def _where(server: Mcp) -> str:
    url = httpx2.URL(server.url)
    return f"{url.scheme}://{url.netloc.decode()}"


def _said(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(str(error).split())[:QUOTED] or type(error).__name__
