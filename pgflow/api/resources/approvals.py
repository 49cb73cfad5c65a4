"""Approvals: what people are asked to decide."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from pgflow.access import Role
from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import NO_NUL, Id, Instant, Limit, Many, Model, Name, Page, Query, row
from pgflow.api.operation import operation
from pgflow.api.problems import ProblemError
from pgflow.api.targets import missing
from pgflow.engine import approvals as engine
from pgflow.engine import inspection
from pgflow.sdk.registry.approvals import AlreadyDecided, NotYours

ApprovalState = Literal["pending", "approved", "rejected", "expired", "withdrawn"]
Who = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
MOST_PAGES = 20
"""Pages that are looked through for somebody who may see only some."""


class Escalation(Model):
    """Who else may decide, and from when on."""

    at: Instant
    assignees: list[str]


class Approval(Model):
    """A question to people."""

    id: Id
    run_id: Id
    task_id: Id
    node: str
    workflow: str
    title: str
    description: str | None = Field(description="Markdown.")
    form: dict[str, Any] = Field(description="A JSON Schema of what is filled in; empty when nothing is.")
    assignees: list[str] = Field(description="Who may decide; empty: anybody.")
    escalations: list[Escalation]
    asked_at: Instant
    due_at: Instant | None
    state: ApprovalState
    decided_at: Instant | None
    decided_by: str | None
    answer: Any
    comment: str | None
    yours: bool = Field(description="It is open, and whoever asks may decide it now.")


class ApprovalQuery(Query):
    """Which questions."""

    state: ApprovalState | Literal["all"] = "pending"
    assignee: Many[Who] = Field(
        default_factory=list, max_length=20, description="Only what somebody who goes by these names may decide now."
    )
    run: Id | None = None
    workflow: Name | None = None
    after: Id | None = Field(default=None, description="`next` of the page before.")
    limit: Limit = 50


class Decide(Model):
    """A decision."""

    approved: bool
    form: dict[str, Any] | None = Field(default=None, description="What was filled in.")
    comment: Annotated[str, StringConstraints(max_length=20_000, pattern=NO_NUL)] | None = None
    on_behalf: list[Who] | None = Field(
        default=None, max_length=20, description="Names and groups for whom is decided; only an admin may say so."
    )


class Approvals:
    """`/api/v1/approvals`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @operation("List what people are asked to decide")
    async def on_get(self, asked: Asked, query: ApprovalQuery) -> Page[Approval]:
        """Newest first."""
        found: list[engine.Approval] = []
        before = query.after
        for _ in range(MOST_PAGES if asked.scoped else 1):
            page = await self._backend.client.approvals.list(
                state=None if query.state == "all" else query.state, assignee=query.assignee or None, run=query.run,
                workflow=query.workflow, before=before, limit=query.limit,
            )  # fmt: skip
            before = page[-1].id if len(page) == query.limit else None
            found += await self._theirs(asked, page)
            if before is None or len(found) >= query.limit:
                break
        if len(found) > query.limit:
            found = found[: query.limit]
            before = found[-1].id
        return Page(items=[_answer(one, asked) for one in found], next=None if before is None else str(before))

    @operation("Look at a question")
    async def on_get_one(self, asked: Asked, id: Id) -> Approval:
        """With its form."""
        return _answer(await self._one(asked, id), asked)

    @operation("Decide a question", changes="approval.decide", problems=("forbidden", "conflict"))
    async def on_post_decide(self, change: Change, id: Id, body: Decide) -> Approval:
        """The run goes on at once. Who is asked by name decides under the name that they sign in with."""
        await self._one(change, id)
        if body.on_behalf and (change.who is None or change.who.role < Role.ADMIN):
            raise ProblemError("forbidden", "only an admin decides for somebody else")
        try:
            done = await change.client.approvals.decide(
                id, body.approved, form=body.form, comment=body.comment, actor=change.actor,
                groups=[*_names(change), *(body.on_behalf or ())],
            )  # fmt: skip
        except NotYours as error:
            raise ProblemError("forbidden", error.message, hint=error.hint) from None
        except AlreadyDecided as error:
            raise ProblemError("conflict", error.message) from None
        after = {
            "state": done.state, "answer": done.answer, "comment": done.comment, "on_behalf": body.on_behalf,
            "run": str(done.run_id),
        }  # fmt: skip
        change.tell(f"approval:{id}", before={"state": "pending"}, after=after)
        return _answer(done, change)

    async def _one(self, asked: Asked, id: int) -> engine.Approval:
        client = asked.client if isinstance(asked, Change) else self._backend.client
        found = await client.approvals.get(id)
        if not await self._theirs(asked, [found]):
            missing("approval", str(id))
        return found

    async def _theirs(self, asked: Asked, page: Any) -> list[engine.Approval]:
        """Those of runs that they may see."""
        if not asked.scoped:
            return list(page)
        runs = list({one.run_id for one in page})
        runner = asked if isinstance(asked, Change) else self._backend  # a change has its connection, and no other
        whose = {one.task_id: one for one in await runner.run(inspection.named(runs))} if runs else {}
        return [
            one
            for one in page
            if (named := whose.get(one.run_id)) and asked.reaches(workflow=named.name, queue=named.queue)
        ]


def _names(asked: Asked) -> list[str]:
    """What they go by: a person by the name that they sign in with. A token is nobody but itself."""
    return [asked.who.name] if asked.who is not None and asked.who.kind == "user" else []


def _answer(one: engine.Approval, asked: Asked) -> Approval:
    may = {asked.actor, *_names(asked)}
    yours = one.state == "pending" and (not one.assignees or bool(may & set(one.assignees)))
    fields = {word: getattr(one, word) for word in Approval.model_fields if hasattr(one, word)}
    fields["escalations"] = [Escalation.model_validate(escalation) for escalation in one.escalations]
    operator = asked.who is not None and asked.who.role >= Role.OPERATOR
    return row(Approval, {**fields, "yours": yours and operator})
