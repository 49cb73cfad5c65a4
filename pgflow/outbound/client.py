"""The client for calls to servers of others."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpcore
import httpx

from pgflow.config import Settings
from pgflow.outbound.connecting import Guard, Resolve, Resolver
from pgflow.outbound.errors import OutboundFailed
from pgflow.outbound.policy import Policy
from pgflow.outbound.reply import Reply
from pgflow.outbound.target import parse

CONNECT = 5.0
TIMEOUT = 15.0
LIMIT = 1024 * 1024
MOST_CONNECTIONS = 100
KEPT_ALIVE = 15.0

_HEADERS = {"user-agent": "pgflow", "accept": "*/*", "accept-encoding": "identity"}

# Longer names first: the first that fits is told.
_TROUBLES: tuple[tuple[type[Exception], str], ...] = (
    (httpcore.ConnectTimeout, "no connection within {connect:g} s"),
    (httpcore.PoolTimeout, "too many calls at once"),
    (httpcore.ProxyError, "the proxy refused: {error}"),
    (httpcore.ConnectError, "no connection: {error}"),
    (httpcore.RemoteProtocolError, "no proper HTTP answer: {error}"),
    (httpcore.LocalProtocolError, "not sendable as HTTP: {error}"),
    (httpcore.NetworkError, "the connection broke: {error}"),
    (httpcore.TimeoutException, "no answer within {timeout:g} s"),
)
_KINDS = tuple(kind for kind, _ in _TROUBLES)


class Outbound:
    """Calls servers of others: only public addresses unless the operator says otherwise, within a time, up to a size,
    following no redirect. One a process is enough; it belongs to the event loop that it is first used in.

    Args:
        policy: where calls may go.
        connect: seconds to resolve the name and connect, the TLS handshake included.
        timeout: seconds a call may take in all.
        limit: bytes of an answer.
        proxy: the URL of an HTTP proxy that all calls go through. It then resolves the names, and whether they may be
            called is its business; addresses are refused here all the same.
        tls: what servers are trusted by; the certifi authorities (or those of SSL_CERT_FILE) unless given.
        resolve: the resolver; the system's unless given.

    Example:
        >>> async with Outbound(Policy()) as outbound:                       # doctest: +SKIP
        ...     reply = await outbound.request("POST", "https://example.com/hook", json={"a": 1})
    """

    def __init__(
        self, policy: Policy, *, connect: float = CONNECT, timeout: float = TIMEOUT, limit: int = LIMIT,
        proxy: str | None = None, tls: ssl.SSLContext | None = None, resolve: Resolve | None = None,
    ) -> None:  # fmt: skip
        self._policy = policy
        self._connect = connect
        self._timeout = timeout
        self._limit = limit
        self._resolver = Resolver()
        self._pool = _pool(policy, tls or httpx.create_ssl_context(), resolve or self._resolver, proxy)

    @classmethod
    def of(cls, settings: Settings) -> Outbound:
        """As the operator has set it up.

        Raises:
            ConfigError: PGFLOW_OUTBOUND_ALLOW makes no sense.
        """
        return cls(Policy.of(settings), proxy=settings.outbound_proxy)

    async def __aenter__(self) -> Outbound:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()
        self._resolver.close()

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | str | None = None,
        json: Any = None, params: Mapping[str, Any] | None = None, timeout: float | None = None,
        limit: int | None = None, cut: bool = False,
    ) -> Reply:  # fmt: skip
        """Make a call. Whatever status comes back is an answer, redirects too.

        Args:
            method: such as GET.
            url: absolute, http or https.
            headers: sent beside the usual ones.
            content: the body; or
            json: the body as JSON.
            params: added to the URL's query.
            timeout: seconds in all, in the place of the client's.
            limit: bytes of the answer, in the place of the client's.
            cut: what is longer, or takes longer, is cut off; else it is an error. The status has to come in time.

        Raises:
            OutboundRefused: that URL may not be called.
            OutboundFailed: there was no complete answer.
        """
        target = parse(url, self._policy)
        whole = self._timeout if timeout is None else timeout
        extensions = {"timeout": {"connect": min(self._connect, whole), "pool": whole, "read": whole, "write": whole}}
        begun = time.monotonic()
        try:
            sent = httpx.Headers(_HEADERS)
            sent.update(headers or {})
            request = httpx.Request(
                method, target.copy_merge_params(params) if params else target, headers=sent,
                content=content, json=json, extensions=extensions,
            )  # fmt: skip
        except (TypeError, ValueError) as error:
            raise OutboundFailed(f"{_where(target)}: not sendable as HTTP: {error}") from None
        taken = _Taken(self._limit if limit is None else limit)
        answer: httpcore.Response | None = None
        try:
            async with asyncio.timeout(whole):
                answer = await self._pool.handle_async_request(_plain(request))
                try:
                    await taken.read(answer)
                finally:
                    await answer.aclose()
        except TimeoutError:
            if answer is None or not cut:
                raise OutboundFailed(f"{_where(target)}: no complete answer within {whole:g} s") from None
            taken.more = True
        except _KINDS as error:
            raise self._failed(target, error, whole) from None
        if taken.more and not cut:
            raise OutboundFailed(f"{_where(target)}: the answer has more than {taken.limit:,} bytes")
        seconds = time.monotonic() - begun
        return Reply(answer.status, httpx.Headers(answer.headers), bytes(taken.body), taken.more, seconds)

    async def open(
        self, method: str, url: str, *, headers: Sequence[tuple[bytes, bytes]], content: bytes, timeout: float
    ) -> httpcore.Response:
        """Make a call, and hand over the answer before its body was read: for clients of others. Whoever has it reads
        and closes it.

        Args:
            method: such as GET.
            url: absolute, http or https.
            headers: all that are sent.
            content: the body.
            timeout: seconds for which nothing may come.

        Raises:
            OutboundRefused: that URL may not be called.
            OutboundFailed: there was no answer.
        """
        target = parse(url, self._policy)
        waits = {"connect": min(self._connect, timeout), "pool": timeout, "read": timeout, "write": timeout}
        at = httpcore.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path)
        request = httpcore.Request(method, at, headers=list(headers), content=content, extensions={"timeout": waits})
        try:
            return await self._pool.handle_async_request(request)
        except _KINDS as error:
            raise self._failed(target, error, timeout) from None

    def _failed(self, target: httpx.URL, error: Exception, timeout: float) -> OutboundFailed:
        text = next(text for kind, text in _TROUBLES if isinstance(error, kind))
        told = text.format(connect=min(self._connect, timeout), timeout=timeout, error=_said(error))
        return OutboundFailed(f"{_where(target)}: {told}")


class _Taken:
    """What was taken of a body, as it came: unpacked, a few bytes may be gigabytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.body = bytearray()
        self.more = False

    async def read(self, answer: httpcore.Response) -> None:
        async for part in answer.aiter_stream():
            self.body += part
            if len(self.body) > self.limit:
                del self.body[self.limit :]
                self.more = True
                return


def _where(url: httpx.URL) -> str:
    """The server, without path and query: these may hold a token."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _said(error: BaseException) -> str:
    """What went wrong: the system's own words, where they are at the bottom of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, ssl.SSLError):
            return os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def _plain(request: httpx.Request) -> httpcore.Request:
    """For the connections themselves. Of httpx's client nothing is used: it keeps cookies from one call to the next."""
    url = request.url
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _pool(policy: Policy, tls: ssl.SSLContext, resolve: Resolve, proxy: str | None) -> httpcore.AsyncConnectionPool:
    if proxy is None:
        return httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=MOST_CONNECTIONS, keepalive_expiry=KEPT_ALIVE,
            network_backend=Guard(policy, resolve),
        )  # fmt: skip
    to = httpx.Proxy(proxy)
    return httpcore.AsyncHTTPProxy(
        proxy_url=httpcore.URL(
            scheme=to.url.raw_scheme, host=to.url.raw_host, port=to.url.port, target=to.url.raw_path
        ),
        proxy_auth=to.raw_auth, proxy_headers=to.headers.raw, ssl_context=tls,
        max_connections=MOST_CONNECTIONS, keepalive_expiry=KEPT_ALIVE,
    )  # fmt: skip
