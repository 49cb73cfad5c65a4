"""Problem documents as our errors."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import orjson

from pgflow.errors import (
    ApiUnavailable,
    ArgumentError,
    IdempotencyConflict,
    NameTaken,
    NotFound,
    PermissionDenied,
    PgflowError,
)

_OF: dict[str, type[PgflowError]] = {
    "unauthenticated": PermissionDenied,
    "forbidden": PermissionDenied,
    "cross_site": PermissionDenied,
    "not_found": NotFound,
    "name_taken": NameTaken,
    "bad_request": ArgumentError,
    "bad_json": ArgumentError,
    "invalid": ArgumentError,
    "too_large": ArgumentError,
    "headers_too_large": ArgumentError,
    "unsupported_media_type": ArgumentError,
    "too_many_requests": ApiUnavailable,
    "too_many_streams": ApiUnavailable,
    "unavailable": ApiUnavailable,
    "internal": ApiUnavailable,
}
_HOLDER = re.compile(r"by task ([0-9]+)")


def raised(status: int, content: bytes, key: str | None, location: str | None = None) -> PgflowError:
    """The error that an answer is.

    Args:
        status: of the answer.
        content: its body: a problem document, if it is ours.
        key: what the request was sent with.
        location: where it sends the client instead, which is not gone to: the request may be done there, or not.
    """
    problem = _document(content)
    code, detail = problem.get("code"), problem.get("detail")
    if not isinstance(code, str) or not isinstance(detail, str):
        kind = PgflowError if 400 <= status < 500 else ApiUnavailable
        what = "is PGFLOW_API_URL that of the API?"
        if location is not None and 300 <= status < 400:
            what = f"it sends to {_place(location)}: give PGFLOW_API_URL as it is there"
        return kind(f"the API answered {status}, and not as pgflow does", hint=what)
    if code == "key_reused" and (holder := _HOLDER.search(detail)):
        return IdempotencyConflict(key or "", int(holder[1]))
    hint = problem.get("hint")
    return _OF.get(code, PgflowError)(detail, hint=hint if isinstance(hint, str) else None)


def _place(location: str) -> str:
    """The beginning of an address, without what may be secret in it."""
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.hostname}" if parts.scheme and parts.hostname else "another path"


def _document(content: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
