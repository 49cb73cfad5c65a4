"""The node type `http`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

import orjson
from pydantic import Field, JsonValue, field_validator, model_validator

from pgflow.errors import Fatal
from pgflow.graph.document import Problem, Seconds
from pgflow.nodes.base import Config, Desk, Work
from pgflow.nodes.calling import call, check, headers_of, parsed, url_problems, without
from pgflow.nodes.paging import Asked, Pages, Paging
from pgflow.outbound.reply import Reply

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")
MOST_BYTES = 64 * 1024 * 1024

Scalar = str | int | float | bool


class Basic(Config):
    """User and password."""

    user: str = Field(description="The user.")
    password: str = Field(description="The password, as in ${secrets.PASSWORD}.", json_schema_extra={"secret": True})


class HeaderValue(Config):
    """A header of one's own."""

    name: str = Field(description="The header, such as X-Api-Key.", pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")
    value: str = Field(description="What it says, as in ${secrets.API_KEY}.", json_schema_extra={"secret": True})


class Auth(Config):
    """How the call says who makes it: one of these."""

    bearer: str | None = Field(
        default=None, description="A token, as in ${secrets.API_TOKEN}.", json_schema_extra={"secret": True}
    )
    basic: Basic | None = Field(default=None, description="User and password.")
    header: HeaderValue | None = Field(default=None, description="A header of one's own.")

    @model_validator(mode="after")
    def _one(self) -> Auth:
        if sum(one is not None for one in (self.bearer, self.basic, self.header)) != 1:
            raise ValueError("give one of `bearer`, `basic` and `header`")
        return self


class Body(Config):
    """What is sent: one of these."""

    json_: JsonValue = Field(default=None, alias="json", description="Sent as JSON.")
    form: dict[str, Scalar | list[Scalar]] | None = Field(default=None, description="Sent like a form of a web page.")
    text: str | None = Field(default=None, description="Sent as it is.")
    base64: str | None = Field(default=None, description="Bytes in base64; they are sent decoded.")

    @model_validator(mode="after")
    def _one(self) -> Body:
        if len(self.model_fields_set) != 1:
            raise ValueError("give one of `json`, `form`, `text` and `base64`")
        return self

    def encoded(self) -> tuple[bytes, str]:
        """The bytes, and of what type they are."""
        if self.form is not None:
            pairs = [(name, one) for name, value in self.form.items() for one in _listed(value)]
            return urlencode([(name, _plain(one)) for name, one in pairs]).encode(), "application/x-www-form-urlencoded"
        if self.text is not None:
            return self.text.encode(), "text/plain; charset=utf-8"
        if self.base64 is not None:
            try:
                return base64.b64decode(self.base64, validate=True), "application/octet-stream"
            except ValueError:
                raise Fatal("`body.base64` is no base64") from None
        return orjson.dumps(self.json_), "application/json"


class HttpConfig(Config):
    """What is called, and what is made of the answer."""

    url: str = Field(description="What is called, as in `https://api.example.com/orders/${input.order}`.")
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] = Field(
        default="GET", description="What is done there."
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Sent beside the usual ones.")
    query: dict[str, Scalar | list[Scalar] | None] = Field(
        default_factory=dict, description="Added to the URL, encoded; what is null is left out, lists are repeated."
    )
    body: Body | None = Field(default=None, description="What is sent along.")
    auth: Auth | None = Field(default=None, description="How the call says who makes it.")
    timeout: Seconds = Field(default=30.0, description="How long one call may take in all.")
    expect: list[int | Literal["1xx", "2xx", "3xx", "4xx", "5xx"]] = Field(
        default=["2xx"],
        min_length=1,
        description="Statuses that are fine. After others the node fails; after 408, 429 and 5xx it is tried again.",
    )
    returns: Literal["json", "text", "base64", "nothing"] = Field(
        default="json", description="What is made of the body; `base64` for bytes."
    )
    whole: bool = Field(default=False, description="Give {status, headers, body} in the place of the body alone.")
    limit: int = Field(default=1024 * 1024, ge=1, le=MOST_BYTES, description="Bytes that an answer may have.")
    paging: Paging | None = Field(
        default=None, description="Read an answer in pages to its end; the body is then the list of all elements."
    )
    idempotency_key: bool | str = Field(
        default=False,
        description="Send a key that is the same in each attempt: true for the header Idempotency-Key, "
        "or the name of another.",
    )

    @field_validator("method", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> HttpConfig:
        if self.paging is not None and self.returns != "json":
            raise ValueError("`paging` reads JSON; leave out `returns`")
        if self.auth is not None and not without(self.headers, "authorization"):
            raise ValueError("`auth` and a header Authorization exclude each other")
        return self


class Http(Work[HttpConfig]):
    """Calls a server."""

    name: ClassVar = "http"
    title: ClassVar = "HTTP call"
    description: ClassVar = (
        "Calls a server and gives its answer. Connections that fail, 408, 429 (after as long as it asks for) and 5xx "
        "are tried again; other errors fail the node. Only public addresses are called unless the operator allows more."
    )
    config: ClassVar = HttpConfig
    example: ClassVar = {
        "type": "http",
        "config": {
            "url": "https://api.example.com/orders",
            "query": {"day": "${input.day}"},
            "auth": {"bearer": "${secrets.API_TOKEN}"},
            "paging": {"by": "cursor", "cursor": "body.next", "parameter": "after", "elements": "body.orders"},
        },
        "retry": {"max_attempts": 5},
        "timeout": "5m",
    }

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """With a URL that nobody could call."""
        return super().problems(config) + url_problems(config)

    async def work(self, desk: Desk, config: HttpConfig) -> Any:
        """Call, page by page."""
        headers, content = _sent(desk, config)

        async def one(asked: Asked) -> Reply:
            query = {name: _plain_all(value) for name, value in asked.query.items() if value is not None}
            reply = await call(
                desk, config.method, asked.url, headers=headers, content=content, params=query or None,
                timeout=config.timeout, limit=config.limit,
            )  # fmt: skip
            check(reply, config.expect)
            return reply

        if config.paging is None:
            reply = await one(Asked(config.url, config.query))
            body = _returned(reply, config.returns)
            return {"status": reply.status, "headers": headers_of(reply), "body": body} if config.whole else body
        pages = Pages(config.paging, config.url, config.query)
        asked = pages.first()
        while True:
            reply = await one(asked)
            onward = pages.following(asked, reply, parsed(reply))
            if onward is None:
                break
            asked = onward
            await desk.tell(note=f"{pages.count} pages, {len(pages.elements)} elements")
        whole = {"status": reply.status, "headers": headers_of(reply), "body": pages.elements, "pages": pages.count}
        return whole if config.whole else pages.elements


def _sent(desk: Desk, config: HttpConfig) -> tuple[dict[str, str], bytes | None]:
    headers, content = dict(config.headers), None
    if config.body is not None:
        content, kind = config.body.encoded()
        if without(headers, "content-type"):
            headers["content-type"] = kind
    if config.returns == "json" and without(headers, "accept"):
        headers["accept"] = "application/json"
    if config.idempotency_key:
        name = "Idempotency-Key" if config.idempotency_key is True else config.idempotency_key
        headers[name] = desk.key
    auth = config.auth
    if auth is not None:
        if auth.bearer is not None:
            headers["authorization"] = f"Bearer {auth.bearer}"
        elif auth.basic is not None:
            pair = f"{auth.basic.user}:{auth.basic.password}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        elif auth.header is not None:
            headers[auth.header.name] = auth.header.value
    return headers, content


def _returned(reply: Reply, what: str) -> Any:
    match what:
        case "json":
            return parsed(reply)
        case "text":
            return reply.text
        case "base64":
            return base64.b64encode(reply.body).decode()
    return None


def _listed(value: Scalar | list[Scalar]) -> list[Scalar]:
    return value if isinstance(value, list) else [value]


def _plain(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain_all(value: Scalar | list[Scalar]) -> str | list[str]:
    return [_plain(one) for one in value] if isinstance(value, list) else _plain(value)
