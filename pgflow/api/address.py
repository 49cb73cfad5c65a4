"""Where a request comes from, when proxies stand between: only what a known one says is believed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from pgflow.errors import ConfigError


class Addresses:
    """Finds the address of who asks.

    Args:
        proxies: networks of proxies that add to `X-Forwarded-For`.
    """

    def __init__(self, proxies: Sequence[str]) -> None:
        try:
            self._proxies = [ip_network(proxy, strict=False) for proxy in proxies]
        except ValueError as error:
            raise ConfigError(f"PGFLOW_API_PROXIES: {error}", hint="networks, as in 10.0.0.0/8") from None

    def of(self, peer: str | None, forwarded: str | None) -> str:
        """The nearest address that is not one of ours; `unknown` of a socket in the file system.

        Args:
            peer: who is connected.
            forwarded: the header `X-Forwarded-For`.
        """
        if not peer:
            return "unknown"
        trail = [part.strip() for part in (forwarded or "").split(",") if part.strip()]
        found = peer
        while self._trusted(found) and trail:
            candidate = trail.pop()
            if _parsed(candidate) is None:
                break
            found = candidate
        return found

    def proxied(self, peer: str | None) -> bool:
        """Whether a proxy of ours asks."""
        return bool(peer) and self._trusted(str(peer))

    def _trusted(self, text: str) -> bool:
        address = _parsed(text)
        return address is not None and any(address in network for network in self._proxies)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
