"""Webhooks in: `POST /hooks/...`. Anybody may ask; who is believed is for the trigger's signature to say."""

from __future__ import annotations

import secrets
from base64 import b64encode
from datetime import UTC, datetime

from pydantic import ConfigDict, Field

from pgflow.api import body
from pgflow.api.asked import Asked
from pgflow.api.backend import Backend
from pgflow.api.models import Fault, Id, Model, Query
from pgflow.api.operation import Reply, operation
from pgflow.api.problems import ProblemError
from pgflow.engine.triggers import Trigger
from pgflow.sdk.registry import receiving
from pgflow.signature import PREFIX

PAUSE = "30"
"""Seconds after which a sender may come again."""
_CODES = {400: "bad_request", 401: "unauthenticated", 404: "not_found", 413: "too_large", 503: "unavailable"}


class HookQuery(Query):
    """Whatever senders put there is not looked at."""

    model_config = ConfigDict(extra="ignore")


class Received(Model):
    """What became of a request."""

    trigger: str
    run: Id | None = Field(description="The run that was started.")
    delivery: Id | None = Field(description="The task that decides what is started.")
    duplicate: bool = Field(description="A delivery of that id came before: `run` or `delivery` is that one's.")


class Hooks:
    """`/hooks/...`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation(
        "Receive a webhook", status=202, statuses={200: "A delivery of that id was stored before."},
        unaudited="its history tells of each run that a trigger starts",
        problems=("bad_request", "unauthenticated", "too_large", "unavailable"),
    )  # fmt: skip
    async def on_post(self, asked: Asked, path: str, query: HookQuery) -> Reply[Received]:
        """Answered when it is stored. The body is taken as it comes, for that is what is signed."""
        del query
        if "\0" in path:
            raise ProblemError("not_found", "nothing listens here")
        content = await body.read(asked.req, self._backend.settings.payload_limit)
        received_at = datetime.now(UTC)
        got = await self._backend.drive(
            receiving.receive(path, asked.req.headers, content, received_at, settings=self._backend.settings)
        )
        if got.status >= 400 or got.trigger is None:
            raise _refused(got)
        return Reply(
            Received(trigger=got.trigger, run=got.run, delivery=got.delivery, duplicate=got.duplicate), got.status
        )


def _refused(got: receiving.Received) -> ProblemError:
    headers = {"Retry-After": PAUSE} if got.status == 503 else {}
    reason = got.reason or "refused"
    return ProblemError(
        _CODES[got.status], got.message or reason, errors=[Fault(path="reason", message=reason)], headers=headers
    )


def new_secret(trigger: Trigger) -> str:
    """A secret of 256 bits, as senders who sign so expect it."""
    scheme = trigger.settings.get("signature")
    if scheme is not None and scheme["kind"] == "standard":
        return PREFIX + b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_urlsafe(32)
