"""Connecting to the address that was vetted.

A check of a name before the call is worth nothing: whoever owns the name can have it stand for a public address when it
is checked and for 127.0.0.1 when it is called. So names are resolved here, once, at the moment of connecting; the
answers are judged, and the connection is made to one of the good ones, by number. The name is kept for the Host header
and for the certificate. A redirect, a kept-alive connection or a retry gets no further: each new connection comes
through here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import httpcore

from pgflow.outbound.errors import OutboundFailed, OutboundRefused
from pgflow.outbound.policy import Policy, literal
from pgflow.outbound.target import not_public

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses that a name stands for."""

MOST_ADDRESSES = 4


class Resolver:
    """The system's resolver, in threads of its own: a name server that hangs holds up nobody else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(8, "pgflow-resolver")

    async def __call__(self, host: str, port: int) -> list[str]:
        """The addresses, in the system's order.

        Raises:
            OSError: there is no such name, or nobody says.
        """
        loop = asyncio.get_running_loop()
        answers = await loop.run_in_executor(self._threads, _addresses, host, port)
        return list(dict.fromkeys(answers))

    def close(self) -> None:
        """Wait for nothing."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int) -> list[str]:
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Guard(httpcore.AsyncNetworkBackend):
    """Opens connections, to vetted addresses only.

    Args:
        policy: where they may go.
        resolve: the resolver.
        backend: what opens the sockets.
    """

    def __init__(self, policy: Policy, resolve: Resolve, backend: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._policy = policy
        self._resolve = resolve
        self._backend = backend or httpcore.AnyIOBackend()

    async def vetted(self, host: str, port: int) -> list[str]:
        """The addresses at which this host may be called.

        Raises:
            OutboundFailed: it stands for none.
            OutboundRefused: it stands for none that may be called.
        """
        spelled = literal(host)
        try:
            answers = [str(spelled)] if spelled is not None else await self._resolve(host, port)
        except OSError as error:
            raise OutboundFailed(f"{host} cannot be resolved: {error.strerror or error}") from None
        except UnicodeError:
            raise OutboundFailed(f"{host} cannot be resolved: it is no name") from None
        if not answers:
            raise OutboundFailed(f"{host} cannot be resolved: it has no address")
        good: list[str] = []
        refused: OutboundRefused | None = None
        for answer in answers:
            address = ip_address(answer.partition("%")[0])
            what = self._policy.refusal(host, address)
            if what is None:
                good.append(str(address) if "%" not in answer else answer)
            elif refused is None:
                refused = not_public(host, str(address), what)
        if not good and refused is not None:
            raise refused
        return good[:MOST_ADDRESSES]

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:  # fmt: skip
        """Resolve, judge, connect: within the time-out in all."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self.vetted(host, port)
                for position, address in enumerate(addresses):
                    share = None if timeout is None else timeout / (len(addresses) - position)
                    try:
                        return await self._backend.connect_tcp(
                            address, port, timeout=share, local_address=local_address, socket_options=socket_options
                        )
                    except (httpcore.ConnectError, httpcore.ConnectTimeout):
                        if position == len(addresses) - 1:
                            raise
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        raise AssertionError
