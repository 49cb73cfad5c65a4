"""Which addresses are public: a table, and what must hold for every address there is."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.outbound.address import plain, why_not_public

PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.0.1",
    "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1", "2001::1", "2001:0:4136:e378::1",
    "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fec0::1", "ff02::1", "4000::1", "1::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0",
    "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15",
    "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "2001:200::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_for_the_outside_is_told(address: str) -> None:
    assert why_not_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    assert why_not_public(ip_address(address)) is None


@given(st.ip_addresses())
def test_what_passes_is_global_by_the_standard_library_too(address: IPv4Address | IPv6Address) -> None:
    if why_not_public(address) is None:
        assert plain(address).is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_no_spelling_in_ipv6_gets_an_address_through_that_would_not_pass_itself(address: IPv4Address) -> None:
    number = int(address)
    judged = why_not_public(address)
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        assert (why_not_public(IPv6Address(int(IPv6Address(prefix)) | number)) is None) == (judged is None)
    for prefix, shift in (("::", 0), ("::ffff:0:0:0", 0), ("2002::", 80), ("2001::", 0), ("64:ff9b:1::", 0)):
        assert why_not_public(IPv6Address(int(IPv6Address(prefix)) | number << shift))
