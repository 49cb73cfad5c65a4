"""The node type `approval`.

The question is a row (`pgflow.approval`), so that it can be listed; the decision is a signal that only deciding can
send, in the transaction that decides. When time is up, the row is closed first: should somebody be deciding at that
very instant, either the row is closed and they are told so, or the decision is there and counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, field_validator

from pgflow.backoff import RetryPolicy
from pgflow.db.call import Call
from pgflow.engine import approvals as engine
from pgflow.engine.approvals import Asked, Place, Question
from pgflow.graph.document import Problem, Seconds
from pgflow.graph.inputs import schema_problems
from pgflow.nodes.base import Config, Flow, Scene
from pgflow.sdk import operations
from pgflow.sdk.journal import Wait
from pgflow.sdk.operations import Operation
from pgflow.sdk.replay import Replay
from pgflow.sdk.step import Step, step

Run = Callable[[Call[Any]], Awaitable[Any]]

_RETRY = RetryPolicy(30, base=0.5, cap=60)
MOST = 100


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_listed), Field(max_length=MOST)]


class Escalation(Config):
    """Who else is asked after a time."""

    after: Seconds = Field(description="How long after it was asked, as in 1d.")
    assignees: Names = Field(description="Who may decide from then on, beside those before.")


class ApprovalConfig(Config):
    """What is asked, and who may decide."""

    title: str = Field(min_length=1, max_length=500, description="What is asked, in a line.")
    description: str | None = Field(default=None, max_length=20_000, description="More about it, in Markdown.")
    form: dict[str, Any] = Field(
        default_factory=dict, description="A JSON Schema of what is to be filled in; nothing unless given."
    )
    assignees: Names = Field(
        default_factory=list, description="Who may decide: a name, or a list; anybody unless given."
    )
    timeout: Seconds | None = Field(
        default=None, description="When it expires; the node's `timeout` unless given, and never without either."
    )
    escalation: list[Escalation] = Field(
        default_factory=list, max_length=10, description="Who else may decide when nobody has for so long."
    )

    @field_validator("form")
    @classmethod
    def _a_schema(cls, value: dict[str, Any]) -> dict[str, Any]:
        if value and (found := schema_problems(value, "form")):
            raise ValueError(f"{found[0].path}: {found[0].message}")
        return value


class Approval(Flow[ApprovalConfig]):
    """Asks people."""

    name: ClassVar = "approval"
    title: ClassVar = "Approval"
    description: ClassVar = (
        "Asks people, and waits for what they decide, holding no worker meanwhile. It gives {approved, by, at, form, "
        "comment, expired}; edges may have the branch `approved`, `rejected` or `expired`. Decided with "
        "`pgflow approval approve`, `client.approvals.decide` or the API."
    )
    config: ClassVar = ApprovalConfig
    example: ClassVar = {
        "type": "approval",
        "config": {
            "title": "Publish the report of ${input.day}?",
            "form": {
                "type": "object",
                "properties": {"edition": {"enum": ["morning", "evening"]}},
                "required": ["edition"],
            },
            "assignees": ["ann@example.com"],
            "escalation": [{"after": "4h", "assignees": ["desk@example.com"]}],
            "timeout": "2d",
        },
    }

    def branches(self, config: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002 (always the same three)
        """What was decided, if anything."""
        return ("approved", "rejected", "expired")

    def branch(self, output: Any) -> str:
        """What was decided."""
        return "expired" if output["expired"] else "approved" if output["approved"] else "rejected"

    def problems(self, config: Mapping[str, Any]) -> list[Problem]:
        """With all that is wrong with the form."""
        found, form = super().problems(config), config.get("form")
        if not isinstance(form, Mapping) or not form or "${" in str(form):
            return found
        return [one for one in found if one.path != "form"] + schema_problems(form, "form")

    def operation(self, scene: Scene, config: ApprovalConfig) -> Operation:
        """Ask, and wait."""

        async def put(place: Place) -> Asked:
            question = Question(
                config.title, config.description, config.form, config.assignees,
                [(one.after, one.assignees) for one in config.escalation], config.timeout or scene.node.timeout,
            )  # fmt: skip
            return await scene.run(engine.ask(place, scene.definition.name, question))  # type: ignore[no-any-return]

        return (yield from decision(scene.replay, scene.name, put, scene.run))


def decision(replay: Replay, name: str, put: Callable[[Place], Awaitable[Asked]], run: Run) -> Operation:
    """What people decide: asks them, and waits. For any workflow.

    Args:
        replay: who asks.
        name: under which it is asked and recorded.
        put: puts the question.
        run: runs a verb of the engine.
    """
    found = replay.history.answer(name)
    if found is not None:
        for key in [key for key in replay.history.left if key.startswith(f"{name}/$")]:
            replay.history.answer(key)  # how it came to that is demanded no more
        return found["result"]
    journal = replay.journal
    place = Place(journal.root_id, journal.task_id, name)
    asked = yield from operations.step(replay, f"{name}/$asked", _asking(put), (place,), {})
    if asked["task"] != place.task_id:  # a fork of the run that asked: its own question is another
        asked = yield from operations.step(replay, f"{name}/$asked:{place.task_id}", _asking(put), (place,), {})
    due = None if asked["due_at"] is None else datetime.fromisoformat(asked["due_at"])
    others = deque((f"{name}/$escalated:{place.task_id}:{number}", number, datetime.fromisoformat(at))
                   for number, at in enumerate(asked.get("escalated_at", ())))  # fmt: skip
    signal = engine.SIGNAL + name
    while True:
        while others and others[0][0] in replay.history.facts:
            yield from operations.step(replay, others[0][0], _escalating(run), (place, others.popleft()[1]), {})
        received = replay.history.next_signal(signal, None)
        if received is not None:
            replay.history.take(received)
            return _recorded(replay, name, {**received.payload, "expired": False})
        replay.go_live(name)
        if due is not None and journal.clock() >= due:
            state = yield from operations.step(replay, f"{name}/$expired:{place.task_id}", _expiring(run), (place,), {})
            if state in ("expired", None):
                none = {"approved": False, "by": None, "at": None, "form": None, "comment": None, "expired": True}
                return _recorded(replay, name, none)
            due = None  # it was decided just now, and the run is being told
        while others and journal.clock() >= others[0][2]:
            yield from operations.step(replay, others[0][0], _escalating(run), (place, others.popleft()[1]), {})
        yield Wait(arrivals=1, due=min((at for at in (due, *(other[2] for other in others)) if at), default=None))


def _recorded(replay: Replay, name: str, output: dict[str, Any]) -> dict[str, Any]:
    replay.note(name, {"result": output})
    return output


def _asking(put: Callable[[Place], Awaitable[Asked]]) -> Step[..., Any]:
    async def ask(place: Place) -> dict[str, Any]:
        asked = await put(place)
        due = None if asked.due_at is None else asked.due_at.isoformat()
        others = [at.isoformat() for at in asked.escalated_at]
        return {"approval": asked.id, "task": place.task_id, "due_at": due, "escalated_at": others}

    return step(ask, name="ask", retry=_RETRY)


def _escalating(run: Run) -> Step[..., Any]:
    async def escalate(place: Place, number: int) -> None:
        await run(engine.escalate(place, number))

    return step(escalate, name="escalate", retry=_RETRY)


def _expiring(run: Run) -> Step[..., Any]:
    async def expire(place: Place) -> str | None:
        return await run(engine.expire(place))  # type: ignore[no-any-return]

    return step(expire, name="expire", retry=_RETRY)
