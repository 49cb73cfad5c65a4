"""How often somebody may ask: counted in this process, which may use its share of what all processes may.

Redis keeps to locks and pub/sub, and a limit that is a little off at the edges is no harm. What must not be off is who
is limited: by token or user when known, by address before that.
"""

from __future__ import annotations

import math
import time

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

    async def address(self, address: str, *, told: bool = True) -> dict[str, str]:
        """Count a request from an address. What is left is looked up only if it is to be told."""
        return await self._count(self._address, "address", address, told=told)

    async def principal(self, actor: str) -> dict[str, str]:
        """Count a request of somebody who was let in."""
        return await self._count(self._principal, "principal", actor)

    async def may_try(self, address: str, name: str | None = None) -> None:
        """Raise `too_many_requests` for who failed to get in too often: from this address, or under this name.

        A name may be tried ten times as often, from wherever: nobody is to be kept out by who guesses at their name.
        """
        for limit, key in self._tries(address, name):
            if not await self._limiter.test(limit, "failures", key):
                raise await self._refused(limit, "failures", key)

    async def failed(self, address: str, name: str | None = None) -> None:
        """Count an attempt to get in that failed."""
        for limit, key in self._tries(address, name):
            await self._limiter.hit(limit, "failures", key)

    def _tries(self, address: str, name: str | None) -> list[tuple[RateLimitItem, str]]:
        from_there = (self._failures, f"address {address}")
        return [from_there] if name is None else [from_there, (self._by_name, f"name {name}")]

    async def _count(self, limit: RateLimitItem, *key: str, told: bool = True) -> dict[str, str]:
        """The headers that tell what is left, or `too_many_requests`."""
        if not await self._limiter.hit(limit, *key):
            raise await self._refused(limit, *key)
        return await self._headers(limit, *key) if told else {}

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


def _share(text: str, processes: int, setting: str) -> RateLimitItem:
    try:
        whole = parse(text)
    except ValueError:
        raise ConfigError(f"{setting}={text!r} is no rate", hint="as in 300/second or 10/minute") from None
    return type(whole)(max(1, whole.amount // processes), whole.multiples)
