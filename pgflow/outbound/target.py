"""Reading the URL of a call, strictly: what could be read in two ways is refused.

What is checked here is for people, who learn at once what is wrong. That nothing leads astray is not left to it: the
address is vetted where the connection is made, by whatever host is then connected to (`pgflow.outbound.connecting`).
"""

from __future__ import annotations

import re

import httpx

from pgflow.outbound.errors import OutboundRefused
from pgflow.outbound.policy import Policy, literal

MAX_URL = 8192
_SPACE_OR_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f\u00a0\u2028\u2029\\]")
# Resolvers take 2130706433, 0x7f.1 and 0177.0.0.1 for addresses, and every one has rules of its own.
_NUMBERLIKE = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


def parse(url: str, policy: Policy) -> httpx.URL:
    """The URL, in its plain form.

    Args:
        url: absolute, http or https.
        policy: where calls may go.

    Raises:
        OutboundRefused: it is malformed or ambiguous, or its address or port may not be called.

    Example:
        >>> parse("HTTPS://Example.com./hooks", Policy())
        URL('https://example.com/hooks')
    """
    if len(url) > MAX_URL:
        raise OutboundRefused(f"the URL has {len(url):,} characters; {MAX_URL:,} are the most")
    if _SPACE_OR_CONTROL.search(url):
        raise OutboundRefused("the URL has a space, a backslash or a control character in it", hint="percent-encode it")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise OutboundRefused(f"not a URL: {error}") from None
    if parsed.scheme not in {"http", "https"}:
        raise OutboundRefused(
            f"a URL of scheme {parsed.scheme!r} cannot be called", hint="it has to begin with https:// or http://"
        )
    if parsed.userinfo:
        raise OutboundRefused("the URL has a user or password in it", hint="send credentials in a header")
    host = _host(parsed)
    port = parsed.port if parsed.port is not None else 443 if parsed.scheme == "https" else 80
    if not 0 < port < 65536:
        raise OutboundRefused(f"{port} is no port")
    if policy.ports is not None and port not in policy.ports:
        listed = ", ".join(map(str, sorted(policy.ports)))
        raise OutboundRefused(f"port {port} may not be called", hint=f"PGFLOW_OUTBOUND_PORTS allows {listed}")
    address = literal(host)
    if address is not None and (what := policy.refusal(host, address)) is not None:
        raise not_public(host, str(address), what)
    return parsed.copy_with(host=host)


def not_public(host: str, address: str, what: str) -> OutboundRefused:
    """The error about an address that may not be called."""
    where = address if address == host else f"{host} is at {address}, which"
    return OutboundRefused(
        f"{where} is {what}",
        hint=f"if it may be called all the same, the operator sets PGFLOW_OUTBOUND_ALLOW={host}",
    )


def _host(url: httpx.URL) -> str:
    host = url.raw_host.decode("ascii").lower()
    if "%" in host:
        hint = "addresses with a zone cannot be called" if ":" in host else None
        raise OutboundRefused(f"{host!r} is no host", hint=hint)
    if literal(host) is not None:
        return host
    name = host.removesuffix(".")
    labels = name.split(".")
    if not name:
        raise OutboundRefused("the URL names no host")
    if not all(0 < len(label) <= 63 for label in labels) or len(name) > 253:
        raise OutboundRefused(f"{host!r} is no host")
    if _NUMBERLIKE.fullmatch(labels[-1]):
        raise OutboundRefused(f"{host!r} is an unusual way to write an address", hint="write it like 192.0.2.1")
    return name
