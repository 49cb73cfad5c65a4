"""Bulk: many runs changed at once, after a look at what would be changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import Id, Instant, Model, Name, Page, Query, QueueName, StateWord, Text
from pgflow.api.operation import Reply, operation
from pgflow.api.targets import Tag, missing
from pgflow.errors import NotFound
from pgflow.model import State
from pgflow.sdk.registry import bulk as verbs

ActionWord = Literal["cancel", "pause", "resume", "redrive", "rerun"]


class BulkFilter(Model):
    """Which runs; of `redrive` tasks, too. All that is given has to fit."""

    workflow: Name | None = Field(
        default=None, description="The workflow's or task's name. The engine's own are left out unless named."
    )
    queue: QueueName | None = None
    states: list[State] | None = Field(
        default=None, min_length=1, max_length=20,
        description="Those that have not ended unless given; of `redrive` and `rerun` what failed.",
    )  # fmt: skip
    tags: dict[Tag, Text] | None = Field(default=None, max_length=50, description="With all of these tags.")
    since: Instant | None = Field(default=None, description="Asked for from then on.")
    until: Instant | None = Field(default=None, description="Asked for before then.")
    ids: list[Id] | None = Field(default=None, min_length=1, max_length=1000, description="Only these.")


class AskBulk(Model):
    """What is to be done to which runs."""

    action: ActionWord
    filter: BulkFilter


class BulkSample(Model):
    """Something that would be changed."""

    id: Id
    run_id: Id
    name: str
    queue: str
    state: StateWord
    created_at: Instant


class BulkPreview(Model):
    """What would be changed."""

    action: ActionWord
    count: int = Field(description="How many, exactly.")
    sample: list[BulkSample] = Field(description="The first ten of them.")
    reversible: bool = Field(description="It can be undone for some minutes.")
    undo: str | None = Field(description="What an undo does, and what it does not; null: it cannot be undone.")
    confirmation: str = Field(description="To be given back with the very same action and filter.")
    expires_at: Instant = Field(description="Until then.")


class StartBulk(AskBulk):
    """What is to be done, confirmed."""

    confirmation: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}\.[0-9]{1,18}\.[0-9]{1,18}\.[0-9a-f]{32}$")]
    rate: int = Field(default=verbs.RATE, ge=1, le=verbs.FASTEST, description="How many a second at most.")


class Bulk(Model):
    """A bulk, or the undoing of one."""

    id: Id = Field(description="The run that does it.")
    action: ActionWord | Literal["undo"]
    of: Id | None = Field(description="Of an undoing: what is undone.")
    filter: dict[str, Any] | None
    state: StateWord
    count: int = Field(description="How many there were when it was asked for.")
    met: int = Field(description="How many it has come to.")
    changed: int
    failed: int = Field(description="How many could not be changed.")
    errors: list[str] = Field(description="Why, of the first ones.")
    progress: float = Field(description="From 0 to 1.")
    actor: str | None
    created_at: Instant
    finished_at: Instant | None
    undo_until: Instant | None = Field(description="Null: it cannot be undone, or not yet.")


class BulkQuery(Query):
    """Which bulks."""

    after: Id | None = Field(default=None, description="`next` of the page before.")
    limit: int = Field(default=20, ge=1, le=50, description="How many at most.")


class BulkStarted(Model):
    """What was started."""

    id: Id
    existed: bool = Field(description="It was started before, with this confirmation.")


class Bulks:
    """`/api/v1/bulk`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List bulks")
    async def on_get(self, asked: Asked, query: BulkQuery) -> Page[Bulk]:
        """Newest first, without the undoings; who is limited sees those of the same scopes."""
        runs = await self._backend.drive(verbs.listed(query.after, query.limit))
        following = str(runs[-1]["id"]) if len(runs) == query.limit else None
        return Page(items=[await self._answer(one) for one in runs if _theirs(asked, one)], next=following)

    @operation("Preview a bulk", unaudited="nothing is changed")
    async def on_post_preview(self, asked: Asked, body: AskBulk) -> BulkPreview:
        """The exact count of what fits now, a sample, and what confirms it."""
        now = datetime.now(UTC)
        found = await self._backend.drive(verbs.preview(_asked(asked, body), now))
        sample = [
            BulkSample.model_construct(
                id=one.id, run_id=one.root_id, name=one.name, queue=one.queue, state=one.state,
                created_at=one.created_at,
            )
            for one in found.sample
        ]  # fmt: skip
        return BulkPreview(
            action=body.action, count=found.count, sample=sample, confirmation=found.confirmation,
            reversible=found.undo is not None, undo=found.undo, expires_at=verbs.expires_at(now),
        )  # fmt: skip

    @operation("Start a bulk", status=202, statuses={200: "It was started before."}, changes="bulk.start")
    async def on_post(self, change: Change, body: StartBulk) -> Reply[BulkStarted]:
        """In the background, page by page, not faster than `rate`. What was asked for since the preview is left
        alone; when much more fits by now, nothing is done."""
        asked = _asked(change, body)
        handle = await change.drive(verbs.start(asked, body.confirmation, body.rate, datetime.now(UTC)))
        told = {"action": body.action, "filter": dict(asked.which), "rate": body.rate, "scopes": change.scoped}
        return _started(change, handle.id, handle.existed, told)

    @operation("Look at a bulk")
    async def on_get_one(self, asked: Asked, id: Id) -> Bulk:
        """How far it has come."""
        return await self._answer(await self._one(asked, id))

    @operation("Cancel a bulk", changes="bulk.cancel")
    async def on_post_cancel(self, change: Change, id: Id) -> Bulk:
        """It ends after the page that it is at. What it has changed stays changed, unless it is undone."""
        before = await self._one(change, id)
        done = await change.client.bulk.cancel(id)
        change.tell(f"bulk:{id}", before={"state": before["state"]}, after={"state": done["state"]})
        return Bulk.model_construct(**done)

    @operation("Undo a bulk", status=202, statuses={200: "It is being undone already."}, changes="bulk.undo")
    async def on_post_undo(self, change: Change, id: Id) -> Reply[BulkStarted]:
        """Within some minutes after its end: what was cancelled is redriven, what was paused resumed, what was resumed
        paused; as far as it still is as the bulk left it. Cancelled runs of graphs that had begun stay so, and
        are told of as failed: re-run them."""
        await self._one(change, id)
        handle = await change.client.bulk.undo(id)
        return _started(change, handle.id, handle.existed, {"undo": str(id)})

    async def _one(self, asked: Asked, id: int) -> Any:
        try:
            found = await (asked.drive if isinstance(asked, Change) else self._backend.drive)(verbs.get(id))
        except NotFound:
            missing("bulk", str(id))
        if not _theirs(asked, found):
            missing("bulk", str(id))
        return found

    async def _answer(self, run: Any) -> Bulk:
        return Bulk.model_construct(**await self._backend.drive(verbs.answer(run)))


def _asked(asked: Asked, body: AskBulk) -> verbs.Asked:
    which = body.filter.model_dump(exclude_none=True, mode="json")
    if "ids" in which:
        which["ids"] = [int(id) for id in which["ids"]]
    who = asked.who
    names, queues = (None, None) if who is None else (who.likes("workflow"), who.likes("queue"))
    return verbs.Asked(action=body.action, which=which, actor=asked.actor, names=names, queues=queues)


def _theirs(asked: Asked, run: Any) -> bool:
    if not asked.scoped or asked.who is None:
        return True
    given = run["input"]
    return (given.get("names"), given.get("queues")) == (asked.who.likes("workflow"), asked.who.likes("queue"))


def _started(change: Change, id: int, existed: bool, told: dict[str, Any]) -> Reply[BulkStarted]:
    change.tell(f"bulk:{id}", after=told)
    if existed:
        change.nothing_changed()
    return Reply(BulkStarted(id=id, existed=existed), 200 if existed else 202, {"Location": f"/api/v1/bulk/{id}"})
