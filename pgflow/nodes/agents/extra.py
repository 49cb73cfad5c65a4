"""Modules here that need the extra `agents`, and take a while to import."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from pgflow.errors import Fatal

_NEEDED = ("pydantic_ai", "openai", "mcp", "httpx2", "genai_prices")


async def brought(name: str) -> Any:
    """A module of this package, imported in a thread.

    Args:
        name: its last part.

    Raises:
        Fatal: the extra is not installed here.
    """
    try:
        return await asyncio.to_thread(import_module, f"pgflow.nodes.agents.{name}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _NEEDED:
            raise
        raise Fatal(
            f"agents need the package {package}, which is not installed where this worker runs: "
            "pip install 'pgflow-engine[agents]'"
        ) from None
