"""The commands of `pgflow trigger` that try one out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import click
import orjson

from pgflow import codec, config
from pgflow.cli import connection, output
from pgflow.cli.failures import ExitCode
from pgflow.engine import triggers
from pgflow.engine.triggers import Trigger
from pgflow.errors import ArgumentError
from pgflow.sdk.registry.receiving import read_body, revealed
from pgflow.sdk.registry.webhooks import Webhook, decide, delivery_of
from pgflow.signature import signed

_BODY = click.argument("body", type=click.File("rb"), default="-", metavar="[FILE | -]")
_HEADERS = click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header. Repeat.")


@click.command(cls=output.Command)
@click.argument("name")
@_BODY
@_HEADERS
def test(name: str, body: Any, headers: Sequence[str]) -> None:
    """Show what a body would start.

    Puts it through the trigger's filter and input, here: nothing is started, and no signature is asked for. Of an event
    trigger the body is the payload.

    \b
    Example:
      echo '{"order": 42, "paid": true}' | pgflow trigger test orders
    """
    with connection.client() as client:
        trigger = client.triggers.get(name)
    given = _headers(headers)
    content = read_body(body.read(), given.get("content-type", ""))
    decision = decide(trigger, _names(trigger, given, content))
    if output.wants_json():
        output.document({"start": decision.start, "delivery": decision.delivery})
    elif decision.start is None:
        output.note("nothing: the filter does not let it through")
    else:
        codec.encode(decision.start["input"], limit=config.load().payload_limit)
        output.details({**decision.start, "delivery": decision.delivery})


def _names(trigger: Trigger, headers: Mapping[str, str], content: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    if trigger.kind == "event":
        event = {"name": trigger.event, "payload": content, "key": headers.get("key"), "id": "0", "at": now}
        return {"event": event}
    hook = Webhook.from_json(trigger.settings)
    return {
        "body": content,
        "headers": {name: value for name, value in headers.items() if name in hook.headers},
        "delivery": delivery_of(hook, headers, content),
        "trigger": trigger.name,
        "received_at": now,
    }


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not (name.strip() and colon):
            raise ArgumentError(f"{text!r} is no header", hint="as in --header 'X-Event: paid'")
        headers[name.strip().lower()] = value.strip()
    return headers


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@click.command(cls=output.Command)
@click.argument("name")
@_BODY
@click.option("--to", required=True, metavar="URL", help="Where the API is, as in http://127.0.0.1:8000.")
@_HEADERS
@click.option("--id", "id", help="The delivery's id; a new one unless given.")
def send(name: str, body: Any, to: str, headers: Sequence[str], id: str | None) -> ExitCode | None:
    """Send a signed request to a webhook trigger, as its sender would.

    \b
    Example:
      echo '{"order": 42}' | pgflow trigger send orders --to http://127.0.0.1:8000
    """
    where = urlsplit(to)
    if where.scheme not in {"http", "https"} or not where.netloc:
        raise ArgumentError(f"{to!r} is no URL", hint="as in http://127.0.0.1:8000")
    with connection.client() as client:
        trigger = client.triggers.get(name)
        if trigger.path is None:
            raise ArgumentError(f"{name} is no webhook", hint="see `pgflow trigger list --kind webhook`")
        found = client._run(triggers.at(trigger.path))
    stored = found[1] if found else []
    hook, data = Webhook.from_json(trigger.settings), body.read()
    given = {"content-type": "application/json", **_headers(headers)}
    id = id or f"test_{uuid.uuid4().hex}"
    if isinstance(hook.delivery, tuple):
        given[hook.delivery[0]] = id
    if hook.scheme is not None:
        values = revealed(hook.secrets, stored, config.load())
        if not values:
            raise ArgumentError(f"none of the secrets of {name} can be read here", hint="see `pgflow secret check`")
        given |= signed(hook.scheme, next(iter(values.values())), id, int(time.time()), data)
    url = to.rstrip("/") + f"/hooks/{trigger.path}" if where.path in {"", "/"} else to
    status, answer = _post(url, given, data)
    if output.wants_json():
        output.document({"status": status, "answer": answer, "id": id})
    else:
        output.details({"status": status, "id": id, "answer": answer})
    return None if status < 300 else ExitCode.FAILED


def _post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
    request = Request(url, body, dict(headers), method="POST")
    try:
        with build_opener(ProxyHandler({}), _NoRedirect).open(request, timeout=30) as answer:
            return answer.status, _answer(answer.read(1_000_000))
    except HTTPError as error:
        with error:
            return error.code, _answer(error.read(1_000_000))
    except (URLError, OSError) as error:
        raise ArgumentError(f"{url} does not answer: {getattr(error, 'reason', error)}") from None


def _answer(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text.decode("utf-8", "replace")


COMMANDS = (test, send)
