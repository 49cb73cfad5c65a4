"""What becomes of an HTTP request below `/hooks/`.

A request is **received** in the process that serves HTTP, and **decided** in a worker:

* Receiving is cheap and bounded: one lookup by path, the signature over the bytes that came, the body read as JSON, a
  form or text, the delivery id taken from a header or a field of the body. No expression is evaluated. When it is
  answered with 202, the delivery is stored.
* Where there is nothing to decide (no filter, and the input is the whole request) the target itself is stored. Else it
  is a task `pgflow.webhook`, which evaluates filter and input and starts the target. An expression that fails makes
  that task a dead letter, with the request in it; redriven, it reads the trigger as it is then.

**Once.** A delivery's id is the key of what is stored: `hook:<trigger>/<id>`. However often it comes, and at once, it
is one task; the others are answered with 200 and that task's id, whatever their bodies say: senders put the number of
the attempt into them. The run that `pgflow.webhook` starts has the same key, so a worker's death between start and
settlement does not start it twice. Without an id every request counts by itself, and the task's own id makes the key.

**What is kept of a request**: the body, and the headers that the trigger names. Never those that hold its signature, a
cookie or an authorization.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import orjson

from pgflow import logs, redaction
from pgflow.codec import encode
from pgflow.config import Settings
from pgflow.engine import triggers as engine
from pgflow.engine.secrets import Stored
from pgflow.engine.triggers import Trigger
from pgflow.errors import ArgumentError, ConfigError, PayloadError, SealBroken
from pgflow.sdk.registry.webhooks import WHOLE, Webhook, delivery_of, key_of, once
from pgflow.sdk.secret import from_environment, keyring
from pgflow.sdk.verbs import Steps
from pgflow.sealing import Keyring
from pgflow.signature import Scheme, SignatureError, verify

TASK = "pgflow.webhook"
QUEUE = "pgflow"


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a request.

    Attributes:
        status: the HTTP status to answer with: 202 stored, 200 was stored before, 400, 401, 404, 413 refused, 503 not
            now.
        trigger: the trigger's name.
        run: the run that was started.
        delivery: the task that decides what is started.
        duplicate: a delivery of that id came before; `run` or `delivery` is that one's.
        secret: the name of the secret that had signed.
        reason: why it was refused, in a word: one of `pgflow.signature.Reason`, or `no_trigger`, `paused`,
            `no_secret`, `body_too_large`, `malformed_body`.
        message: the same for people. Holds nothing secret.
    """

    status: int
    trigger: str | None = None
    run: int | None = None
    delivery: int | None = None
    duplicate: bool = False
    secret: str | None = None
    reason: str | None = None
    message: str | None = None


class _Refused(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.answer = (status, reason, message)


def receive(
    path: str, headers: Mapping[str, str], body: bytes, received_at: datetime, *, settings: Settings
) -> Steps[Received]:
    """Take a request; see `Triggers.receive`."""
    found: tuple[Trigger, list[Stored]] | None = yield engine.at(path.strip("/"))
    if found is None:
        return Received(404, reason="no_trigger", message="nothing listens here")
    trigger, stored = found
    given = {name.lower(): value for name, value in headers.items()}
    try:
        return (yield from _take(trigger, stored, given, body, received_at, settings))
    except _Refused as refused:
        status, reason, message = refused.answer
        return Received(status, trigger.name, reason=reason, message=message)


def _take(
    trigger: Trigger, stored: Sequence[Stored], headers: Mapping[str, str], body: bytes, received_at: datetime,
    settings: Settings,
) -> Steps[Received]:  # fmt: skip
    hook, limit = Webhook.from_json(trigger.settings), settings.payload_limit
    largest = limit if hook.limit is None else min(hook.limit, limit)
    if len(body) > largest:
        raise _Refused(413, "body_too_large", f"the body has {len(body)} bytes; {largest} may be")
    secret = None
    if hook.scheme is not None:
        values = revealed(hook.secrets, stored, settings)
        secret = _signer(hook, hook.scheme, headers, body, values, received_at)
    if trigger.paused_at is not None:
        raise _Refused(503, "paused", "this webhook is paused; send it again later")
    try:
        content = read_body(body, headers.get("content-type", ""))
    except ArgumentError as error:
        raise _Refused(400, "malformed_body", error.message) from None
    kept = {name: headers[name] for name in hook.headers if name in headers}
    id = delivery_of(hook, headers, content)
    input: Any = {"trigger": trigger.name, "delivery": id, "received_at": received_at, "headers": kept, "body": content}
    direct = trigger.filter is None and hook.expression is None and trigger.start["input"] == WHOLE
    if direct:
        start, input = trigger.start, {"body": content, "headers": kept}
    else:
        start = {"name": TASK, "queue": QUEUE}
    payload = _payload(input, limit)
    handle = yield once(start, payload, None if id is None else key_of(trigger.name, id), hook.keep, trigger.name)
    return Received(
        200 if handle.existed else 202, trigger.name, handle.id if direct else None, None if direct else handle.id,
        handle.existed, secret,
    )  # fmt: skip


def _payload(input: Mapping[str, Any], limit: int) -> bytes:
    try:
        payload = encode(input, limit=sys.maxsize)
    except PayloadError as error:  # a character that Postgres cannot hold, JSON that is too deep
        raise _Refused(400, "malformed_body", f"the request cannot be stored: {error.message}") from None
    if len(payload) > limit:
        raise _Refused(413, "body_too_large", f"as JSON the request has {len(payload)} bytes; {limit} may be")
    return payload


def revealed(names: Sequence[str], stored: Sequence[Stored], settings: Settings) -> Mapping[str, str]:
    """Those of these secrets that can be had: of several, one that is broken keeps nobody from signing with another."""
    values = {}
    sealed = {one.name: one.sealed for one in stored}
    ring: Keyring | None = None
    for name in names:
        value = from_environment(name)
        if value is None and name in sealed:
            try:
                ring = ring or keyring(settings)
                value = ring.open(sealed[name], settings.schema_name, name)
            except (SealBroken, ConfigError) as error:
                logs.tell(logging.WARNING, "a webhook's secret cannot be opened", secret=name, error=error.message)
        if value is not None:
            redaction.reveal(name, value)
            values[name] = value
    return values


def _signer(
    hook: Webhook, scheme: Scheme, headers: Mapping[str, str], body: bytes, values: Mapping[str, str], at: datetime
) -> str:
    """The name of the secret that has signed."""
    known = [name for name in hook.secrets if name in values]
    if not known:
        raise _Refused(503, "no_secret", "this webhook's secret is not at hand; send it again later")
    try:
        return known[verify(scheme, headers, body, [values[name] for name in known], now=at.timestamp()).secret]
    except SignatureError as error:
        raise _Refused(401, error.reason, error.message) from None
    except ArgumentError:
        raise _Refused(503, "no_secret", "this webhook's secret cannot be used; send it again later") from None


def read_body(body: bytes, content_type: str) -> Any:
    """A body as JSON: what is JSON, the fields of a form, else the text. None when there is nothing in it.

    Raises:
        ArgumentError: it is not what its content type says, or no text at all.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if not body:
        return None
    try:
        text = body.decode()
        if kind == "application/x-www-form-urlencoded":
            fields = parse_qs(text, keep_blank_values=True, max_num_fields=1000)
            return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
    except ValueError:
        raise ArgumentError("the body is no text, or no form") from None
    is_json = kind.endswith(("/json", "+json"))
    # Many send JSON as plain text, or do not say what they send.
    if not (is_json or text.lstrip()[:1] in {"{", "["}):
        return text
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if is_json:
            raise ArgumentError(f"the body is no JSON: {error}") from None
        return text
