"""Where the API is and how it is asked: what both colours of clients have in common, and their transports."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from pgflow.config import Settings
from pgflow.errors import ConfigError
from pgflow.sdk.remote.exchange import Answer, Ask, Lost

BASE = "/api/v1"
Params = Sequence[tuple[str, str]]
SILENCE = 60.0
"""Seconds without a byte after which a stream is taken for dead; the API sends something every 15."""


class Place:
    """Where the API is, and with what it is asked.

    Args:
        url: as in `https://flows.example.com`; the setting `PGFLOW_API_URL` unless given.
        token: the setting `PGFLOW_TOKEN` unless given.
        timeout: seconds that an answer may take.
        retries: how often the same is asked again, where that is safe.
        settings: where the settings are; the environment unless given.

    Raises:
        ConfigError: there is no address, or it is none.
    """

    def __init__(
        self, url: str | None, token: str | None, timeout: float, retries: int, settings: Settings | None
    ) -> None:  # fmt: skip
        if url is None or token is None:
            settings = settings or Settings()
            url, token = url or settings.api_url, token or settings.token
        self.url = _checked(url)
        self.timeout = timeout
        self.retries = retries
        self.rng = random.Random()
        self._token = token

    @property
    def base(self) -> str:
        """What all paths are below."""
        return self.url + BASE

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request."""
        known = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        return {"User-Agent": "pgflow", "Accept": "application/json"} | known

    def limits(self, ask: Ask) -> httpx.Timeout:
        """How long it may take."""
        return httpx.Timeout(self.timeout, read=self.timeout + ask.patience)

    def stream_limits(self) -> httpx.Timeout:
        """How long a stream may be silent."""
        return httpx.Timeout(self.timeout, read=SILENCE)


def _checked(url: str | None) -> str:
    if not url:
        raise ConfigError("where the API is, is not known", hint="give url=, or set PGFLOW_API_URL")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
        raise ConfigError(
            "the address of the API is no plain http:// or https:// one", hint="as in https://flows.example.com"
        )
    return url.rstrip("/").removesuffix(BASE)


def options(place: Place, ask: Ask) -> dict[str, Any]:
    """The request as httpx takes it."""
    headers: dict[str, str] = dict(ask.headers)
    if ask.content is not None:
        headers["Content-Type"] = "application/json"
    return {
        "method": ask.method, "url": place.base + ask.path, "params": ask.params, "content": ask.content,
        "headers": place.headers | headers, "timeout": place.limits(ask),
    }  # fmt: skip


def answered(response: httpx.Response) -> Answer:
    """What came back."""
    return Answer(response.status_code, _lower(response.headers), response.content)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def lost(place: Place, error: httpx.TransportError) -> Lost:
    """What is known of an answer that did not come. What the error says is not repeated: that may be anything."""
    unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    kind = "no answer in time from" if isinstance(error, httpx.TimeoutException) else "no answer from"
    return Lost(f"{'no connection to' if unsent else kind} {place.url}", unsent)


@contextmanager
def streamed(http: httpx.Client, place: Place, headers: dict[str, str], params: Params) -> Iterator[Any]:
    """An open stream of events, or a `Lost`, or an `Answer` that is none."""
    try:
        with http.stream(
            "GET", place.base + "/events", headers=place.headers | headers, params=httpx.QueryParams(tuple(params)),
            timeout=place.stream_limits(),
        ) as response:  # fmt: skip
            if response.status_code != 200:
                response.read()
                yield answered(response)
            else:
                yield response
    except httpx.TransportError as error:
        yield lost(place, error)


@asynccontextmanager
async def streamed_async(
    http: httpx.AsyncClient, place: Place, headers: dict[str, str], params: Params
) -> AsyncIterator[Any]:
    """The same, awaited."""
    try:
        async with http.stream(
            "GET", place.base + "/events", headers=place.headers | headers, params=httpx.QueryParams(tuple(params)),
            timeout=place.stream_limits(),
        ) as response:  # fmt: skip
            if response.status_code != 200:
                await response.aread()
                yield answered(response)
            else:
                yield response
    except httpx.TransportError as error:
        yield lost(place, error)
