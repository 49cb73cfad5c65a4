"""`client.triggers`: the verbs about what HTTP requests and application events start, once for both colours."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypedDict, TypeVar, Unpack

from pgflow import duration
from pgflow.codec import decode, encode
from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.engine import triggers as engine
from pgflow.engine.triggers import Trigger
from pgflow.errors import ArgumentError, NameTaken, NotFound
from pgflow.model import Priority
from pgflow.sdk.event_verbs import check_pattern
from pgflow.sdk.registry.receiving import Received, receive
from pgflow.sdk.registry.start import queue_of, start_of
from pgflow.sdk.registry.webhooks import HEADERS, KEEP, NAMES, WHOLE, Webhook, check_expression, check_template, id_of
from pgflow.sdk.secret import check_name
from pgflow.sdk.task import Duration, Task, check_priority, check_queue, is_name
from pgflow.sdk.verbs import Steps
from pgflow.signature import Kind, Scheme

R = TypeVar("R")

EVENT_NAMES = frozenset({"event"})
"""What an event trigger's expressions may refer to."""
EVENT_INPUT: Mapping[str, Any] = {"event": "${event}"}
UNSIGNED = "none"
_PATH = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)*")
_OF_WEBHOOKS = ("signature", "secrets", "headers", "delivery", "keep", "limit")


class When(TypedDict, total=False):
    """What starts a run: a `path` or an `event`, and what else makes up the trigger. See `trigger_of`."""

    path: str
    event: str
    input: Mapping[str, Any]
    filter: str
    signature: Scheme | str
    secrets: Sequence[str]
    headers: Sequence[str]
    delivery: str | Sequence[str]
    keep: Duration
    limit: int
    queue: str
    priority: Priority | int | str
    tags: Mapping[str, str]


def trigger_of(name: str, task: Task[..., Any] | str, *, source: str = "client", **when: Unpack[When]) -> Trigger:
    """The trigger, checked whole.

    Args:
        name: its own.
        task: what it starts, with its `.options(...)`; or the name of one that only workers know.
        source: who keeps it up to date.
        path: of a webhook: where it listens, below `/hooks/`.
        event: the name of an application event, or the beginning of names and `*`; in the place of `path`.
        input: the target's arguments by name, which may hold `${...}`: of a webhook `body`, `headers`, `delivery`,
            `trigger` and `received_at`; of an event `event`, with its `name`, `payload`, `key`, `id` and `at`. By
            default a webhook's target is given `body` and `headers`, an event's `event`.
        filter: an expression of the same; what it does not hold for starts nothing.
        signature: how requests are signed: `standard` (unless given), `github`, `stripe`, a `Scheme`, or `none`.
        secrets: names of the secrets that may have signed, the newest first.
        headers: which headers are kept for expressions and for the target; `content-type` and `user-agent` are always.
        delivery: what tells a delivery that is sent again: a header's name or several, or an expression such as
            `body.id`; by default what senders who sign so use.
        keep: how long a delivery's id is remembered: three days unless given.
        limit: the largest body, in bytes.
        queue, priority, tags: of a target that is given by its name; others have their `.options(...)`.

    Raises:
        ArgumentError: something makes no sense, such as an expression.
        PayloadError: the input cannot be stored.
    """
    where = f"trigger {name}"
    if not is_name(name):
        raise ArgumentError(f"{name!r} is no name for a trigger", hint="letters, digits and _ . : -, at most 200")
    path, event = when.get("path"), when.get("event")
    if (path is None) == (event is None):
        raise ArgumentError(f"{where}: it needs a path to listen at, or an event, and not both")
    names, default = (NAMES, WHOLE) if event is None else (EVENT_NAMES, EVENT_INPUT)
    input = decode(encode(dict(when.get("input", default))))
    check_template(input, f"{where}: the input", names)
    start = start_of(task, input) | _options(where, task, when)
    condition = when.get("filter")
    if condition is not None:
        check_expression(condition, f"{where}: the filter", names)
    if event is not None:
        return _on_event(
            where, Trigger(name=name, kind="event", event=event, start=start, filter=condition, source=source), when
        )
    assert path is not None
    return Trigger(
        name=name, kind="webhook", path=check_path(path, where), start=start, filter=condition, source=source,
        settings=_webhook(where, when).to_json(),
    )  # fmt: skip


def _options(where: str, task: Task[..., Any] | str, when: When) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if "queue" in when:
        given["queue"] = check_queue(when["queue"], where)
    if "priority" in when:
        given["priority"] = int(check_priority(when["priority"], where))
    if "tags" in when:
        given["tags"] = dict(when["tags"])
    if given and not isinstance(task, str):
        raise ArgumentError(f"{where}: {next(iter(given))} is the task's own", hint="give it to the task's .options()")
    return given


def _on_event(where: str, trigger: Trigger, when: When) -> Trigger:
    if unfit := [word for word in _OF_WEBHOOKS if word in when]:
        raise ArgumentError(f"{where}: {unfit[0]} is for webhooks, not for events")
    check_pattern(trigger.event or "")
    return trigger


def _webhook(where: str, when: When) -> Webhook:
    signature = when.get("signature", Kind.STANDARD)
    if isinstance(signature, str) and signature != UNSIGNED:
        if signature not in {Kind.STANDARD, Kind.GITHUB, Kind.STRIPE}:
            raise ArgumentError(
                f"{where}: there is no signature {signature!r}",
                hint=f"standard, github, stripe, {UNSIGNED}, or a Scheme for a header of your own",
            )
        signature = Scheme(Kind(signature))
    scheme = signature if isinstance(signature, Scheme) else None
    secrets = tuple(dict.fromkeys(when.get("secrets", ())))
    for secret in secrets:
        check_secret(secret, where)
    delivery = when.get("delivery")
    if delivery is None:
        delivery = id_of(scheme)
    elif not isinstance(delivery, str):
        delivery = tuple(header.lower() for header in delivery)
    headers = dict.fromkeys([*HEADERS, *(header.lower() for header in when.get("headers", ()))])
    try:
        return Webhook(
            scheme=scheme, secrets=secrets, headers=tuple(headers), delivery=delivery,
            keep=duration.parse(when.get("keep", KEEP)), limit=when.get("limit"),
        )  # fmt: skip
    except ArgumentError as error:
        raise ArgumentError(f"{where}: {error.message}", hint=error.hint) from None


def check_path(path: str, where: str) -> str:
    """Where a webhook listens, as it is stored, or an ArgumentError."""
    path = path.removeprefix("/hooks/").strip("/")
    if len(path) > 200 or not _PATH.fullmatch(path):
        raise ArgumentError(
            f"{where}: {path!r} is no path", hint="words of letters, digits and - _ ~ . between slashes, at most 200"
        )
    return path


def check_secret(secret: str, where: str) -> str:
    """The name of a secret, or an ArgumentError, which does not show what may be one's value."""
    try:
        return check_name(secret)
    except ArgumentError:
        raise ArgumentError(
            f"{where}: what is given as a secret is no secret's name",
            hint="store the secret with `pgflow secret set NAME`, and give NAME: capital letters, digits and _",
        ) from None


def put(trigger: Trigger, *, actor: str | None) -> Steps[str]:
    """Create or change it. Returns `created`, `changed` or `unchanged`."""
    return (yield from _put(trigger, False, actor))


def create(trigger: Trigger, *, actor: str | None) -> Steps[Trigger]:
    """Create it, or an ArgumentError when there is one of that name."""
    if (yield from _put(trigger, True, actor)) != "created":
        raise NameTaken(f"there is a trigger {trigger.name} already", hint="change it with put, or remove it first")
    return (yield from get(trigger.name))


def _put(trigger: Trigger, create: bool, actor: str | None) -> Steps[str]:
    if "queue" not in trigger.start:
        trigger = replace(trigger, start={**trigger.start, "queue": (yield from queue_of(trigger.start["name"]))})
    done, taken_by = yield engine.put(trigger, create=create, actor=actor)
    if taken_by is not None:
        raise ArgumentError(
            f"trigger {trigger.name}: the path {trigger.path} is that of the trigger {taken_by}",
            hint=f"choose another, or `pgflow trigger remove {taken_by}`",
        )
    return done  # type: ignore[no-any-return]


def get(name: str, kind: str | None = None) -> Steps[Trigger]:
    """The trigger of that name, or NotFound."""
    found: list[Trigger] = yield engine.triggers([name], kind)
    if not found:
        raise _not_found(name, kind)
    return found[0]


def pause(names: Sequence[str], *, actor: str | None) -> Steps[list[str]]:
    """Let these start nothing more."""
    yield from _all(names)
    return (yield engine.pause(names, actor=actor))  # type: ignore[no-any-return]


def resume(names: Sequence[str]) -> Steps[list[str]]:
    """Let these start runs again."""
    yield from _all(names)
    return (yield engine.resume(names))  # type: ignore[no-any-return]


def remove(names: Sequence[str]) -> Steps[list[str]]:
    """Remove these."""
    yield from _all(names)
    return (yield engine.remove(names))  # type: ignore[no-any-return]


def rotate(name: str, secret: str, keep: int, *, actor: str | None) -> Steps[list[str]]:
    """Check a webhook with this secret first."""
    check_secret(secret, f"trigger {name}")
    if not 0 <= keep <= 10:
        raise ArgumentError(f"trigger {name}: {keep} secrets cannot be kept beside the new one", hint="0 to 10")
    found = yield from get(name, "webhook")
    if found.settings["signature"] is None:
        raise ArgumentError(f"trigger {name} is not signed, and so has no secrets")
    secrets: list[str] | None = yield engine.rotate(name, secret, keep, actor=actor)
    if secrets is None:
        raise _not_found(name, "webhook")
    return secrets


def _all(names: Sequence[str]) -> Steps[None]:
    found: list[Trigger] = yield engine.triggers(names)
    missing = sorted(set(names) - {trigger.name for trigger in found})
    if missing:
        raise _not_found(missing[0])


def _not_found(name: str, kind: str | None = None) -> NotFound:
    return NotFound(f"there is no {'' if kind is None else kind + ' '}trigger {name}", hint="see `pgflow trigger list`")


def _one(call: Call[R]) -> Steps[R]:
    return (yield call)  # type: ignore[no-any-return]


class Triggers:
    """`client.triggers`: what HTTP requests and application events start.

    Example:
        >>> client.triggers.create(                                          # doctest: +SKIP
        ...     "orders", fulfil, path="shop/orders", secrets=["SHOP_SECRET"], filter="body.paid",
        ...     input={"order": "${body.order}"},
        ... )
    """

    def __init__(self, drive: Callable[[Steps[Any]], Any], actor: str | None, settings: Settings) -> None:
        self._drive, self._actor, self._settings = drive, actor, settings

    def create(self, name: str, task: Task[..., Any] | str, /, **when: Unpack[When]) -> Trigger:
        """Make a trigger.

        Args:
            name: its own.
            task: what it starts, with its `.options(...)`; or the name of one that only workers know.
            **when: `path=` or `event=`, and what else makes it up: see `trigger_of`.

        Raises:
            ArgumentError: there is one of that name, another has its path, or something makes no sense.
        """
        return self._drive(create(trigger_of(name, task, **when), actor=self._actor))  # type: ignore[no-any-return]

    def put(self, name: str, task: Task[..., Any] | str, /, **when: Unpack[When]) -> str:
        """Make a trigger, or change the one of that name. Returns `created`, `changed` or `unchanged`."""
        return self._drive(put(trigger_of(name, task, **when), actor=self._actor))  # type: ignore[no-any-return]

    def list(self, kind: str | None = None) -> Sequence[Trigger]:
        """All of them, or those of a kind (`webhook`, `event`), by name."""
        return self._drive(_one(engine.triggers(kind=kind)))  # type: ignore[no-any-return]

    def get(self, name: str) -> Trigger:
        """One of them, or NotFound."""
        return self._drive(get(name))  # type: ignore[no-any-return]

    def pause(self, *names: str) -> Sequence[str]:
        """Let these start nothing more; senders of webhooks are told to come again. Returns those that were not paused
        before."""
        return self._drive(pause(names, actor=self._actor))  # type: ignore[no-any-return]

    def resume(self, *names: str) -> Sequence[str]:
        """Let these start runs again. Returns those that were paused."""
        return self._drive(resume(names))  # type: ignore[no-any-return]

    def remove(self, *names: str) -> Sequence[str]:
        """Remove these; what they have started goes on."""
        return self._drive(remove(names))  # type: ignore[no-any-return]

    def rotate(self, name: str, secret: str, *, keep: int = 1) -> Sequence[str]:
        """Check a webhook with this secret from now on, and with so many of those before it: until their senders have
        changed too. Rotating to the newest again with `keep=0` drops the others. Returns all that may sign.

        Args:
            name: the trigger.
            secret: the secret's name.
            keep: how many of those before may still sign.
        """
        return self._drive(rotate(name, secret, keep, actor=self._actor))  # type: ignore[no-any-return]

    def receive(
        self, path: str, headers: Mapping[str, str], body: bytes, received_at: datetime | None = None
    ) -> Received:
        """Take an HTTP request for a webhook: believe it or not, and store what it starts. Never raises for what a
        stranger may have sent.

        Args:
            path: what comes after `/hooks/`.
            headers: the request's, in whatever case.
            body: exactly as it arrived.
            received_at: when; now, unless given.

        Raises:
            DatabaseUnavailable: it may or may not be stored; the sender is to send it again.
        """
        at = received_at or datetime.now(UTC)
        return self._drive(receive(path, headers, body, at, settings=self._settings))  # type: ignore[no-any-return]


class AsyncTriggers:
    """`client.triggers` of an async client: the same verbs as `Triggers`, awaited."""

    def __init__(self, drive: Callable[[Steps[Any]], Awaitable[Any]], actor: str | None, settings: Settings) -> None:
        self._drive, self._actor, self._settings = drive, actor, settings

    async def create(self, name: str, task: Task[..., Any] | str, /, **when: Unpack[When]) -> Trigger:
        return await self._drive(create(trigger_of(name, task, **when), actor=self._actor))  # type: ignore[no-any-return]

    async def put(self, name: str, task: Task[..., Any] | str, /, **when: Unpack[When]) -> str:
        return await self._drive(put(trigger_of(name, task, **when), actor=self._actor))  # type: ignore[no-any-return]

    async def list(self, kind: str | None = None) -> Sequence[Trigger]:
        return await self._drive(_one(engine.triggers(kind=kind)))  # type: ignore[no-any-return]

    async def get(self, name: str) -> Trigger:
        return await self._drive(get(name))  # type: ignore[no-any-return]

    async def pause(self, *names: str) -> Sequence[str]:
        return await self._drive(pause(names, actor=self._actor))  # type: ignore[no-any-return]

    async def resume(self, *names: str) -> Sequence[str]:
        return await self._drive(resume(names))  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> Sequence[str]:
        return await self._drive(remove(names))  # type: ignore[no-any-return]

    async def rotate(self, name: str, secret: str, *, keep: int = 1) -> Sequence[str]:
        return await self._drive(rotate(name, secret, keep, actor=self._actor))  # type: ignore[no-any-return]

    async def receive(
        self, path: str, headers: Mapping[str, str], body: bytes, received_at: datetime | None = None
    ) -> Received:
        at = received_at or datetime.now(UTC)
        return await self._drive(receive(path, headers, body, at, settings=self._settings))  # type: ignore[no-any-return]
