"""How often somebody may ask: counted in this process, which may use its share of what all processes may.

Redis keeps to locks and pub/sub, and a limit that is a little off at the edges is no harm. What must not be off is who
is limited: by token or user when known, by address before that.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from pgflow.api.problems import ProblemError
from pgflow.config import Settings
from pgflow.errors import ConfigError


class Rates:
    """The limits of one process.

    Args:
        settings: what all processes may do together.
        processes: how many there are.
    """

    def __init__(self, settings: Settings, processes: int) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._principal = _share(settings.api_rate, processes, "PGFLOW_API_RATE")
        self._address = _share(settings.api_address_rate, processes, "PGFLOW_API_ADDRESS_RATE")
        self._failures = _share(settings.api_login_rate, processes, "PGFLOW_API_LOGIN_RATE")
        self._by_name = type(self._failures)(self._failures.amount * 10, self._failures.multiples)
        self._trying: Counter[str] = Counter()

    async def address(self, address: str) -> None:
        """Count a request from an address."""
        await self._hit(self._address, "address", address)

    async def left(self, address: str) -> dict[str, str]:
        """The headers that tell what is left to an address."""
        return await self._headers(self._address, "address", address)

    async def principal(self, actor: str) -> dict[str, str]:
        """Count a request of somebody who was let in."""
        await self._hit(self._principal, "principal", actor)
        return await self._headers(self._principal, "principal", actor)

    @asynccontextmanager
    async def attempt(self, address: str, name: str | None = None) -> AsyncIterator[None]:
        """An attempt to get in, within; it has failed if it ends with the problem `unauthenticated`.

        It counts as failed from its beginning until it has ended: of many at once no more are let try than may fail.
        A name may be tried ten times as often, from wherever: nobody is to be kept out by who guesses at their name.

        Raises:
            ProblemError: `too_many_requests`: too many failed from this address, or under this name.
        """
        tries = self._tries(address, name)
        self._trying.update(key for _, key in tries)
        try:
            for limit, key in tries:
                if not await self._limiter.test(limit, "failures", key, cost=self._trying[key]):
                    raise await self._refused(limit, "failures", key)
            try:
                yield
            except (ProblemError, asyncio.CancelledError) as error:
                # Who goes away meanwhile has tried, too.
                if not isinstance(error, ProblemError) or error.code == "unauthenticated":
                    for limit, key in tries:
                        await self._limiter.hit(limit, "failures", key)
                raise
        finally:
            for _, key in tries:
                self._trying[key] -= 1
                if not self._trying[key]:
                    del self._trying[key]

    async def failed(self, address: str) -> None:
        """Count an attempt to get in that failed, or raise `too_many_requests`."""
        await self._hit(self._failures, "failures", _from(address))

    def _tries(self, address: str, name: str | None) -> list[tuple[RateLimitItem, str]]:
        from_there = (self._failures, _from(address))
        return [from_there] if name is None else [from_there, (self._by_name, f"name {name}")]

    async def _hit(self, limit: RateLimitItem, *key: str) -> None:
        if not await self._limiter.hit(limit, *key):
            raise await self._refused(limit, *key)

    async def _headers(self, limit: RateLimitItem, *key: str) -> dict[str, str]:
        window = await self._limiter.get_window_stats(limit, *key)
        return {
            "RateLimit-Limit": str(limit.amount),
            "RateLimit-Remaining": str(max(0, window.remaining)),
            "RateLimit-Reset": str(max(0, math.ceil(window.reset_time - time.time()))),
        }

    async def _refused(self, limit: RateLimitItem, *key: str) -> ProblemError:
        headers = await self._headers(limit, *key)
        wait = max(1, int(headers["RateLimit-Reset"]))
        return ProblemError(
            "too_many_requests", f"more than {limit.amount} in {limit.get_expiry()} s",
            hint=f"try again in {wait} s", headers={**headers, "Retry-After": str(wait)},
        )  # fmt: skip


def _from(address: str) -> str:
    return f"address {address}"


def _share(text: str, processes: int, setting: str) -> RateLimitItem:
    try:
        whole = parse(text)
    except ValueError:
        raise ConfigError(f"{setting}={text!r} is no rate", hint="as in 300/second or 10/minute") from None
    return type(whole)(max(1, whole.amount // processes), whole.multiples)
