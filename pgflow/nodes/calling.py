"""Calls to servers of others from work nodes: what an answer means for the attempt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from pgflow.errors import Fatal, RetryLater
from pgflow.graph.document import Problem
from pgflow.nodes.base import Desk
from pgflow.outbound.errors import OutboundRefused
from pgflow.outbound.reply import Reply

QUOTED = 500
"""Characters of an answer that an error shows."""
_CALLABLE = re.compile(r"https?://[^/?#]", re.IGNORECASE)
LATER = frozenset({408, 421, 425, 429})
"""Statuses below 500 after which the same call may succeed."""


class CallFailed(RetryLater):
    """The server did not do what was asked, but may when it is asked again."""


def url_problems(config: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the `url` of a config, as far as it stands there."""
    url = config.get("url")
    if not isinstance(url, str) or url.startswith("${") or _CALLABLE.match(url):
        return []
    return [
        Problem("url", "this is no URL that can be called", "it begins with https:// or http:// and a server's name")
    ]


async def call(desk: Desk, method: str, url: str, **how: Any) -> Reply:
    """Make a call. An answer is handed back whatever its status.

    Raises:
        Fatal: that URL may not be called.
        OutboundFailed: there was no complete answer.
    """
    try:
        return await desk.outbound().request(method, url, **how)
    except OutboundRefused as error:
        raise Fatal(str(error)) from None


def check(reply: Reply, expected: Sequence[int | str] = ("2xx",)) -> None:
    """See that the status is one of these.

    Args:
        reply: the answer.
        expected: statuses, or classes of them as in `2xx`.

    Raises:
        CallFailed: it is none, and may be another when asked again; after as long as the server says.
        Fatal: it is none, and will not be another.
    """
    if any(reply.status == one or one == f"{reply.status // 100}xx" for one in expected):
        return
    said = " ".join(reply.text[: 2 * QUOTED].split())[:QUOTED]
    text = f"the server answered {reply.phrase}{': ' if said else ''}{said}"
    if reply.status >= 500 or reply.status in LATER:
        raise CallFailed(text, after=reply.retry_after())
    if 300 <= reply.status < 400:
        text += " (redirects are not followed; call the final URL)"
    raise Fatal(text)


def parsed(reply: Reply) -> Any:
    """The body as JSON; None if there is none.

    Raises:
        Fatal: it is something else.
    """
    if not reply.body.strip():
        return None
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError as error:
        kind = reply.headers.get("content-type", "without a content-type")
        raise Fatal(f"the answer ({reply.phrase}, {kind}) is no JSON: {error}") from None


def headers_of(reply: Reply) -> dict[str, str]:
    """The answer's headers by lower-case name; those that are there more than once, joined."""
    return {name.lower(): reply.headers[name] for name in reply.headers}


def without(headers: Mapping[str, str], *names: str) -> bool:
    """Whether none of these headers is there, in whatever case."""
    there = {name.lower() for name in headers}
    return not there.intersection(names)
