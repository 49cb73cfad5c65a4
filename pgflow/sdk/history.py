"""What a run has recorded, and what its code has asked for so far: pure.

Identity is name plus occurrence: the second `charge` is `charge#2`, wherever it stands. So code may gain a step before
or between recorded ones. What it may not do is stop asking for one: whatever is recorded and was not asked for by the
time the code suspends or ends is a mismatch.

Keys that begin with `$` are the engine's own: `$sleep`, `$signal:confirmed`, `$now`. A run that was continued as new
starts over with a new generation, whose keys begin with its number: `2/charge`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from pgflow.engine.workflows import HistoryRow
from pgflow.model import EventType

SCHEDULED = "$scheduled"
"""The key of the timer of a delayed start: none that the code asks for."""
_GENERATION = re.compile(r"\d+/")
EVENT = "$event:"


class SignalReceived(NamedTuple):
    """A signal that has come."""

    id: int
    name: str
    payload: Any
    at: datetime


class Delivered(NamedTuple):
    """An application event that the run was told of because it waited for it.

    Args:
        emission: the event's number.
        at: when it was emitted.
        since: from before when none was meant.
        payload: what it carries.
    """

    emission: int
    at: datetime
    since: datetime
    payload: Any


@dataclass(slots=True)
class ChildSpawned:
    """A child, with its outcome once it has one."""

    id: int
    name: str
    state: str | None = None
    output: Any = None
    error: dict[str, Any] | None = None


@dataclass(slots=True)
class Tries:
    """The failed tries of one step."""

    made: int = 0
    """In all: tries are numbered on, through every redrive."""
    spent: int = 0
    """Since the run was last redriven: what the retry policy counts."""
    failed: bool = False
    error: dict[str, Any] = field(default_factory=dict)
    due: datetime | None = None


class History:
    """The history of one task, by key.

    Args:
        rows: as the database gave them.

    Attributes:
        arrived: how many arrivals its inbox had counted when the history was read.
        now: the database's clock at that instant.
        generation: 1, and one more each time it was continued as new.
        input: the arguments it was continued with; None when they are the task's own.
        cancelling: whether somebody asked it to cancel itself.
        started: whether its start is recorded.
    """

    def __init__(self, rows: Sequence[HistoryRow] = ()) -> None:
        self.facts: dict[str, Any] = {}
        self.timers: dict[str, datetime] = {}
        self.children: dict[str, ChildSpawned] = {}
        self.signals: list[SignalReceived] = []
        self.arrived = 0
        self.now: datetime | None = None
        self.generation = 1
        self.input: dict[str, Any] | None = None
        self.cancelling = False
        self.started = False
        self.order: list[str] = []
        """Recorded keys, in the order in which they were recorded."""
        self.asked: dict[str, None] = {}
        """Keys that the code asked for, in its order."""
        self.left: dict[str, None] = {}
        """Recorded keys that it has not asked for."""
        self._tries: dict[str, Tries] = defaultdict(Tries)
        self._taken: set[int] = set()
        self._events_taken: defaultdict[str, set[int]] = defaultdict(set)
        self._read(rows)
        self.left = dict.fromkeys(
            key for key in (*self.order, *self.timers) if not key.startswith(("$compensate:", "$cleanup"))
        )

    def _read(self, rows: Sequence[HistoryRow]) -> None:
        continued = [row for row in rows if row.type == EventType.WORKFLOW_CONTINUED]
        if continued:
            last = max(continued, key=lambda row: row.id)
            self.generation = int(last.key or 1)
            self.input = last.data["input"]
        redriven = max((row.id for row in rows if row.type == EventType.TASK_REDRIVEN), default=0)
        prefix = self.prefix
        for row in sorted(rows, key=lambda row: (row.at, row.id)):
            key = row.key or ""
            if row.type == EventType.STEP_COMPLETED and "$signal:" in key and row.data.get("signal"):
                self._taken.add(row.data["signal"])  # in an earlier generation, too
            if row.type == EventType.STEP_COMPLETED and EVENT in key and row.data.get("emission"):
                self.take_event(key, row.data["emission"])
            match row.type:
                case "arrived":
                    self.arrived, self.now = row.number or 0, row.at
                case "signal.received":
                    self.signals.append(SignalReceived(row.id, key, row.data["payload"], row.at))
                case "workflow.cancelling":
                    self.cancelling = row.id > redriven
                case "workflow.started":
                    self.started = self.started or key == str(self.generation)
                case _ if key.startswith(prefix) and (prefix or not _GENERATION.match(key)):
                    self._note(row, key[len(prefix) :], redriven)

    def _note(self, row: HistoryRow, key: str, redriven: int) -> None:
        match row.type:
            case "step.completed":
                self.facts[key] = row.data
                self.order.append(key)
            case "timer.created" if key != SCHEDULED:
                self.timers[key] = datetime.fromisoformat(row.data["due_at"])
            case "step.retried" | "step.failed":
                tries = self._tries[key]
                tries.made = max(tries.made, row.number or 0)
                if row.id > redriven:
                    tries.spent += 1
                    tries.failed = row.type == "step.failed"
                    tries.error = row.data.get("error") or {}
                    due = row.data.get("due_at")
                    tries.due = datetime.fromisoformat(due) if due else None
            case "child":
                self.children[key] = ChildSpawned(row.id, row.name or "", row.state, row.data, row.error)
                self.order.append(key)

    @property
    def prefix(self) -> str:
        """What keys of this generation begin with."""
        return "" if self.generation == 1 else f"{self.generation}/"

    @property
    def size(self) -> int:
        """How many steps it holds."""
        return len(self.facts)

    def answer(self, key: str) -> Any:
        """What is recorded under a key, None if nothing is. The key counts as asked for."""
        self.asked[key] = None
        self.left.pop(key, None)
        return self.facts.get(key)

    def child(self, key: str) -> ChildSpawned | None:
        """The child spawned under a key. The key counts as asked for."""
        self.asked[key] = None
        self.left.pop(key, None)
        return self.children.get(key)

    def tries(self, key: str) -> Tries:
        """The failed tries of a step."""
        return self._tries[key]

    def next_signal(self, name: str, until: datetime | None) -> SignalReceived | None:
        """The oldest signal of that name that nobody took yet and that came in time."""
        for signal in self.signals:
            if signal.name == name and signal.id not in self._taken and (until is None or signal.at <= until):
                return signal
        return None

    def take(self, signal: SignalReceived) -> None:
        """Let nobody else have this signal."""
        self._taken.add(signal.id)

    def deliveries(self, key: str) -> int:
        """How often the run was told of an event for the wait of that key."""
        stored = self.prefix + key
        return sum(signal.name == stored for signal in self.signals)

    def delivered(self, key: str, until: datetime | None) -> Delivered | None:
        """The oldest event it was told of for that wait, which came in time and which nobody has had."""
        stored, had = self.prefix + key, self._events_taken[_event_of(key)]
        told = [signal.payload for signal in self.signals if signal.name == stored]
        instants = ((datetime.fromisoformat(one["at"]), datetime.fromisoformat(one["since"]), one) for one in told)
        events = (Delivered(one["emission"], at, since, one["payload"]) for at, since, one in instants)
        fit = [event for event in events if event.emission not in had and (until is None or event.at <= until)]
        return min(fit, key=lambda event: (event.at, event.emission), default=None)

    def events_taken(self, key: str) -> list[int]:
        """The events of the name that is waited for under this key which the run has had."""
        return sorted(self._events_taken[_event_of(key)])

    def take_event(self, key: str, emission: int) -> None:
        """Let no other wait have this event."""
        self._events_taken[_event_of(key)].add(emission)

    def unasked(self) -> list[str]:
        """What is recorded and was not asked for, in the order of recording."""
        return list(self.left)


def _event_of(key: str) -> str:
    """The name of the event that is waited for under a key."""
    return key.partition(EVENT)[2].partition("#")[0]
