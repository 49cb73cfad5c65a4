"""Triggers: what HTTP requests and application events start. How such requests come in: `hooks`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from pgflow.api import revisions
from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import NO_NUL, Instant, Model, Name, Query, Seconds, Text, row
from pgflow.api.operation import Reply, operation
from pgflow.api.problems import ProblemError
from pgflow.api.resources.hooks import new_secret
from pgflow.api.resources.schedules import Paused
from pgflow.api.targets import PriorityWord, Target, chosen, missing, require, sees, shown, unlimited
from pgflow.engine import triggers as engine
from pgflow.errors import NameTaken
from pgflow.sdk.registry import triggers as verbs
from pgflow.sdk.registry.secrets import listed
from pgflow.sdk.registry.webhooks import decide
from pgflow.signature import TOLERANCE, Form, Kind, Scheme

Header = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]
SecretName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=NO_NUL)]
KindWord = Literal["webhook", "event"]
MOST_SECRETS = 11


class Signature(Model):
    """How requests are signed."""

    kind: Literal["standard", "github", "stripe", "header", "none"] = "standard"
    header: Header | None = Field(default=None, description="Of `header`: which one.")
    form: Literal["hex", "base64", "token"] = Field(default="hex", description="Of `header`: what it holds.")
    prefix: Annotated[str, StringConstraints(max_length=100, pattern=NO_NUL)] = Field(
        default="", description="Of `header`: what stands before that."
    )
    tolerance: Seconds = Field(default=TOLERANCE, description="How old, or new, a signed timestamp may be.")


class PutTrigger(Target):
    """What starts a run: requests to a `path`, or an `event`."""

    path: Text | None = Field(default=None, max_length=250, description="Where it listens, below `/hooks/`.")
    event: Text | None = Field(default=None, max_length=250, description="An event's name, or its beginning and `*`.")
    input: dict[str, Any] | None = Field(
        default=None, description="The arguments; they may hold `${body.order}`, `${event.payload.order}`."
    )
    filter: Text | None = Field(
        default=None, max_length=4000, description="An expression; what it does not hold for starts nothing."
    )
    signature: Signature | None = Field(default=None, description="Of a webhook; `standard` unless given.")
    secrets: list[SecretName] | None = Field(
        default=None, max_length=MOST_SECRETS, description="Names of secrets that may have signed, the newest first."
    )
    headers: list[Header] | None = Field(default=None, max_length=50, description="Which are kept for expressions.")
    delivery: Text | list[Header] | None = Field(
        default=None, description="Where a delivery's id is: headers, or an expression such as `body.id`."
    )
    keep: Seconds | None = Field(default=None, description="How long a delivery's id is remembered: 3 days.")
    limit: int | None = Field(default=None, ge=0, lt=2**31, description="The largest body, in bytes.")


class CreateTrigger(PutTrigger):
    """A new trigger."""

    name: Name


class Trigger(Model):
    """A trigger."""

    name: str
    kind: KindWord
    state: Literal["active", "paused"]
    task: str
    queue: str | None
    priority: PriorityWord
    tags: dict[str, str] | None
    input: Any
    path: str | None
    url: str | None = Field(description="Where requests go.")
    event: str | None
    filter: str | None
    signature: Signature | None
    secrets: list[str] | None = Field(description="Names of the secrets that may have signed.")
    headers: list[str] | None
    delivery: str | list[str] | None
    keep: float | None
    limit: int | None
    paused_at: Instant | None
    paused_by: str | None
    source: str
    revision: int
    created_at: Instant
    changed_at: Instant
    actor: str | None


class TriggerQuery(Query):
    """Which triggers."""

    kind: KindWord | None = None


class TriggerList(Model):
    """Triggers by name."""

    items: list[Trigger]


class RotateSecret(Model):
    """Which secret a webhook is signed with from now on."""

    secret: SecretName = Field(description="The secret's name.")
    keep: int = Field(default=1, ge=0, le=10, description="How many of those before may still sign.")
    generate: bool = Field(default=False, description="Make a new secret, and store it under that name.")


class Rotated(Model):
    """Who may sign now."""

    secrets: list[str]
    value: str | None = Field(description="What was made, this once. It is not shown again.")


class TryTrigger(Model):
    """What might have come."""

    body: Any = Field(default=None, description="Of an event: its payload.")
    headers: dict[Header, Text] = Field(default_factory=dict, max_length=100)


class Tried(Model):
    """What it would start."""

    start: dict[str, Any] | None = Field(description="Null: the filter does not let it through.")
    delivery: str | None = Field(description="The delivery's id.")


class Triggers:
    """`/api/v1/triggers`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List the triggers")
    async def on_get(self, asked: Asked, query: TriggerQuery) -> TriggerList:
        """By name."""
        found = await self._backend.client.triggers.list(query.kind)
        return TriggerList(items=[self._answer(one) for one in found if sees(asked, one.start)])

    @operation("Make a trigger", status=201, changes="trigger.create", tagged="content")
    async def on_post(self, change: Change, body: CreateTrigger) -> Reply[Trigger]:
        """It starts runs from now on."""
        wanted = self._wanted(change, body.name, body)
        if await change.run(engine.lock(body.name)) is not None:
            raise NameTaken(f"there is a trigger {body.name} already", hint="change it with PUT")
        made = await change.drive(verbs.create(wanted, actor=change.actor))
        change.tell(f"trigger:{body.name}", after=self._told(made))
        return self._reply(made, 201)

    @operation("Look at a trigger", tagged="content")
    async def on_get_one(self, asked: Asked, name: Name) -> Reply[Trigger]:
        """Its ETag changes when anything in it does; `If-Match` heeds its revision alone."""
        return self._reply(await self._theirs(asked, name))

    @operation(
        "Make or change a trigger", statuses={201: "It was made."}, changes="trigger.put",
        problems=("precondition_failed",), headers=revisions.IF_MATCH | revisions.IF_NONE_MATCH, tagged="content",
    )  # fmt: skip
    async def on_put_one(self, change: Change, name: Name, body: PutTrigger) -> Reply[Trigger]:
        """A pause stays."""
        wanted = self._wanted(change, name, body)
        before = await self._mine(change, name)
        revisions.check(change, None if before is None else revisions.etag(before.id, before.revision))
        done = await change.drive(verbs.put(wanted, actor=change.actor))
        made = await change.client.triggers.get(name)
        change.tell(f"trigger:{name}", before=before and self._told(before), after=self._told(made))
        if done == "unchanged":
            change.nothing_changed()
        return self._reply(made, 201 if done == "created" else 200)

    @operation(
        "Remove a trigger", changes="trigger.remove", problems=("precondition_failed",), headers=revisions.IF_MATCH
    )
    async def on_delete_one(self, change: Change, name: Name) -> None:
        """What it has started goes on."""
        before = await self._mine(change, name)
        if before is None:
            missing("trigger", name)
        revisions.check(change, revisions.etag(before.id, before.revision))
        await change.client.triggers.remove(name)
        change.tell(f"trigger:{name}", before=self._told(before))

    @operation("Pause a trigger", changes="trigger.pause")
    async def on_post_pause(self, change: Change, name: Name) -> Paused:
        """It starts nothing more; senders of webhooks are told to come again."""
        await self._theirs(change, name)
        done = await change.client.triggers.pause(name)
        change.tell(f"trigger:{name}", before={"paused": not done}, after={"paused": True})
        return Paused(paused=True, changed=bool(done))

    @operation("Resume a trigger", changes="trigger.resume")
    async def on_post_resume(self, change: Change, name: Name) -> Paused:
        """It starts runs again."""
        await self._theirs(change, name)
        done = await change.client.triggers.resume(name)
        change.tell(f"trigger:{name}", before={"paused": bool(done)}, after={"paused": False})
        return Paused(paused=False, changed=bool(done))

    @operation("Rotate a webhook's secret", changes="trigger.rotate")
    async def on_post_rotate(self, change: Change, name: Name, body: RotateSecret) -> Rotated:
        """Requests are checked with it first, and with so many of those before it, until their senders have changed
        too. With `generate` the secret is made here and answered this once; its name has to be a new one."""
        before = await change.client.triggers.get(name)
        value = None
        if body.generate:
            if any(one.name == body.secret for one in await change.drive(listed())):
                raise ProblemError("conflict", f"there is a secret {body.secret} already", hint="give a new name")
            value = new_secret(before)
            await change.client.secrets.set(body.secret, value)
        secrets = await change.client.triggers.rotate(name, body.secret, keep=body.keep)
        told = {"secrets": list(before.settings.get("secrets", ()))}
        change.tell(f"trigger:{name}", before=told, after={"secrets": list(secrets), "generated": body.generate})
        return Rotated(secrets=list(secrets), value=value)

    @operation("Try a trigger out", unaudited="nothing is started")
    async def on_post_test(self, asked: Asked, name: Name, body: TryTrigger) -> Tried:
        """What a body would start, by the trigger's filter and input. No signature is asked for."""
        trigger = await self._theirs(asked, name)
        headers = {header.lower(): value for header, value in body.headers.items()}
        decision = await asyncio.to_thread(decide, trigger, _names(trigger, headers, body.body))
        return Tried(start=None if decision.start is None else dict(decision.start), delivery=decision.delivery)

    def _wanted(self, change: Change, name: str, body: PutTrigger) -> engine.Trigger:
        require(change, body.task, body.queue)
        if body.event is not None:
            unlimited(change, f"trigger {name}")
        task, options = chosen(self._backend.tasks, body)
        words = verbs.When.__annotations__.keys() - Target.model_fields.keys()
        given = {word: value for word in words if (value := getattr(body, word)) is not None}
        when: verbs.When = {**given, **options}  # type: ignore[typeddict-item]
        if body.signature is not None:
            signature = body.signature
            when["signature"] = verbs.UNSIGNED if signature.kind == "none" else Scheme(
                Kind(signature.kind), signature.header, Form(signature.form), signature.prefix, signature.tolerance
            )  # fmt: skip
        return verbs.trigger_of(name, task, source="api", **when)

    async def _theirs(self, asked: Asked, name: str) -> engine.Trigger:
        client = asked.client if isinstance(asked, Change) else self._backend.client
        found = await client.triggers.get(name)
        if not sees(asked, found.start):
            missing("trigger", name)
        return found

    async def _mine(self, change: Change, name: str) -> engine.Trigger | None:
        return await self._theirs(change, name) if await change.run(engine.lock(name)) is not None else None

    def _answer(self, one: engine.Trigger) -> Trigger:
        stored: dict[str, Any] = dict.fromkeys(("secrets", "headers", "delivery", "keep", "limit"))
        stored |= one.settings
        base = (self._backend.settings.public_url or "").rstrip("/")
        more = {
            "state": "paused" if one.paused_at else "active",
            "url": None if one.path is None else f"{base}/hooks/{one.path}",
            "signature": None if one.kind == "event" else _signature(stored.get("signature")),
        }
        fields = {word: getattr(one, word) for word in Trigger.model_fields if hasattr(one, word)}
        return row(Trigger, {**stored, **fields, **shown(one.start), **more})

    def _reply(self, one: engine.Trigger, status: int = 200) -> Reply[Trigger]:
        headers = {"ETag": revisions.etag(one.id, one.revision)}
        if status == 201:
            headers["Location"] = f"/api/v1/triggers/{one.name}"
        return Reply(self._answer(one), status, headers)

    def _told(self, one: engine.Trigger) -> dict[str, Any]:
        whole: dict[str, Any] = self._answer(one).model_dump(mode="json")
        return {word: whole[word] for word in (*PutTrigger.model_fields, "state", "source")}


def _signature(stored: Any) -> Signature:
    if stored is None:
        return Signature(kind="none")
    return Signature.model_construct(**stored)


def _names(trigger: engine.Trigger, headers: dict[str, str], body: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    if trigger.kind == "event":
        return {"event": {"name": trigger.event, "payload": body, "key": None, "id": "test", "at": now}}
    kept = {name: headers[name] for name in trigger.settings["headers"] if name in headers}
    return {"body": body, "headers": kept, "delivery": "test", "trigger": trigger.name, "received_at": now}
