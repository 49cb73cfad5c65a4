"""Bodies: read within bounds, and looked through for what could not be stored before anything is done with them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import falcon.asgi
from pydantic_core import from_json

from pgflow.api.problems import ProblemError
from pgflow.codec import faults
from pgflow.errors import PayloadError

MOST_DEPTH = 64
READ_SECONDS = 30.0
"""How long a body may take to come; who sends a byte a second is cut off."""
_SUSPICIOUS = re.compile(rb"[0-9]{19}|\\u(?:0000|[dD][89a-fA-F])|[eE][+]?[0-9]{3}")


async def read(req: falcon.asgi.Request, limit: int) -> bytes:
    """The whole body, or `too_large`."""
    length = req.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for part in req.stream:
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise ProblemError("bad_request", f"the body did not come within {READ_SECONDS:g} s") from None
    return b"".join(parts)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(
        "too_large", f"the body has more than {limit} bytes", hint="PGFLOW_API_BODY_LIMIT sets how many"
    )


def check_media_type(req: falcon.asgi.Request) -> None:
    """Raise `unsupported_media_type` unless the body says that it is JSON."""
    kind = (req.content_type or "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise ProblemError(
            "unsupported_media_type", f"a body of {kind or 'no type'} is not taken", hint="send application/json"
        )


def parse(data: bytes) -> Any:
    """The JSON value, none of which Postgres would refuse.

    Raises:
        ProblemError: it is no JSON, or holds NaN, the character U+0000, half a character, a number past 64 bits, or is
            nested too deep.
    """
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise ProblemError("bad_json", f"the body is no JSON: {error}") from None
    if data.count(b"[") + data.count(b"{") > MOST_DEPTH and _depth(value) > MOST_DEPTH:
        raise ProblemError("bad_json", f"objects and arrays are nested more than {MOST_DEPTH} deep")
    if _SUSPICIOUS.search(data):
        try:
            faults.check(value)
        except PayloadError as error:
            raise ProblemError("bad_json", error.message, hint=error.hint) from None
    return value


def _depth(value: Any) -> int:
    deepest = 0
    stack = [(value, 1)]
    while stack:
        one, depth = stack.pop()
        children = one.values() if isinstance(one, dict) else one if isinstance(one, list) else None
        if children is None:
            continue
        deepest = max(deepest, depth)
        if depth > MOST_DEPTH:
            return depth
        stack.extend((child, depth + 1) for child in children)
    return deepest
