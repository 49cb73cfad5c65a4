"""What all answers have in common: a request id, headers that make browsers careful, compression."""

from __future__ import annotations

import asyncio
import gzip
import re
import secrets

import falcon
import falcon.asgi

from pgflow.api.revisions import is_known

COMPRESSED_FROM = 1400
"""Bytes; what fits into a packet is sent as it is."""
IN_LOOP = 128 * 1024
"""Bytes that are compressed in no time; more are compressed beside the loop."""
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[0-9.]+\s*)?(?:,|$)", re.IGNORECASE)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}


def request_id(req: falcon.asgi.Request) -> str:
    """The id that came with the request, if it is a decent one, else a new one."""
    given = req.get_header("X-Request-Id")
    return given if given and _GIVEN_ID.fullmatch(given) else secrets.token_hex(12)


def dress(resp: falcon.asgi.Response, id: str | None) -> None:
    """Add the headers that a responder has not set itself."""
    for name, value in _HEADERS.items():
        if resp.get_header(name) is None:
            resp.set_header(name, value)
    if id is not None:
        resp.set_header("X-Request-Id", id)


def condition(req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
    """Answer 304, and nothing more, to who has it already. What has an ETag may be kept, and is asked for again."""
    tag = resp.get_header("ETag")
    if tag is None or req.method != "GET" or resp.status_code != 200:
        return
    if resp.get_header("Cache-Control") is None:
        resp.set_header("Cache-Control", "private, no-cache")
        resp.append_header("Vary", "Authorization, Cookie")
    if is_known(req.get_header("If-None-Match"), tag):
        resp.status = falcon.HTTP_304
        resp.data = None
        resp.delete_header("Content-Type")


async def compress(req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
    """Compress a big answer for who takes that."""
    data = resp.data
    if data is None or len(data) < COMPRESSED_FROM or resp.get_header("Content-Encoding"):
        return
    resp.append_header("Vary", "Accept-Encoding")
    if not _GZIP.search(req.get_header("Accept-Encoding") or ""):
        return
    if len(data) <= IN_LOOP:
        resp.data = gzip.compress(data, 4, mtime=0)
    else:
        resp.data = await asyncio.to_thread(gzip.compress, data, 4, mtime=0)
    resp.set_header("Content-Encoding", "gzip")
