"""Where calls may go: what the operator says, and otherwise to public addresses alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from pgflow.config import Settings
from pgflow.errors import ConfigError
from pgflow.outbound.address import Address, Network, plain, why_not_public

_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


@dataclass(frozen=True, slots=True)
class Policy:
    """Where calls may go besides public addresses.

    Args:
        networks: any address in these.
        hosts: these names, whatever address they stand for; `*.example.com` means every name below example.com.
        everything: the guard is off.
        ports: only these; None: any.
    """

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    everything: bool = False
    ports: frozenset[int] | None = None

    @classmethod
    def parse(cls, allowed: Iterable[str] = (), ports: Iterable[int] = ()) -> Policy:
        """A policy from texts: networks (`10.0.0.0/8`), addresses, names, or `*` for everything.

        Raises:
            ConfigError: a text is none of these.
        """
        networks: list[Network] = []
        hosts: set[str] = set()
        everything = False
        for text in allowed:
            word = text.strip().lower()
            if word == "*":
                everything = True
                continue
            try:
                networks.append(ip_network(word.strip("[]")))
            except ValueError as error:
                if not _HOST.fullmatch(word) or word.rpartition(".")[2].isdigit():
                    raise ConfigError(
                        f"PGFLOW_OUTBOUND_ALLOW: {text!r} is neither a network nor a host: {error}",
                        hint="write networks as 10.1.0.0/16, hosts as hooks.internal or *.internal",
                    ) from None
                hosts.add(word)
        return cls(tuple(networks), frozenset(hosts), everything, frozenset(ports) or None)

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """The operator's.

        Raises:
            ConfigError: it makes no sense.
        """
        return cls.parse(settings.outbound_allow, settings.outbound_ports)

    def allows_host(self, host: str) -> bool:
        """Whether a name may stand for any address."""
        parents = host.split(".")[1:]
        return host in self.hosts or any(f"*.{'.'.join(parents[at:])}" in self.hosts for at in range(len(parents)))

    def refusal(self, host: str, address: Address) -> str | None:
        """What is wrong with calling this name at this address; None when it may be called."""
        if self.everything or self.allows_host(host):
            return None
        address = plain(address)
        if any(address.version == network.version and address in network for network in self.networks):
            return None
        return why_not_public(address)


def literal(host: str) -> Address | None:
    """The address that a URL's host spells, if it is one."""
    try:
        return ip_address(host)
    except ValueError:
        return None
