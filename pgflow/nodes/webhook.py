"""The node type `webhook`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
from pydantic import Field, JsonValue, field_validator

from pgflow.errors import ArgumentError, Fatal
from pgflow.graph.document import Problem, Seconds
from pgflow.nodes.base import Config, Desk, Work
from pgflow.nodes.calling import call, check, parsed, url_problems, without
from pgflow.signature import sign

RESERVED = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-type")
ANSWER = 64 * 1024


class WebhookConfig(Config):
    """Who is told what."""

    url: str = Field(description="Who is told, as in https://shop.example.com/hooks.")
    payload: JsonValue = Field(default=None, description="What they are told: sent as JSON.")
    secret: str | list[str] = Field(
        description="What it is signed with, as in ${secrets.SHOP_KEY}: text, or whsec_ and base64. With a list it is "
        "signed with each, while the receiver changes from one to the other.",
        json_schema_extra={"secret": True},
    )  # fmt: skip
    headers: dict[str, str] = Field(default_factory=dict, description="Sent beside the usual ones.")
    timeout: Seconds = Field(default=15.0, description="How long one call may take in all.")

    @field_validator("headers")
    @classmethod
    def _not_ours(cls, value: dict[str, str]) -> dict[str, str]:
        if not without(value, *RESERVED):
            raise ValueError(f"the headers {', '.join(RESERVED)} are set by the signature")
        return value


class Webhook(Work[WebhookConfig]):
    """Tells somebody, signed."""

    name: ClassVar = "webhook"
    title: ClassVar = "Webhook"
    description: ClassVar = (
        "Sends a signed POST as Standard Webhooks asks for it, and gives {status, body}. Each attempt has the same "
        "webhook-id, so that the receiver can tell what it has already."
    )
    config: ClassVar = WebhookConfig
    example: ClassVar = {
        "type": "webhook",
        "config": {
            "url": "https://shop.example.com/hooks",
            "payload": {"type": "order.shipped", "order": "${input.order}"},
            "secret": "${secrets.SHOP_KEY}",
        },
    }

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """With a URL that nobody could call."""
        return super().problems(config) + url_problems(config)

    async def work(self, desk: Desk, config: WebhookConfig) -> Any:
        """Sign and send."""
        body = orjson.dumps(config.payload)
        secrets = [config.secret] if isinstance(config.secret, str) else config.secret
        try:
            signed = sign(secrets, desk.key, int(time.time()), body)
        except ArgumentError as error:
            raise Fatal(str(error)) from None
        headers = {**config.headers, **signed, "content-type": "application/json"}
        reply = await call(
            desk, "POST", config.url, headers=headers, content=body, timeout=config.timeout, limit=ANSWER, cut=True
        )
        check(reply)
        kind = reply.headers.get("content-type", "")
        json = "json" in kind and not reply.cut
        return {"status": reply.status, "body": parsed(reply) if json else reply.text or None}
