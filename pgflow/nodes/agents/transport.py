"""How clients of others (pydantic-ai's, MCP's) call servers: through the operator's guard, like everything else.

Their HTTP client is httpx2; below it stands the pool of `pgflow.outbound`, which vets each address where it connects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpcore
import httpx2

from pgflow.outbound.client import Outbound
from pgflow.outbound.errors import OutboundFailed, OutboundRefused

MOST_BYTES = 64 * 1024 * 1024
"""Bytes of one answer."""
_FOR_THE_POOL = {b"connection", b"transfer-encoding", b"accept-encoding"}


class Unreachable(httpx2.ConnectError):
    """There was no answer."""


class Refused(httpx2.RequestError):
    """That address may not be called: `pgflow.outbound` said why."""


class Guarded(httpx2.AsyncBaseTransport):
    """A transport that goes only where the operator allows.

    Args:
        outbound: the guarded client.
        timeout: seconds for which nothing may come.
    """

    def __init__(self, outbound: Outbound, timeout: float) -> None:
        self._outbound, self._timeout = outbound, timeout

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Make the call."""
        headers = [pair for pair in request.headers.raw if pair[0].lower() not in _FOR_THE_POOL]
        headers.append((b"accept-encoding", b"identity"))  # unpacked, a few bytes may be gigabytes
        content = await request.aread()
        if content and b"content-length" not in {name.lower() for name, _ in headers}:  # it was to come in pieces
            headers.append((b"content-length", str(len(content)).encode()))
        try:
            answer = await self._outbound.open(
                request.method, str(request.url), headers=headers, content=content, timeout=self._timeout
            )
        except OutboundRefused as error:
            raise Refused(f"{error}", request=request) from error
        except OutboundFailed as error:
            raise Unreachable(f"{error}", request=request) from error
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer), request=request)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        taken = 0
        try:
            async for part in self._answer.stream:  # type: ignore[union-attr]
                taken += len(part)
                if taken > MOST_BYTES:
                    raise httpx2.ReadError(f"the answer has more than {MOST_BYTES:,} bytes")
                yield part
        except httpcore.TimeoutException as error:
            raise httpx2.ReadTimeout("nothing came any more") from error
        except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
            raise httpx2.ReadError(f"the connection broke: {error}") from error

    async def aclose(self) -> None:
        await self._answer.aclose()


def client(outbound: Outbound, timeout: float, headers: dict[str, str] | None = None) -> httpx2.AsyncClient:
    """A client that goes only where the operator allows. Closing it leaves the connections to the pool."""
    return httpx2.AsyncClient(
        transport=Guarded(outbound, timeout), timeout=timeout, headers=headers, follow_redirects=False, trust_env=False
    )


def why_refused(error: BaseException) -> str | None:
    """What the guard said, if that is why a call failed."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, OutboundRefused):
            return str(cause)
        if isinstance(cause, BaseExceptionGroup):
            return next((said for one in cause.exceptions if (said := why_refused(one)) is not None), None)
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None
