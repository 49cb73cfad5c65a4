"""The OpenAPI document, and a page to read it with. Nothing on it comes from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import falcon.asgi
import orjson

from pgflow.api.asked import Asked
from pgflow.api.operation import operation
from pgflow.api.problems import ProblemError
from pgflow.api.revisions import completed

_FILES = {"page.js": "text/javascript; charset=utf-8", "page.css": "text/css; charset=utf-8"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Reference:
    """`/api/v1/openapi.json` and `/api/v1/docs`."""

    def __init__(self) -> None:
        self.make: Callable[[], dict[str, Any]] = dict
        self._text: bytes | None = None

    @operation("This document", media_type="application/openapi+json", tagged="content")
    async def on_get(self, asked: Asked) -> bytes:
        """OpenAPI 3.1, made from what requests are checked by."""
        if self._text is None:  # making it takes a while, and few ask for it
            self._text = orjson.dumps(self.make())
        return self._text

    async def on_get_page(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """The page."""
        _send(resp, "page.html", "text/html; charset=utf-8")

    async def on_get_file(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, file: str) -> None:
        """What the page needs."""
        if file not in _FILES:
            raise ProblemError("not_found", "there is no such file")
        _send(resp, file, _FILES[file])


def _send(resp: falcon.asgi.Response, file: str, media_type: str) -> None:
    resp.content_type = media_type
    resp.set_header("Content-Security-Policy", _POLICY)
    resp.set_header("Cache-Control", "no-cache")
    resp.data = files("pgflow.api").joinpath("static", file).read_bytes()
    resp.set_header("ETag", completed(None, resp.data))
