"""Subscriptions: who is told of events, and what became of each delivery."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, PlainSerializer, StringConstraints, WithJsonSchema

from pgflow.access import Role
from pgflow.api import revisions
from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import NO_NUL, Id, Instant, Limit, Model, Name, Page, Query, StateWord, Text, row
from pgflow.api.operation import Reply, operation
from pgflow.api.problems import ProblemError
from pgflow.engine import subscriptions as engine
from pgflow.errors import ArgumentError, NameTaken
from pgflow.model import State
from pgflow.sdk.registry import subscriptions as verbs

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
SigningName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=NO_NUL)]
AnyId = Annotated[int, PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string", "pattern": "^[0-9]+$"})]
"""An id; 0 where there is none."""
FormatWord = Literal["webhook", "chat", "slack", "discord", "teams", "email"]


class PutSubscription(Model):
    """Who is told of what."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=NO_NUL)] = Field(
        description="`https://...`, `mailto:ann@example.com`, or `${secrets.NAME}`, a secret that holds such a URL."
    )
    types: list[Pattern] = Field(
        default=["task.failed"], min_length=1, max_length=50, description="As in `workflow.*`."
    )
    names: list[Pattern] | None = Field(default=None, max_length=50, description="Only what is called so: `orders.*`.")
    runs_only: bool = Field(default=False, description="Nothing of tasks within a run.")
    format: FormatWord | None = Field(default=None, description="By the URL unless given.")
    secrets: list[SigningName] = Field(default=[], max_length=10, description="Names of the secrets that sign.")


class CreateSubscription(PutSubscription):
    """A new subscription."""

    name: Name


class Subscription(Model):
    """A subscription."""

    name: str
    state: Literal["enabled", "failing", "disabled"]
    url: str = Field(description="Only admins see all of it: the path of many is a secret.")
    types: list[str]
    names: list[str] | None
    runs_only: bool
    format: FormatWord
    secrets: list[str] = Field(description="Names.")
    failures: int = Field(description="Deliveries in a row that were given up.")
    failing_since: Instant | None
    disabled_at: Instant | None
    disabled_why: str | None
    revision: int
    created_at: Instant
    changed_at: Instant
    actor: str | None


class SubscriptionList(Model):
    """Subscriptions by name."""

    items: list[Subscription]


class Disable(Model):
    """Why."""

    why: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=NO_NUL)] = "disabled by hand"


class Enabled(Model):
    """Whether it is enabled, and whether that is new."""

    enabled: bool
    changed: bool


class Delivery(Model):
    """What became of one event."""

    id: Id = Field(description="The task that delivers.")
    event_id: Id | None
    type: str
    run_id: AnyId = Field(description="The run that the event is of; 0: of none, in a test.")
    task_id: AnyId
    name: str
    state: StateWord | None
    delivered: bool
    attempt: int | None
    status: int | None = Field(description="The receiver's last HTTP status.")
    error: str | None
    created_at: Instant
    due_at: Instant | None = Field(description="When it is tried again.")
    finished_at: Instant | None


class DeliveryQuery(Query):
    """Which deliveries."""

    state: State | None = None
    since: Instant | None = Field(default=None, description="Only those made since then.")
    after: Text | None = Field(default=None, max_length=1000, description="`next` of the page before.")
    limit: Limit = 50


class Redeliver(Model):
    """Which are delivered once more: some by their ids, or all since an instant."""

    deliveries: list[Id] | None = Field(default=None, min_length=1, max_length=500)
    since: Instant | None = Field(default=None, description="All since then that have not come through.")
    again: bool = Field(default=False, description="With `since`: also those that have.")


class Redelivering(Model):
    """The tasks that deliver once more."""

    count: int
    items: list[Id] = Field(description="The first 500 of them.")


class Tested(Model):
    """The task that sends a made-up event; its result says what came back."""

    delivery: Id


class Subscriptions:
    """`/api/v1/subscriptions`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List the subscriptions")
    async def on_get(self, asked: Asked) -> SubscriptionList:
        """By name."""
        found = await self._backend.client.subscriptions.list()
        return SubscriptionList(items=[_answer(one, asked) for one in found])

    @operation("Make a subscription", status=201, changes="subscription.create", tagged="content")
    async def on_post(self, change: Change, body: CreateSubscription) -> Reply[Subscription]:
        """It is told of what happens from now on."""
        wanted = _wanted(body.name, body)
        if await change.run(engine.lock(body.name)) is not None:
            raise NameTaken(f"there is a subscription {body.name} already", hint="change it with PUT")
        made = await change.drive(verbs.create(wanted, actor=change.actor))
        change.tell(f"subscription:{body.name}", after=_told(made))
        return _reply(made, change, 201)

    @operation("Look at a subscription", tagged="content")
    async def on_get_one(self, asked: Asked, name: Name) -> Reply[Subscription]:
        """Its ETag changes when anything in it does; `If-Match` heeds its revision alone."""
        return _reply(await self._backend.client.subscriptions.get(name), asked)

    @operation(
        "Make or change a subscription", statuses={201: "It was made."}, changes="subscription.put",
        problems=("precondition_failed",), headers=revisions.IF_MATCH | revisions.IF_NONE_MATCH, tagged="content",
    )  # fmt: skip
    async def on_put_one(self, change: Change, name: Name, body: PutSubscription) -> Reply[Subscription]:
        """One that is disabled stays so."""
        wanted = _wanted(name, body)
        there = await change.run(engine.lock(name)) is not None
        before = await change.client.subscriptions.get(name) if there else None
        revisions.check(change, None if before is None else revisions.etag(before.id, before.revision))
        done = await change.drive(verbs.put(wanted, actor=change.actor))
        made = await change.client.subscriptions.get(name)
        change.tell(f"subscription:{name}", before=before and _told(before), after=_told(made))
        if done == "unchanged":
            change.nothing_changed()
        return _reply(made, change, 201 if done == "created" else 200)

    @operation(
        "Remove a subscription", changes="subscription.remove", problems=("precondition_failed",),
        headers=revisions.IF_MATCH,
    )  # fmt: skip
    async def on_delete_one(self, change: Change, name: Name) -> None:
        """It is told of nothing more."""
        await change.run(engine.lock(name))
        before = await change.client.subscriptions.get(name)
        revisions.check(change, revisions.etag(before.id, before.revision))
        await change.client.subscriptions.remove(name)
        change.tell(f"subscription:{name}", before=_told(before))

    @operation("Enable a subscription", changes="subscription.enable")
    async def on_post_enable(self, change: Change, name: Name) -> Enabled:
        """It is told of what happens from now on."""
        done = await change.client.subscriptions.enable(name)
        change.tell(f"subscription:{name}", before={"enabled": not done}, after={"enabled": True})
        return Enabled(enabled=True, changed=bool(done))

    @operation("Disable a subscription", changes="subscription.disable", optional_body=True)
    async def on_post_disable(self, change: Change, name: Name, body: Disable) -> Enabled:
        """It is told of nothing any more, until it is enabled."""
        done = await change.client.subscriptions.disable(name, why=body.why)
        change.tell(f"subscription:{name}", before={"enabled": bool(done)}, after={"enabled": False, "why": body.why})
        return Enabled(enabled=False, changed=bool(done))

    @operation("Send a subscription a made-up event", status=202, changes="subscription.test")
    async def on_post_test(self, change: Change, name: Name) -> Reply[Tested]:
        """Once, whether it is enabled or not. The run's result says what came back."""
        handle = await change.client.subscriptions.test(name)
        change.tell(f"subscription:{name}", after={"delivery": str(handle.id)})
        return Reply(Tested(delivery=handle.id), headers={"Location": f"/api/v1/runs/{handle.id}"})

    @operation("List the deliveries to a subscription")
    async def on_get_deliveries(self, asked: Asked, name: Name, query: DeliveryQuery) -> Page[Delivery]:
        """The newest event first."""
        subscription = await self._backend.client.subscriptions.get(name)
        assert subscription.id is not None
        found = await self._backend.run(
            engine.deliveries(
                subscription.id, before=_key(query.after, subscription.id), state=query.state, since=query.since,
                limit=query.limit,
            )
        )  # fmt: skip
        following = urlsafe_b64encode(found[-1].key.encode()).decode() if len(found) == query.limit else None
        return Page(items=[_delivery(one) for one in found], next=following)

    @operation("Deliver once more", status=202, changes="subscription.redeliver")
    async def on_post_redeliver(self, change: Change, name: Name, body: Redeliver) -> Redelivering:
        """What was given up, or is wanted again. What is still under way is left alone."""
        if body.again and body.since is None:
            raise ArgumentError("again goes with since")
        done = await change.client.subscriptions.redeliver(
            name, *(body.deliveries or ()), since=body.since, again=body.again
        )
        change.tell(f"subscription:{name}", after={"count": len(done), "since": body.since, "again": body.again})
        return Redelivering(count=len(done), items=list(done)[:500])


def _wanted(name: str, body: PutSubscription) -> engine.Subscription:
    return verbs.subscription_of(
        name, body.url, types=body.types, names=body.names, runs_only=body.runs_only, format=body.format,
        secrets=body.secrets,
    )  # fmt: skip


def _key(after: str | None, id: int) -> str | None:
    """Where a page begins. One of another subscription is none."""
    if after is None:
        return None
    try:
        key = urlsafe_b64decode(after.encode()).decode()
    except ValueError:
        key = ""
    if not key.startswith(f"delivery/{id}/") or "\0" in key:
        raise ProblemError("invalid", "query.after: it is no `next` of a page of these deliveries")
    return key


def masked(url: str) -> str:
    """A URL without what may be a secret in it; a mailbox, and the name of a secret, as they are."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        return url
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/..." if parts.path not in {"", "/"} or parts.query else f"{parts.scheme}://{host}"


def _answer(one: engine.Subscription, asked: Asked | None) -> Subscription:
    whole = asked is not None and asked.who is not None and asked.who.role >= Role.ADMIN
    state = "disabled" if one.disabled_at else "failing" if one.failing_since else "enabled"
    fields = {word: getattr(one, word) for word in Subscription.model_fields if hasattr(one, word)}
    return row(Subscription, {**fields, "state": state, "url": one.url if whole else masked(one.url)})


def _reply(one: engine.Subscription, asked: Asked, status: int = 200) -> Reply[Subscription]:
    headers = {"ETag": revisions.etag(one.id, one.revision)}
    if status == 201:
        headers["Location"] = f"/api/v1/subscriptions/{one.name}"
    return Reply(_answer(one, asked), status, headers)


def _delivery(one: engine.Delivery) -> Delivery:
    return row(Delivery, {word: getattr(one, word) for word in Delivery.model_fields})


def _told(one: engine.Subscription) -> dict[str, Any]:
    whole: dict[str, Any] = _answer(one, None).model_dump(mode="json")
    return {word: whole[word] for word in (*PutSubscription.model_fields, "state")}
