"""`client.approvals`: the verbs about what people are asked to decide, once for both colours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pgflow.codec import encode
from pgflow.config import Settings
from pgflow.engine import approvals as engine
from pgflow.engine.approvals import Approval, Verdict
from pgflow.errors import ArgumentError, NotFound, PgflowError
from pgflow.graph.document import Problem
from pgflow.graph.inputs import filled, input_problems
from pgflow.sdk.verbs import Steps

STATES = ("pending", "approved", "rejected", "expired", "withdrawn")
MOST_COMMENT = 20_000


class AlreadyDecided(PgflowError):
    """The question is not open any more: somebody has decided, time is up, or its run is over."""


class NotYours(PgflowError):
    """Somebody else is asked."""


class FormError(ArgumentError):
    """What was filled in does not fit the form.

    Attributes:
        problems: all that is wrong with it, with paths as in `form.edition`.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        listed = "; ".join(
            f"{one.path}: {one.message}" + (f" ({one.hint})" if one.hint else "") for one in problems[:5]
        )
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        super().__init__(f"the form is not filled in as it has to be: {listed}{more}")
        self.problems = problems


def found(
    state: str | None, assignee: str | Sequence[str] | None, run: int | None, workflow: str | None,
    before: int | None, limit: int,
) -> Steps[Sequence[Approval]]:  # fmt: skip
    """Questions, newest first."""
    if state is not None and state not in STATES:
        raise ArgumentError(f"{state!r} is no state of an approval", hint=f"there are: {', '.join(STATES)}")
    if not 1 <= limit <= 10_000:
        raise ArgumentError(f"limit={limit} is not between 1 and 10,000")
    names = [assignee] if isinstance(assignee, str) else assignee
    return (yield engine.approvals(  # type: ignore[no-any-return]
        state=state, names=names, run=run, workflow=workflow, before=before, limit=limit
    ))  # fmt: skip


def get(id: int) -> Steps[Approval]:
    """One question, or NotFound."""
    rows: list[Approval] = yield engine.approvals(id=id, limit=1)
    if not rows:
        raise NotFound(f"there is no approval {id}", hint="see `pgflow approval list`")
    return rows[0]


def decide(
    id: int, approved: bool, form: Mapping[str, Any] | None, comment: str | None, actor: str | None,
    groups: Sequence[str], settings: Settings,
) -> Steps[Approval]:  # fmt: skip
    """Decide. A form is held against its schema here, which never changes; all else is decided where it is written."""
    question = yield from get(id)
    if comment is not None and len(comment) > MOST_COMMENT:
        raise ArgumentError(f"the comment has {len(comment):,} characters; {MOST_COMMENT:,} are the most")
    answer: Any = None
    if form is not None and not question.form:
        raise ArgumentError(f"approval {id} has no form", hint="say it in the comment")
    if question.form and (approved or form is not None):  # who rejects need not fill it in
        answer = filled(question.form, form or {})
        if problems := input_problems(question.form, answer, "form"):
            raise FormError(problems)
    names = [name for name in (actor, *groups) if name]
    verdict: Verdict | None = yield engine.decide(
        id, approved, encode(answer, limit=settings.payload_limit), by=actor, names=names, comment=comment
    )
    if verdict is None:
        raise NotFound(f"there is no approval {id} any more")
    check(id, verdict, actor)
    return (yield from get(id))


def check(id: int, verdict: Verdict, actor: str | None) -> None:
    """See that it was decided as asked."""
    match verdict.what:
        case "done":
            return
        case "forbidden":
            who = ", ".join(verdict.may)
            raise NotYours(
                f"approval {id} is not for {actor or 'somebody without a name'} to decide", hint=f"asked are: {who}"
            )
        case "over":
            raise AlreadyDecided(f"approval {id} is not needed any more: run {verdict.run_id} is over")
        case "late" | "expired":
            raise AlreadyDecided(f"approval {id} has expired")
    by = f" by {verdict.decided_by}" if verdict.decided_by else ""
    at = f" at {verdict.decided_at.isoformat(' ', 'seconds')}" if verdict.decided_at else ""
    raise AlreadyDecided(f"approval {id} was {verdict.what}{by}{at} already")


class Approvals:
    """`client.approvals`: what people are asked to decide.

    Example:
        >>> for one in client.approvals.list(assignee="ann"):                # doctest: +SKIP
        ...     client.approvals.decide(one.id, True, form={"edition": "morning"}, actor="ann")
    """

    def __init__(self, drive: Callable[[Steps[Any]], Any], settings: Settings, actor: str | None) -> None:
        self._drive, self._settings, self._actor = drive, settings, actor

    def list(
        self, *, state: str | None = "pending", assignee: str | Sequence[str] | None = None, run: int | None = None,
        workflow: str | None = None, before: int | None = None, limit: int = 100,
    ) -> Sequence[Approval]:  # fmt: skip
        """Questions, newest first.

        Args:
            state: `pending`, `approved`, `rejected`, `expired` or `withdrawn` (the run is over); None: whatever state.
            assignee: only those that somebody who goes by this name, or one of these, may decide now.
            run: only those of this run.
            workflow: only those of this workflow.
            before: only those asked before this one: the last of the page before.
            limit: how many at most.
        """
        return self._drive(found(state, assignee, run, workflow, before, limit))  # type: ignore[no-any-return]

    def get(self, id: int) -> Approval:
        """One question.

        Raises:
            NotFound: there is none of that id.
        """
        return self._drive(get(id))  # type: ignore[no-any-return]

    def decide(
        self, id: int, approved: bool, *, form: Mapping[str, Any] | None = None, comment: str | None = None,
        actor: str | None = None, groups: Sequence[str] = (),
    ) -> Approval:  # fmt: skip
        """Decide. The run goes on in the branch that was chosen. Returns the question as it is now.

        Args:
            id: the question.
            approved: approve, or reject.
            form: what was filled in; needed as its schema says when approving.
            comment: for whoever reads it.
            actor: who decides; the client's own actor unless given.
            groups: what else they go by, when a group is asked.

        Raises:
            NotFound: there is none of that id.
            AlreadyDecided: somebody has decided, time is up, or the run is over.
            NotYours: neither the actor nor one of the groups is asked.
            FormError: the form is not filled in as its schema asks.
        """
        who = self._actor if actor is None else actor
        return self._drive(decide(id, approved, form, comment, who, groups, self._settings))  # type: ignore[no-any-return]


class AsyncApprovals:
    """`client.approvals` of an async client: the same verbs as `Approvals`, awaited."""

    def __init__(self, drive: Callable[[Steps[Any]], Awaitable[Any]], settings: Settings, actor: str | None) -> None:
        self._drive, self._settings, self._actor = drive, settings, actor

    async def list(
        self, *, state: str | None = "pending", assignee: str | Sequence[str] | None = None, run: int | None = None,
        workflow: str | None = None, before: int | None = None, limit: int = 100,
    ) -> Sequence[Approval]:  # fmt: skip
        return await self._drive(found(state, assignee, run, workflow, before, limit))  # type: ignore[no-any-return]

    async def get(self, id: int) -> Approval:
        return await self._drive(get(id))  # type: ignore[no-any-return]

    async def decide(
        self, id: int, approved: bool, *, form: Mapping[str, Any] | None = None, comment: str | None = None,
        actor: str | None = None, groups: Sequence[str] = (),
    ) -> Approval:  # fmt: skip
        who = self._actor if actor is None else actor
        return await self._drive(decide(id, approved, form, comment, who, groups, self._settings))  # type: ignore[no-any-return]
