"""`pgflow.deliver`: tells a subscriber of an event.

The task was written in the event's own transaction (`sql/functions/deliver.sql`), so it is there if and only if the
event is. It is tried for about a day, on the schedule that Standard Webhooks gives, and carries the same id each time,
so that a receiver which has it already can tell: a worker that dies between the answer and the commit sends it again.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import structlog

from pgflow.backoff import RetryPolicy
from pgflow.engine import subscriptions as engine
from pgflow.engine.subscriptions import QUEUE, SECRET_URL, TASK, Address
from pgflow.errors import DatabaseUnavailable, Fatal, PgflowError, RetryLater
from pgflow.outbound import notice
from pgflow.outbound.errors import MailRefused, OutboundRefused
from pgflow.sdk.app import App
from pgflow.sdk.attempt import current
from pgflow.sdk.secret import Vault
from pgflow.signature import sign

if TYPE_CHECKING:
    from pgflow.tasks import OwnTasks

log = structlog.get_logger("pgflow")

DELAYS = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)
"""Seconds between two attempts: eight attempts within 28 hours."""
ATTEMPTS = len(DELAYS) + 1
LONGEST_DELAY = 86400.0
"""A receiver that asks for more time (Retry-After) gets no more than this."""
TIMEOUT = 15.0
ANSWER = 4096
"""Bytes of an answer that are waited for. Nobody reads them, but a receiver may not like to be cut off."""


class NotDelivered(RetryLater):
    """The delivery has not come through."""


class Gone(Exception):
    """The receiver wants nothing more, ever."""


class Refused(PgflowError):
    """The receiver's answer is none of success.

    Attributes:
        after: seconds for which it wants to be left alone.
    """

    def __init__(self, message: str, after: float | None) -> None:
        super().__init__(message)
        self.after = after


def register(app: App, own: OwnTasks) -> None:
    """Enter the task."""
    vault = Vault(own.settings, own.run)

    @app.task(name=TASK, queue=QUEUE, timeout=60, retry=RetryPolicy(ATTEMPTS, base=5, cap="10m"))
    async def deliver(subscription: int, event: dict[str, Any], test: bool = False) -> dict[str, Any]:
        attempt = current()
        to = await own.run(engine.address(subscription, event["run_id"], event["task_id"]))
        if to is None:
            return {"delivered": False, "why": "the subscription was removed"}
        if to.disabled_why is not None and not test:
            return {"delivered": False, "why": f"the subscription was disabled: {to.disabled_why}"}
        id = f"test_{attempt.task_id}" if test else f"evt_{event['id']}_{subscription}"
        try:
            done = await _send(own, vault, to, _completed(event, to), id)
        except Gone as gone:
            if not test:
                await _count(own, subscription, to, str(gone), given_up=True, gone=str(gone))
            raise Fatal(str(gone)) from None
        except MailRefused as error:  # the other recipients have it: they would get it again with every attempt
            if not test:
                await _count(own, subscription, to, error.message, given_up=True)
            raise Fatal(error.message) from None
        except DatabaseUnavailable:
            raise
        except PgflowError as error:
            if not test:
                await _count(own, subscription, to, error.message, given_up=attempt.attempt >= ATTEMPTS)
            said = error.message if error.hint is None else f"{error.message}; {error.hint}"
            raise NotDelivered(said, after=_after(attempt.attempt, getattr(error, "after", None))) from None
        if to.failing and not test:
            await own.run(engine.delivered(subscription))
        return {"delivered": True, **done}


async def _count(
    own: OwnTasks, subscription: int, to: Address, error: str, *, given_up: bool, gone: str | None = None
) -> None:
    why = await own.run(engine.failed(subscription, error, given_up=given_up, gone=gone))
    if why is not None:
        log.error("a subscription was disabled", subscription=to.name, why=why)


def _after(attempt: int, asked: float | None) -> float:
    """Seconds until the next attempt, spread a little, so that not all come back together."""
    delay = DELAYS[min(attempt, len(DELAYS)) - 1] * random.uniform(0.8, 1.2)
    return delay if asked is None else min(max(delay / 10, asked), LONGEST_DELAY)


def _completed(event: dict[str, Any], to: Address) -> dict[str, Any]:
    """With what the event does not say by itself."""
    ended_badly = notice.state_of(event) == "failed"
    error = event.get("error") or (to.error if ended_badly else None)
    return event | {"error": error, "run_name": to.run_name}


async def _send(own: OwnTasks, vault: Vault, to: Address, event: dict[str, Any], id: str) -> dict[str, Any]:
    url = to.url
    values = await vault.reveal(to.secrets)
    if (named := SECRET_URL.fullmatch(url)) is not None:
        url = _checked(named[1], (await vault.reveal([named[1]]))[named[1]])
    if to.format == "email":
        return await _mail(own, url, event, id)
    if to.format == "webhook":
        body = notice.payload(event, own.settings.public_url)
    else:
        dialect = notice.dialect_of(url) if to.format == "chat" else to.format
        body = notice.chat(event, dialect, own.settings.public_url)
    now = int(time.time())
    headers = {"content-type": "application/json", "webhook-id": id, "webhook-timestamp": str(now)}
    if to.secrets:
        headers |= sign([values[name] for name in to.secrets], id, now, body)
    reply = await own.outbound().request(
        "POST", url, headers=headers, content=body, timeout=TIMEOUT, limit=ANSWER, cut=True
    )
    if reply.status == 410:
        raise Gone("the receiver answered 410 Gone")
    if not reply.ok:
        text = f"the receiver answered {reply.phrase}"
        if 300 <= reply.status < 400:
            text += "; redirects are not followed, the subscription needs the final URL"
        raise Refused(text, reply.retry_after())
    return {"status": reply.status, "seconds": round(reply.seconds, 3)}


def _checked(name: str, url: str) -> str:
    """The URL that a secret holds. If it holds something else, nothing of that may stand in an error."""
    from pgflow.outbound.policy import Policy
    from pgflow.outbound.target import parse

    try:
        parse(url, Policy(everything=True))
    except OutboundRefused:
        raise OutboundRefused(f"the secret {name} holds no URL that can be called") from None
    return url


async def _mail(own: OwnTasks, url: str, event: dict[str, Any], id: str) -> dict[str, Any]:
    from pgflow.outbound.mail import Mail, Mailer

    subject, text = notice.letter(event, own.settings.public_url)
    to = [unquote(address) for address in urlsplit(url).path.split(",")]
    await Mailer.of(own.settings).send(Mail(to, subject, text, id=f"{id}-{current().task_id}"))
    return {"to": len(to)}
