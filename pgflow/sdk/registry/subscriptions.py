"""`client.subscriptions`: the verbs about who is told of events, once for both colours."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, TypedDict, TypeVar, Unpack
from urllib.parse import unquote, urlsplit

from pgflow.codec import encode
from pgflow.db.call import Call
from pgflow.engine import control
from pgflow.engine import subscriptions as engine
from pgflow.engine.enqueue import Enqueued, Request, Spec, enqueue
from pgflow.engine.subscriptions import QUEUE, SECRET_URL, TASK, Delivery, Subscription
from pgflow.errors import ArgumentError, NameTaken, NotFound
from pgflow.model import EventType, State
from pgflow.sdk.secret import check_name
from pgflow.sdk.task import is_name
from pgflow.sdk.verbs import Handle, Steps

R = TypeVar("R")

FAILURES = ("task.failed",)
FORMATS = ("webhook", "chat", "slack", "discord", "teams", "email")
PAGE = 500

_NAMES = re.compile(r"[A-Za-z0-9_.:*-]{1,200}")
_MAIL = re.compile(r"[^@\s,<>]+@[^@\s,<>]+")


class Wanted(TypedDict, total=False):
    """Which events, and in which form: see `pgflow.engine.subscriptions.Subscription`."""

    types: Sequence[str]
    names: Sequence[str] | None
    runs_only: bool
    format: str
    secrets: Sequence[str]


def subscription_of(
    name: str, url: str, *, types: Sequence[str] = FAILURES, names: Sequence[str] | None = None,
    runs_only: bool = False, format: str | None = None, secrets: Sequence[str] = (),
) -> Subscription:  # fmt: skip
    """The subscription, checked whole. The arguments are those of `Subscriptions.create`."""
    if not is_name(name):
        raise ArgumentError(f"{name!r} is no name for a subscription", hint="letters, digits and _ . : -, at most 200")
    form = format or ("email" if url.startswith("mailto:") else "webhook")
    if form not in FORMATS:
        raise ArgumentError(f"there is no format {form!r}", hint=f"choose one of: {', '.join(FORMATS)}")
    if not types:
        raise ArgumentError("a subscription needs at least one type of event", hint="such as task.failed or workflow.*")
    for pattern in types:
        _check_type(pattern)
    for pattern in names or ():
        if not _NAMES.fullmatch(pattern):
            raise ArgumentError(f"{pattern!r} is no pattern of names", hint="as in orders.*")
    for secret in secrets:
        check_name(secret)
    if form == "email":
        _check_mail(url)
    else:
        _check_url(url)
    return Subscription(
        name=name, url=url, types=list(dict.fromkeys(types)), names=list(names) if names else None,
        runs_only=runs_only, format=form, secrets=list(dict.fromkeys(secrets)),
    )  # fmt: skip


def _check_type(pattern: str) -> None:
    if any(fnmatchcase(kind, pattern) for kind in EventType) and not set(pattern) & set("?[]"):
        return
    close = difflib.get_close_matches(pattern, list(EventType), cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else "such as task.failed, workflow.* or *"
    raise ArgumentError(f"no event has the type {pattern!r}", hint=hint)


def _check_mail(url: str) -> None:
    parts = urlsplit(url)
    addresses = [unquote(address) for address in parts.path.split(",")]
    if parts.scheme != "mailto" or parts.query or not all(map(_MAIL.fullmatch, addresses)):
        raise ArgumentError(f"{url!r} does not lead to a mailbox", hint="write mailto:ann@example.com,bob@example.com")


def _check_url(url: str) -> None:
    """Whether it can be read; whether it may be called is for the workers to say, by their settings."""
    from pgflow.outbound.errors import OutboundRefused
    from pgflow.outbound.policy import Policy
    from pgflow.outbound.target import parse

    if (named := SECRET_URL.fullmatch(url)) is not None:
        check_name(named[1])
        return
    if "${" in url:
        raise ArgumentError("a URL can be a secret only as a whole", hint="write ${secrets.NAME}, and store all of it")
    try:
        parse(url, Policy(everything=True))
    except OutboundRefused as error:
        raise ArgumentError(error.message, hint=error.hint) from None


def slot_of(subscription: Subscription) -> str:
    """Whose deliveries take turns: the host; of a URL that only workers know, the subscription."""
    if subscription.format == "email":
        return "mail"
    if SECRET_URL.fullmatch(subscription.url):
        return f"subscription:{subscription.name}"
    return (urlsplit(subscription.url).hostname or "").removesuffix(".")


def put(subscription: Subscription, *, actor: str | None) -> Steps[str]:
    """Create or change it. Returns `created`, `changed` or `unchanged`."""
    return (yield engine.put(subscription, slot_of(subscription), actor=actor))  # type: ignore[no-any-return]


def create(subscription: Subscription, *, actor: str | None) -> Steps[Subscription]:
    """Create it, or an ArgumentError when there is one of that name."""
    if (yield engine.put(subscription, slot_of(subscription), create=True, actor=actor)) != "created":
        raise NameTaken(
            f"there is a subscription {subscription.name} already", hint="change it with put, or remove it first"
        )
    return (yield from get(subscription.name))


def get(name: str) -> Steps[Subscription]:
    """The subscription of that name, or NotFound."""
    return (yield from _all([name]))[0]


def enable(names: Sequence[str], *, actor: str | None) -> Steps[list[str]]:
    """Tell these of events again."""
    yield from _all(names)
    return (yield engine.enable(names, actor=actor))  # type: ignore[no-any-return]


def disable(names: Sequence[str], why: str, *, actor: str | None) -> Steps[list[str]]:
    """Tell these of nothing any more."""
    if not why.strip():
        raise ArgumentError("say why, for whoever finds the subscription disabled")
    yield from _all(names)
    return (yield engine.disable(names, why.strip(), actor=actor))  # type: ignore[no-any-return]


def remove(names: Sequence[str]) -> Steps[list[str]]:
    """Remove these."""
    yield from _all(names)
    return (yield engine.remove(names))  # type: ignore[no-any-return]


def _all(names: Sequence[str]) -> Steps[list[Subscription]]:
    found: list[Subscription] = yield engine.subscriptions(names)
    missing = sorted(set(names) - {subscription.name for subscription in found})
    if missing:
        raise NotFound(f"there is no subscription {missing[0]}", hint="see `pgflow subscription list`")
    return found


def deliveries(
    name: str, state: State | str | None, since: datetime | None, limit: int, before: Delivery | None
) -> Steps[list[Delivery]]:
    """What became of the newest events."""
    if state is not None and state not in State.__members__.values():
        raise ArgumentError(f"no state {state!r}", hint=f"one of: {', '.join(State)}")
    subscription = yield from get(name)
    assert subscription.id is not None
    key = None if before is None else before.key
    return (yield engine.deliveries(subscription.id, before=key, state=state, since=since, limit=limit))  # type: ignore[no-any-return]


def redeliver(
    name: str, ids: Sequence[int], since: datetime | None, again: bool, *, actor: str | None
) -> Steps[list[int]]:
    """Deliver what has ended once more. Returns the tasks that do."""
    if bool(ids) == (since is not None):
        raise ArgumentError("say which deliveries: some by their ids, or all since an instant")
    subscription = yield from get(name)
    assert subscription.id is not None
    started: list[int] = []
    seen: set[int] = set()
    before: str | None = None
    while True:
        page: list[Delivery] = yield engine.deliveries(
            subscription.id, before=before, since=since, undelivered=not (ids or again), ids=ids or None, limit=PAGE
        )
        seen.update(delivery.id for delivery in page)
        ended = [delivery for delivery in page if delivery.state is not None and State(delivery.state).final]
        failed = [delivery.id for delivery in ended if delivery.state in {State.FAILED, State.CANCELLED}]
        if failed:
            started += yield control.redrive([control.Located(id, id, True) for id in failed], actor=actor)
        others = [_again(subscription, delivery) for delivery in ended if delivery.id not in failed]
        if others:
            done: Enqueued = yield enqueue(others, actor=actor)
            started += done.ids
        if len(page) < PAGE:
            break
        before = page[-1].key
    missing = sorted(set(ids) - seen)
    if missing:
        raise NotFound(f"{name} has no delivery {missing[0]}", hint=f"see `pgflow subscription deliveries {name}`")
    return list(dict.fromkeys(started))


def _again(subscription: Subscription, delivery: Delivery) -> Request:
    """A new task for a delivery whose task was completed. Its key is held while it is under way."""
    key = "/".join([*delivery.key.split("/")[:3], "again"])
    tags = encode({"subscription": subscription.name})
    return Request(
        Spec(TASK, QUEUE, timeout=60), encode(delivery.input), key=key, tags=tags, slot=slot_of(subscription)
    )


def test(name: str, *, actor: str | None) -> Steps[Handle[Any]]:
    """Send a made-up event, once, whether the subscription is enabled or not."""
    subscription = yield from get(name)
    event = {
        "type": "test", "at": datetime.now(UTC).isoformat(), "run_id": 0, "task_id": 0, "name": "pgflow.test"
    }  # fmt: skip
    input = encode({"subscription": subscription.id, "event": event, "test": True})
    spec = Spec(TASK, QUEUE, timeout=60, retry=b'{"max_attempts": 1}')
    request = Request(spec, input, tags=encode({"subscription": name}), slot=slot_of(subscription))
    done: Enqueued = yield enqueue([request], actor=actor)
    return Handle(done.ids[0])


class Subscriptions:
    """`client.subscriptions`: who is told of events.

    Example:
        >>> client.subscriptions.create("ops", "https://example.com/hook", secrets=["HOOK_KEY"])  # doctest: +SKIP
    """

    def __init__(self, drive: Callable[[Steps[Any]], Any], actor: str | None) -> None:
        self._drive, self._actor = drive, actor

    def create(self, name: str, url: str, /, **wanted: Unpack[Wanted]) -> Subscription:
        """Make a subscription.

        Args:
            name: its own.
            url: where to: `https://...`, `mailto:ann@example.com`; or `${secrets.NAME}`,
                a secret that holds such a URL.
            **wanted: `types=` (patterns such as `workflow.*`; `task.failed` unless given), `names=` (patterns of
                workflows and tasks), `runs_only=`, `format=` (`webhook`, `chat`, `slack`, `discord`, `teams`,
                `email`), `secrets=` (names of secrets that sign).

        Raises:
            ArgumentError: there is one of that name, or something makes no sense.
        """
        return self._drive(create(subscription_of(name, url, **wanted), actor=self._actor))  # type: ignore[no-any-return]

    def put(self, name: str, url: str, /, **wanted: Unpack[Wanted]) -> str:
        """Make a subscription, or change the one of that name. Returns `created`, `changed` or `unchanged`."""
        return self._drive(put(subscription_of(name, url, **wanted), actor=self._actor))  # type: ignore[no-any-return]

    def list(self) -> Sequence[Subscription]:
        """All of them, by name."""
        return self._drive(_one(engine.subscriptions()))  # type: ignore[no-any-return]

    def get(self, name: str) -> Subscription:
        """One of them, or NotFound."""
        return self._drive(get(name))  # type: ignore[no-any-return]

    def enable(self, *names: str) -> Sequence[str]:
        """Tell these of events again, from now on. Returns those that were disabled."""
        return self._drive(enable(names, actor=self._actor))  # type: ignore[no-any-return]

    def disable(self, *names: str, why: str = "disabled by hand") -> Sequence[str]:
        """Tell these of nothing any more. Returns those that were enabled."""
        return self._drive(disable(names, why, actor=self._actor))  # type: ignore[no-any-return]

    def remove(self, *names: str) -> Sequence[str]:
        """Remove these."""
        return self._drive(remove(names))  # type: ignore[no-any-return]

    def deliveries(
        self, name: str, *, state: State | str | None = None, since: datetime | None = None, limit: int = 50,
        before: Delivery | None = None,
    ) -> Sequence[Delivery]:  # fmt: skip
        """What became of the newest events, newest first; `before` takes the last one of the previous page."""
        return self._drive(deliveries(name, state, since, limit, before))  # type: ignore[no-any-return]

    def redeliver(
        self, name: str, *deliveries: int, since: datetime | None = None, again: bool = False
    ) -> Sequence[int]:
        """Deliver once more what has ended. Returns the tasks that do; what is still under way is left alone.

        Args:
            name: the subscription.
            *deliveries: these, by their ids.
            since: or all since then that have not come through.
            again: of these, also those that have.
        """
        return self._drive(redeliver(name, deliveries, since, again, actor=self._actor))  # type: ignore[no-any-return]

    def test(self, name: str) -> Handle[Any]:
        """Send a made-up event, once, whether it is enabled or not. `client.result` of it says what came back."""
        return self._drive(test(name, actor=self._actor))  # type: ignore[no-any-return]


class AsyncSubscriptions:
    """`client.subscriptions` of an async client: the same verbs as `Subscriptions`, awaited."""

    def __init__(self, drive: Callable[[Steps[Any]], Awaitable[Any]], actor: str | None) -> None:
        self._drive, self._actor = drive, actor

    async def create(self, name: str, url: str, /, **wanted: Unpack[Wanted]) -> Subscription:
        return await self._drive(create(subscription_of(name, url, **wanted), actor=self._actor))  # type: ignore[no-any-return]

    async def put(self, name: str, url: str, /, **wanted: Unpack[Wanted]) -> str:
        return await self._drive(put(subscription_of(name, url, **wanted), actor=self._actor))  # type: ignore[no-any-return]

    async def list(self) -> Sequence[Subscription]:
        return await self._drive(_one(engine.subscriptions()))  # type: ignore[no-any-return]

    async def get(self, name: str) -> Subscription:
        return await self._drive(get(name))  # type: ignore[no-any-return]

    async def enable(self, *names: str) -> Sequence[str]:
        return await self._drive(enable(names, actor=self._actor))  # type: ignore[no-any-return]

    async def disable(self, *names: str, why: str = "disabled by hand") -> Sequence[str]:
        return await self._drive(disable(names, why, actor=self._actor))  # type: ignore[no-any-return]

    async def remove(self, *names: str) -> Sequence[str]:
        return await self._drive(remove(names))  # type: ignore[no-any-return]

    async def deliveries(
        self, name: str, *, state: State | str | None = None, since: datetime | None = None, limit: int = 50,
        before: Delivery | None = None,
    ) -> Sequence[Delivery]:  # fmt: skip
        return await self._drive(deliveries(name, state, since, limit, before))  # type: ignore[no-any-return]

    async def redeliver(
        self, name: str, *deliveries: int, since: datetime | None = None, again: bool = False
    ) -> Sequence[int]:
        return await self._drive(redeliver(name, deliveries, since, again, actor=self._actor))  # type: ignore[no-any-return]

    async def test(self, name: str) -> Handle[Any]:
        return await self._drive(test(name, actor=self._actor))  # type: ignore[no-any-return]


def _one(call: Call[R]) -> Steps[R]:
    return (yield call)  # type: ignore[no-any-return]
