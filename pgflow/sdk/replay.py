"""One replay: the code of a workflow running against its history, up to where it suspends or ends.

The code asks for operations by key. What is recorded answers at once. The first one that is not is where the past ends
and the present begins: its effect happens, its result is recorded under the worker's lease, and only then does the code
go on. So at any time each effect was either recorded, or is the one thing that may happen again after a crash.

What has no effect of its own outside (the time it is, a random number, that a timer is due then, a child to be spawned)
is only put into the journal, which keeps its order, and is known to be committed before the next effect begins.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from types import CodeType, FrameType
from typing import Any

import orjson

from pgflow import redaction
from pgflow.backoff import RetryPolicy
from pgflow.codec.disclosure import refuse_text
from pgflow.engine.facts import Fact
from pgflow.errors import DuplicateStep, HistoryLimit, SwallowedSuspension, WorkflowCancelled, WorkflowError
from pgflow.model import EventType
from pgflow.sdk.history import History
from pgflow.sdk.journal import Journal
from pgflow.sdk.step import Step

MAX_STEPS = 10_000
MAX_CHILDREN = 100_000

_OWN = __name__.rpartition(".")[0]


class Place:
    """Where in the user's code it was made; as text, file and line."""

    __slots__ = ("_code", "_line")

    def __init__(self) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__", "")[: len(_OWN)] == _OWN:
            frame = frame.f_back
        self._code: CodeType | None = None if frame is None else frame.f_code
        self._line = 0 if frame is None else frame.f_lineno

    def __str__(self) -> str:
        return "the workflow" if self._code is None else f"{self._code.co_filename}:{self._line}"


@dataclass(frozen=True, slots=True)
class CleanUp:
    """Something to be undone when the run fails or is cancelled."""

    work: Step[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    key: str
    on_failure: bool


@dataclass(slots=True)
class Replay:
    """The state of one replay.

    Args:
        journal: where to write.
        history: what is recorded.
        name: the workflow's.
        retry: the policy of steps that have none of their own.
        attempt: the task's.
        payload_limit: bytes of JSON a result may have.
    """

    journal: Journal
    history: History
    name: str = ""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    attempt: int = 1
    payload_limit: int = 1 << 20
    cleanups: list[CleanUp] = field(default_factory=list)
    cleaning: bool = False
    busy: str | None = None
    """The key of the operation that the code is waiting for."""
    standing: Place | None = None
    """Where the code asked for what it is waiting for."""
    suspended_at: str | None = None
    """Where the code stood when it was suspended."""
    interrupted: bool = False
    unstarted: dict[int, tuple[str, Place]] = field(default_factory=dict)
    """Operations that were asked for and not awaited: name and place by id."""
    draws: random.Random | None = None
    rehearse: Callable[[], Awaitable[None]] | None = None
    """Raises a HistoryMismatch if the code would not ask for all that is recorded. Called once, when an effect is about
    to happen that is not recorded while something recorded has not been asked for."""
    _occurrences: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _explicit: set[str] = field(default_factory=set)

    def key(self, name: str) -> str:
        """The key of the next operation of that name."""
        if redaction.known:
            refuse_text(name, place())
        self._occurrences[name] = count = self._occurrences[name] + 1
        return name if count == 1 else f"{name}#{count}"

    def explicit_key(self, key: str) -> str:
        """A key that the code chose, or a DuplicateStep."""
        if redaction.known:
            refuse_text(key, place())
        if key in self._explicit or key in self._occurrences:
            raise DuplicateStep(
                f"{place()}: two steps have the key {key!r}",
                hint="give each its own key=, or none to have them numbered",
            )
        self._explicit.add(key)
        return key

    def go_live(self, key: str) -> None:
        """Say that an operation is about to happen that is not in the history."""
        if self.suspended_at is not None:
            raise SwallowedSuspension(
                f"{self.suspended_at}: the suspension there was caught, and the code went on to {key}",
                hint="do not catch BaseException around ctx calls; `pgflow lint` finds where",
            )
        if (self.history.cancelling or self.interrupted) and not self.cleaning:
            raise WorkflowCancelled
        if self.history.size >= MAX_STEPS:
            raise HistoryLimit(
                f"{place()}: the run has recorded {MAX_STEPS:,} steps, which is the most",
                hint="start over with ctx.continue_as_new(...) now and then",
            )
        if len(self.history.children) >= MAX_CHILDREN:
            raise HistoryLimit(
                f"{place()}: the run has spawned {MAX_CHILDREN:,} children, which is the most",
                hint="let each child spawn some, or start over with ctx.continue_as_new(...)",
            )

    @property
    def replaying(self) -> bool:
        """Whether the history holds something that the code has not asked for yet."""
        return bool(self.history.left)

    def fact(self, key: str, data: bytes, what: EventType = EventType.STEP_COMPLETED, attempt: int = 1) -> Fact:
        """A fact of this run, with its data as JSON text."""
        journal = self.journal
        return Fact(journal.task_id, journal.epoch, what, self.history.prefix + key, data, attempt)

    def decide(self, key: str, make: Callable[[], Any]) -> Any:
        """A value that is made once and the same at every replay; any JSON."""
        found = self.history.answer(key)
        if found is not None:
            return found["result"]
        self.go_live(key)
        value = make()
        self.note(key, {"result": value})
        return value

    def note(self, key: str, data: Any) -> None:
        """Put a fact, and know it from now on."""
        self.history.facts[key] = data
        self.journal.put(self.fact(key, orjson.dumps(data)))

    def timer(self, key: str, due: datetime) -> datetime:
        """Put when a timer is due, and know it from now on."""
        self.history.timers[key] = due
        self.journal.put(self.fact(key, orjson.dumps({"due_at": due}), EventType.TIMER_CREATED))
        return due

    def problem(self) -> WorkflowError | None:
        """Why the code may not end here, if it may not."""
        if self.unstarted:
            name, where = next(iter(self.unstarted.values()))
            return NotAwaited(f"{where}: ctx.{name} was never awaited", hint="await it, or hand it to ctx.gather")
        return None


class NotAwaited(WorkflowError):
    """An operation was asked for and never awaited, so it never happened."""


def place() -> str:
    """Where in the user's code this was called from, as file and line."""
    return str(Place())
