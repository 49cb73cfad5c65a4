"""Drafts: definitions that somebody works on, which need not make sense yet."""

from __future__ import annotations

from typing import Any

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import Instant, Model, Name, row
from pgflow.api.operation import Reply, operation
from pgflow.api.problems import ProblemError
from pgflow.api.resources.workflows import Document, PublishedWorkflow, check_listening, etag, if_match
from pgflow.engine import definitions
from pgflow.engine.definitions import Draft as Stored
from pgflow.nodes import publishing_verbs as verbs

IF_MATCH = {"If-Match": 'The draft has to be at this revision, as in "3"; "0": there must be none.'}


class Draft(Model):
    """A definition that somebody works on."""

    name: str
    document: dict[str, Any]
    revision: int
    base: int | None
    created_at: Instant
    changed_at: Instant
    actor: str | None


class Drafts:
    """`/api/v1/workflows/{name}/draft`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("Look at a draft", tagged="content")
    async def on_get(self, asked: Asked, name: Name) -> Reply[Draft]:
        """With its revision, which saving and publishing may ask for."""
        asked.require(workflow=name)
        return _reply(await self._backend.drive(verbs.draft(name)))

    @operation(
        "Save a draft", changes="draft.save", problems=("precondition_failed",), headers=IF_MATCH, tagged="content"
    )
    async def on_put(self, change: Change, name: Name, body: Document) -> Reply[Draft]:
        """As it is: nothing is checked."""
        change.require(workflow=name)
        expected = await _matching(change, name)
        saved = await change.drive(verbs.save_draft(name, body, expected, None, actor=change.actor))
        change.tell(f"workflow:{name}", after={"revision": saved.revision})
        return _reply(saved)

    @operation("Drop a draft", changes="draft.discard", problems=("precondition_failed",), headers=IF_MATCH)
    async def on_delete(self, change: Change, name: Name) -> None:
        """What is published stays."""
        change.require(workflow=name)
        expected = await _matching(change, name)
        before = await change.drive(verbs.draft(name))
        await change.drive(verbs.discard_draft(name, expected))
        change.tell(f"workflow:{name}", before={"revision": before.revision})

    @operation(
        "Publish a draft", status=201, statuses={200: "The newest version says the same."}, changes="draft.publish",
        problems=("precondition_failed",), headers=IF_MATCH,
    )  # fmt: skip
    async def on_post_publish(self, change: Change, name: Name) -> Reply[PublishedWorkflow]:
        """As the newest version, and drop it. Refused when another version was published since it was begun."""
        change.require(workflow=name)
        expected = await _matching(change, name)
        done = await change.drive(verbs.publish_draft(name, expected, False, actor=change.actor))
        await check_listening(change, done.triggers)
        change.tell(f"workflow:{name}", after={"version": done.version, "triggers": dict(done.triggers)})
        told = PublishedWorkflow(
            name=name, version=done.version, done="created" if done.done == "created" else "unchanged",
            triggers=dict(done.triggers),
        )  # fmt: skip
        headers = {"ETag": etag(done.version), "Location": f"/api/v1/workflows/{name}"}
        return Reply(told, 201 if done.done == "created" else 200, headers)


async def _matching(change: Change, name: str) -> int | None:
    """The revision that is asked for, which it has now; None: whichever."""
    expected = if_match(change)
    if expected is not None:
        found: Stored | None = await change.run(definitions.draft(name))
        revision = found.revision if found else 0
        if revision != expected:
            by = f", by {found.actor}" if found and found.actor else ""
            raise ProblemError("precondition_failed", f"the draft of {name} is at revision {revision}{by}")
    return expected


def _reply(found: Stored) -> Reply[Draft]:
    return Reply(row(Draft, found), headers={"ETag": etag(found.revision)})
