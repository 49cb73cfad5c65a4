"""A rehearsal: the code of a workflow run against its history, with no effect at all.

It is a replay (`pgflow.sdk.replay`) whose journal writes nothing and whose steps call nothing. As long as something is
recorded that the code has not asked for yet, a step that is not recorded is taken for one that was put in between: its
answer is None, and the rehearsal goes on. Once all that is recorded was asked for, the next thing the code wants to do
is where the run stands, and the rehearsal stops there, as it does where the code would suspend.

What is put in between may also be one of several beside each other (`ctx.gather`) whose turn had not come; so it is
told, and not taken amiss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from pgflow.engine.facts import Fact, Recorded
from pgflow.errors import NotRecordable, Suspension
from pgflow.sdk import operations
from pgflow.sdk import step as steps
from pgflow.sdk.context import Context
from pgflow.sdk.environment import Environment
from pgflow.sdk.history import EVENT, History
from pgflow.sdk.journal import Entry, Transact, Wait
from pgflow.sdk.op import GroupOp, Op
from pgflow.sdk.replay import Replay, place
from pgflow.sdk.step import Step
from pgflow.sdk.sync_context import SyncContext
from pgflow.sdk.task import Task
from pgflow.sdk.workflow import Workflow

MAX_LIVE = 10_000
"""Operations beyond the history after which a rehearsal gives up: with None for an answer a loop may never end."""

_HARMLESS = ("$now", "$random", "$uuid", "$version:", "$cleanup")
"""Decided by the engine alone, with no effect: done in earnest."""


class Reached(Suspension):
    """Ends a rehearsal where the code wants to do what is not recorded."""


class Endless(Suspension):
    """Ends a rehearsal that does not come to an end."""


class NoEffect(Exception):
    """The code reached for something outside of a step."""


class SilentJournal:
    """A journal that writes nothing."""

    def __init__(self, task_id: int, root_id: int, now: datetime | None) -> None:
        self.task_id, self.root_id, self.epoch = task_id, root_id, 0
        self._now = now or datetime.now(UTC)

    def clock(self) -> datetime:
        return self._now

    def put(self, entry: Entry) -> None:
        pass

    async def commit(self, entry: Entry) -> Any:
        return Recorded(True, {"result": None}) if isinstance(entry, Fact) else 0

    def settled(self) -> bool:
        return True

    async def flush(self) -> None:
        pass

    async def transact(self, effect: Transact) -> Any:
        return self.transact_here(effect)

    def transact_here(self, effect: Transact) -> Any:
        raise NoEffect(f"a transaction of {effect.key}")

    async def block(self, wait: Wait) -> None:  # noqa: ARG002 (as the protocol has it)
        raise Reached


@dataclass(slots=True)
class Rehearsal(Replay):
    """The state of one rehearsal.

    Attributes:
        put_in: what the code asked for that is not recorded, before all that is recorded: key and place.
        next: what the code wants to do next: key and place.
        stubbed: whether the code was given an answer that was none.
    """

    stubbed: bool = False
    put_in: dict[str, str] = field(default_factory=dict)
    next: tuple[str, str] | None = None
    _live: int = 0

    def go_live(self, key: str) -> None:
        """Let what has no effect happen; stop where the run stands; else note what was put in."""
        if self.next is not None or self.suspended_at is not None:
            raise Reached  # the code caught the end of its rehearsal
        self._live += 1
        if self._live > MAX_LIVE:
            raise Endless
        if key.startswith(_HARMLESS):
            return
        history = self.history
        if key in history.children or key in history.timers or key.startswith(("$signal:", EVENT)):
            return  # it stands there, or beside others
        if history.cancelling or not history.unasked():
            self.next = (key, place())
            raise Reached
        self.stubbed = True
        if not history.tries(key).made:
            self.put_in[key] = place()


class _Stubbed:
    """Steps that are not recorded call nothing and give None."""

    _replay: Replay
    _environment: Environment

    def _step(self, work: Any, _: tuple[Any, ...], __: dict[str, Any], in_transaction: bool = False) -> Op[Any]:
        made = self._environment.steps.get(work) if isinstance(work, str) else steps.of(work)
        if made is None:
            raise NotRecordable(f"{place()}: no step is registered as {work!r}", hint="@app.step(name=...)")
        key = self._replay.key(made.name) if made.key is None else self._replay.explicit_key(made.key)
        return _stubbed(self._replay, key, made, "tx" if in_transaction else "step")

    def _send_signal(self, run: Any, name: str, payload: Any) -> Op[None]:  # noqa: ARG002 (as its base is called)
        key = self._replay.key(f"$send:{name}")
        return _stubbed(self._replay, key, self._environment.sender, "send_signal")


def _stubbed(replay: Replay, key: str, made: Step[..., Any], name: str) -> Op[Any]:
    if key not in replay.history.facts:
        made = replace(made, function=_nothing, result=None, is_async=True, timeout=None)
    return Op(replay, name, operations.step(replay, key, made, (), {}))


async def _nothing() -> None:
    return None


async def _no_event(_: object) -> None:
    return None


class RehearsalContext(_Stubbed, Context):
    """What an async workflow is handed."""


class SyncRehearsalContext(_Stubbed, SyncContext):
    """What a plain workflow is handed: in the thread of whoever rehearses, whose loop is at rest meanwhile."""

    def __init__(self, replay: Replay, environment: Environment, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(replay, environment, loop)
        self.op = RehearsalContext(replay, environment)

    def _do(self, op: Op[Any]) -> Any:
        work: Coroutine[Any, Any, Any] = op._drive()
        if isinstance(op, GroupOp):
            return self._loop.run_until_complete(work)
        try:
            work.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("nothing in a rehearsal waits")


class _Silence:
    """A log that says nothing."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> _Silence:
        return self


def rehearse(
    rehearsal: Rehearsal, workflow: Workflow[..., Any], tasks: Mapping[str, Task[..., Any]], input: dict[str, Any],
    loop: asyncio.AbstractEventLoop,
) -> Any:  # fmt: skip
    """Run the code. Returns its result; raises what it raises, and `Reached` where it would stand still.

    Args:
        rehearsal: the state.
        workflow: the code.
        tasks: what it may run as children.
        input: the arguments.
        loop: runs async code; must not be running.
    """
    args, kwargs = workflow.signature.decode_arguments(dict(input))
    environment = Environment(workflow, tasks, workflow.steps, _no_client, _Silence(), _SENDER, _SEEKER)
    if workflow.is_async:
        work = workflow.function(RehearsalContext(rehearsal, environment), *args, **kwargs)
        return loop.run_until_complete(work)
    return workflow.function(SyncRehearsalContext(rehearsal, environment, loop), *args, **kwargs)


_SENDER: Step[..., Any] = Step("send_signal", _nothing, None, True)
_SEEKER: Step[..., Any] = Step("event", _no_event, None, True)


def _no_client() -> Any:
    raise NoEffect("the client")


def prepare(task_id: int, root_id: int, history: History, workflow: Workflow[..., Any]) -> Rehearsal:
    """The state of a rehearsal about to begin."""
    journal = SilentJournal(task_id, root_id, history.now)
    return Rehearsal(journal, history, workflow.name, workflow.retry, payload_limit=workflow.payload_limit)
