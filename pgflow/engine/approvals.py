"""What people are asked to decide: the statements. The node type `approval` asks, `client.approvals` decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from pgflow.db.call import Call, Rows

SIGNAL = "$approval:"
"""What the signal that tells a run is called, before the node's name. Nobody can send one that begins with $."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A question to people.

    Attributes:
        id: its own.
        run_id: the run that asks.
        task_id: the task that asks: the run itself, or a child of it.
        node: the node that asks.
        workflow: the name of the workflow.
        title: what is asked.
        description: more about it, in Markdown.
        form: a JSON Schema of what is filled in; empty when nothing is.
        assignees: who may decide now; empty: anybody.
        escalations: who else may, from when on: `at` and `assignees`.
        asked_at: when it was asked.
        due_at: when it expires.
        state: `pending`, `approved`, `rejected`, `expired`, or `withdrawn`: its run is over.
        decided_at: when it was decided, or expired.
        decided_by: who decided.
        answer: the form, filled in.
        comment: what they said.
    """

    id: int
    run_id: int
    task_id: int
    node: str
    workflow: str
    title: str
    description: str | None
    form: Mapping[str, Any]
    assignees: Sequence[str]
    escalations: Sequence[Mapping[str, Any]]
    asked_at: datetime
    due_at: datetime | None
    state: str
    decided_at: datetime | None
    decided_by: str | None
    answer: Any
    comment: str | None


_COLUMNS = (
    "id", "run_id", "task_id", "node", "workflow", "title", "description", "form", "assignees", "escalations",
    "asked_at", "due_at", "state", "decided_at", "decided_by", "answer", "comment",
)  # fmt: skip


class Place(NamedTuple):
    """Where a question is asked: (root_id, task_id, node)."""

    root_id: int
    task_id: int
    node: str


class Question(NamedTuple):
    """What is asked.

    Args:
        title: in a line.
        description: more about it.
        form: a JSON Schema.
        assignees: who may decide; none: anybody.
        escalations: seconds after which others may decide too, and who.
        timeout: seconds after which it expires.
    """

    title: str
    description: str | None = None
    form: Mapping[str, Any] = {}
    assignees: Sequence[str] = ()
    escalations: Sequence[tuple[float, Sequence[str]]] = ()
    timeout: float | None = None


class Asked(NamedTuple):
    """What was asked.

    Args:
        id: the question.
        asked_at: since when.
        due_at: when it expires.
        escalated_at: when others may decide too, in order.
    """

    id: int
    asked_at: datetime
    due_at: datetime | None
    escalated_at: Sequence[datetime]


def ask(place: Place, workflow: str, question: Question) -> Call[Asked]:
    """Ask, unless that has been done."""
    escalations = [{"after": after, "assignees": list(who)} for after, who in question.escalations]
    params = {
        "root": place.root_id,
        "task": place.task_id,
        "node": place.node,
        "workflow": workflow,
        "title": question.title,
        "description": question.description,
        "form": orjson.dumps(question.form).decode(),
        "assignees": list(question.assignees),
        "escalations": orjson.dumps(escalations).decode(),
        "timeout": question.timeout,
    }
    return Call("approval/ask", params, lambda rows: Asked(*rows[0][:4]))


def escalate(place: Place, number: int) -> Call[None]:
    """Tell that others may decide too, if nobody has.

    Args:
        place: where it was asked.
        number: of the escalation, from 0.
    """
    params = {"root": place.root_id, "task": place.task_id, "node": place.node, "number": number}
    return Call("approval/escalate", params, lambda _: None)


def expire(place: Place) -> Call[str | None]:
    """Let it not be decided any more. Returns the state that it is in for good."""
    params = {"root": place.root_id, "task": place.task_id, "node": place.node}
    return Call("approval/expire", params, lambda rows: rows[0][0] if rows else None)


class Verdict(NamedTuple):
    """What came of deciding.

    Args:
        what: `done`, `over` (the run is), `late`, `forbidden`, or the state that it was in already.
        may: who may decide.
        run_id: the run that asked.
        decided_by: who decided before.
        decided_at: when.
    """

    what: str
    may: Sequence[str]
    run_id: int
    decided_by: str | None
    decided_at: datetime | None


def decide(
    id: int, approved: bool, answer: bytes, *, by: str | None, names: Sequence[str], comment: str | None
) -> Call[Verdict | None]:
    """Decide, and tell the run. None: there is no such question.

    Args:
        id: the question.
        approved: what was decided.
        answer: the form, filled in, as JSON text.
        by: who decides, for the history.
        names: what they go by, one of which has to be among those who may.
        comment: what they say.
    """
    params = {
        "id": id,
        "approved": approved,
        "answer": answer.decode(),
        "by": by,
        "as": list(names),
        "comment": comment,
    }
    return Call("approval/decide", params, lambda rows: Verdict(*rows[0][:5]) if rows else None)


def approvals(
    *, id: int | None = None, state: str | None = None, names: Sequence[str] | None = None, run: int | None = None,
    workflow: str | None = None, before: int | None = None, limit: int = 100,
) -> Call[list[Approval]]:  # fmt: skip
    """Questions, newest first.

    Args:
        id: only this one.
        state: only those in this state.
        names: only those that somebody who goes by one of these may decide now.
        run: only those of this run.
        workflow: only those of this workflow.
        before: only those asked before this one.
        limit: how many.
    """
    params = {
        "id": id,
        "state": state,
        "as": None if names is None else list(names),
        "run": run,
        "workflow": workflow,
        "before": before,
        "limit": limit,
    }
    return Call("approval/list", params, _approvals, literal=True)


def _approvals(rows: Rows) -> list[Approval]:
    found = (dict(zip(_COLUMNS, row, strict=True)) for row in rows)
    return [Approval(**one | {"escalations": list(map(_shown, one["escalations"]))}) for one in found]


def _shown(escalation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the note that it was told (sql/approval/escalate.sql)."""
    return {name: value for name, value in escalation.items() if name != "told"}
