"""Which addresses are public, and what the others are.

A table of its own, because `ipaddress` answers differently from one Python release to the next, takes multicast for
global, and knows nothing of what clouds put behind addresses that look public. For IPv6 it is the other way round:
only what is delegated to networks (2000::/3) is public, less the parts that mean something else.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_V4 = [
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this host itself"),
        ("10.0.0.0/8", "in a private network"),
        ("100.64.0.0/10", "behind a carrier's address translation"),
        ("127.0.0.0/8", "this host itself"),
        ("168.63.129.16/32", "where a cloud answers its own machines"),
        ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
        ("172.16.0.0/12", "in a private network"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "reserved for documentation"),
        ("192.88.99.0/24", "a relay to IPv6"),
        ("192.168.0.0/16", "in a private network"),
        ("198.18.0.0/15", "reserved for benchmarks"),
        ("198.51.100.0/24", "reserved for documentation"),
        ("203.0.113.0/24", "reserved for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
]
_V6 = [
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "this host itself"),
        ("::1/128", "this host itself"),
        ("::/96", "an IPv4 address in disguise"),
        ("::ffff:0:0:0/96", "an IPv4 address in disguise"),
        ("64:ff9b:1::/48", "a local translation to IPv4"),
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "reserved for documentation"),
        ("2002::/16", "an IPv4 address in disguise"),
        ("3fff::/20", "reserved for documentation"),
        ("fc00::/7", "in a private network"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "in a private network"),
        ("ff00::/8", "multicast"),
    )
]
_PUBLIC_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one merely spells: mapped (`::ffff:1.2.3.4`), or what a network's translator would
    reach for it (`64:ff9b::1.2.3.4`). Else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def why_not_public(address: Address) -> str | None:
    """What an address is if it is not public; None when it is.

    Example:
        >>> from ipaddress import ip_address
        >>> why_not_public(ip_address("169.254.169.254"))
        'link-local, where clouds keep their metadata'
    """
    address = plain(address)
    if isinstance(address, IPv4Address):
        return next((what for network, what in _V4 if address in network), None)
    what = next((what for network, what in _V6 if address in network), None)
    return what if what is not None or address in _PUBLIC_V6 else "not a public address"
