"""Answers that come in pages: where the next one is, and when there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urljoin

from pydantic import Field, field_validator, model_validator

from pgflow.errors import Fatal
from pgflow.expression import Expression, ExpressionError
from pgflow.nodes.base import Config
from pgflow.outbound.reply import Reply

MOST_PAGES = 1000


def _expression(text: str | None) -> str | None:
    """The text of an expression over an answer, or a ValueError."""
    if text is not None:
        try:
            problems = Expression(text).check(["body", "headers", "status", "page"])
        except ExpressionError as error:
            problems = [error]
        if problems:
            raise ValueError(f"{problems[0].reason} (column {problems[0].column})")
    return text


class Paging(Config):
    """How an answer in pages is read to its end. Expressions are over `body`, `headers`, `status` and `page`."""

    by: Literal["link", "cursor", "page"] = Field(
        description="Where the next page is: in the header Link (rel=next), at a cursor that the answer has, "
        "or at the next number."
    )
    cursor: str | None = Field(
        default=None, description="By cursor: an expression for it, as in body.next; none or empty ends it."
    )
    parameter: str | None = Field(
        default=None,
        description="By cursor or page: the query parameter that it goes into. By cursor, a cursor that is a URL is "
        "called itself unless one is given; by page it is `page` unless given.",
    )
    first: int = Field(default=1, ge=0, description="By page: the number of the first.")
    elements: str = Field(default="body", description="An expression for the page's elements, as in body.rows.")
    until: str | None = Field(
        default=None, description="An expression that is true at the last page; by page, an empty page unless given."
    )
    most: int = Field(default=100, ge=1, le=MOST_PAGES, description="How many pages at most; more is an error.")

    _checked = field_validator("cursor", "elements", "until")(_expression)

    @model_validator(mode="after")
    def _whole(self) -> Paging:
        if (self.by == "cursor") != (self.cursor is not None):
            raise ValueError("`cursor` says where the cursor is; it is needed with `by: cursor`, and there alone")
        if self.by == "link" and self.parameter is not None:
            raise ValueError("a link needs no `parameter`")
        return self


class Asked(NamedTuple):
    """What is called for a page."""

    url: str
    query: Mapping[str, Any]


class Pages:
    """The pages of one answer.

    Args:
        paging: how they are read.
        url: what is called.
        query: its parameters.
    """

    def __init__(self, paging: Paging, url: str, query: Mapping[str, Any]) -> None:
        self._paging, self._url, self._query = paging, url, query
        self._number = paging.first
        self._seen: set[str] = set()
        self.elements: list[Any] = []
        self.count = 0

    def first(self) -> Asked:
        """Where to begin."""
        if self._paging.by == "page":
            return Asked(self._url, {**self._query, self._paging.parameter or "page": self._number})
        return Asked(self._url, self._query)

    def following(self, asked: Asked, reply: Reply, body: Any) -> Asked | None:
        """Take over a page. Returns what to call for the next one; None after the last.

        Raises:
            Fatal: the answer is not what the config says, or there is no end to the pages.
        """
        names = {"body": body, "headers": _headers(reply), "status": reply.status, "page": self._number}
        found = self._evaluated("elements", self._paging.elements, names)
        if not isinstance(found, list):
            raise Fatal(f"paging: `elements` gave {_word(found)}, not a list")
        self.elements += found
        self.count += 1
        until = self._paging.until
        if until is not None and self._evaluated("until", until, names) is True:
            return None
        onward = self._next(asked, reply, names, bool(found))
        if onward is not None and self.count >= self._paging.most:
            raise Fatal(f"paging: there are more than {self._paging.most} pages")
        return onward

    def _next(self, asked: Asked, reply: Reply, names: Mapping[str, Any], some: bool) -> Asked | None:
        match self._paging.by:
            case "link":
                import httpx

                link = httpx.Response(reply.status, headers=reply.headers).links.get("next", {}).get("url")
                return None if link is None else self._beside(asked, link)
            case "page":
                if not some and self._paging.until is None:
                    return None
                self._number += 1
                return Asked(self._url, {**self._query, self._paging.parameter or "page": self._number})
        cursor = self._evaluated("cursor", self._paging.cursor or "", names)
        if cursor is None or cursor in ("", False):
            return None
        text = str(cursor)
        if text in self._seen:
            raise Fatal("paging: the same cursor came twice")
        self._seen.add(text)
        if self._paging.parameter is None:
            return self._beside(asked, text)
        return Asked(self._url, {**self._query, self._paging.parameter: text})

    def _beside(self, asked: Asked, link: str) -> Asked:
        """What a link in an answer leads to. The call's headers, and so its credentials, go along: to the same server
        alone."""
        found = urljoin(asked.url, link)
        if _origin(found) != _origin(self._url):
            raise Fatal(
                f"paging: the next page is said to be at {_origin(found)}, another server than {_origin(self._url)}"
            )
        if found in self._seen:
            raise Fatal("paging: the same link came twice")
        self._seen.add(found)
        return Asked(found, {})

    @staticmethod
    def _evaluated(field: str, text: str, names: Mapping[str, Any]) -> Any:
        try:
            return Expression(text).evaluate(names)
        except ExpressionError as error:
            raise Fatal(f"paging: `{field}`: {error.reason}") from None


def _headers(reply: Reply) -> dict[str, str]:
    return {name.lower(): reply.headers[name] for name in reply.headers}


def _origin(url: str) -> str:
    import httpx

    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise Fatal("paging: the next page's link is no URL") from None
    port = parts.port if parts.port is not None else {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.host}:{port}"


def _word(value: Any) -> str:
    return "null" if value is None else type(value).__name__
