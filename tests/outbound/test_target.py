"""URLs that could be read in two ways, and what the operator may allow."""

from __future__ import annotations

import pytest

from pgflow.errors import ConfigError
from pgflow.outbound.errors import OutboundRefused
from pgflow.outbound.policy import Policy, literal
from pgflow.outbound.target import MAX_URL, parse


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7F.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1.2/",
        "http://0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::10.0.0.1]/",
        "http://[fd00:ec2::254]/latest",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://127\u30020\u30020\u30021/",
        "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "http://\u24db\u24de\u24d2\u24d0\u24dbhost/",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1\\@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://exa mple.com/",
        "http://example.com/\r\nHost: inside",
        "http://example.com/\x00",
        "http://example%2ecom/",
        "http://exa%00mple.com/",
        "http://example..com/",
        "http://.example.com/",
        "http://example.com../",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 127 + "com/",
        "http://./",
        "http://",
        "http:///path",
        "//example.com/",
        "/path",
        "",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "http+unix://%2frun%2fdocker.sock/",
        "javascript:alert(1)",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:-1/",
        "http://example.com:x/",
        "http://example.com/" + "x" * MAX_URL,
    ],
)
def test_ambiguous_and_inward_urls_are_refused(url: str) -> None:
    with pytest.raises(OutboundRefused) as refused:
        parse(url, Policy())
    assert "password" not in str(refused.value).replace("user or password", "")


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://example.com", "https://example.com"),
        ("HTTPS://EXAMPLE.com.:443/A?b=c#d", "https://example.com/A?b=c#d"),
        ("http://1.1.1.1:8080/", "http://1.1.1.1:8080/"),
        ("http://[2606:4700::1111]/", "http://[2606:4700::1111]/"),
        ("https://müller.de/", "https://xn--mller-kva.de/"),
        ("https://under_score.example.com/", "https://under_score.example.com/"),
        ("https://1.example/", "https://1.example/"),
    ],
)
def test_plain_urls_pass(url: str, plain: str) -> None:
    assert str(parse(url, Policy())) == plain


def test_only_allowed_ports_pass() -> None:
    policy = Policy.parse(ports=[443, 8443])
    assert parse("https://example.com/", policy)
    assert parse("https://example.com:8443/", policy)
    for url in ("http://example.com/", "https://example.com:22/"):
        with pytest.raises(OutboundRefused, match="443, 8443"):
            parse(url, policy)


@pytest.mark.parametrize(
    ("allowed", "host", "address", "passes"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", "127.0.0.2", False),
        ("10.0.0.0/8", "x", "10.9.8.7", True),
        ("10.0.0.0/8", "x", "::ffff:10.9.8.7", True),
        ("fd00::/8", "x", "fd12::1", True),
        ("[::1]", "::1", "::1", True),
        ("localhost", "localhost", "127.0.0.1", True),
        ("localhost", "localhost.evil.example", "127.0.0.1", False),
        ("*.corp.example", "a.b.corp.example", "10.0.0.1", True),
        ("*.corp.example", "corp.example", "10.0.0.1", False),
        ("*.corp.example", "evilcorp.example", "10.0.0.1", False),
        ("*", "x", "169.254.169.254", True),
        ("", "x", "8.8.8.8", True),
    ],
)
def test_the_operator_may_allow_networks_and_hosts(allowed: str, host: str, address: str, passes: bool) -> None:
    policy = Policy.parse(filter(None, allowed.split(",")))
    at = literal(address)
    assert at is not None
    assert (policy.refusal(host, at) is None) == passes


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0", "localhost:80", "http://x", "a b", "*.", "**", "fe80::/129"])
def test_an_allowance_that_makes_no_sense_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="PGFLOW_OUTBOUND_ALLOW"):
        Policy.parse([text])
