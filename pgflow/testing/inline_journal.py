"""The journal and the history of a workflow that runs without a database."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from pgflow.engine.children import Child
from pgflow.engine.facts import Fact, Progress, Recorded, Try
from pgflow.model import EventType
from pgflow.sdk.attempt import within_step
from pgflow.sdk.history import ChildSpawned, History, SignalReceived
from pgflow.sdk.journal import Entry, Transact, Wait
from pgflow.testing.stored import stored
from pgflow.testing.world import NotGiven, World


@dataclass(slots=True)
class Happening:
    """Something that a workflow asked for, in the words of its history.

    Attributes:
        key: `charge`, `charge#2`, `$sleep`, `$signal:confirmed`.
        kind: `step`, `retry` (a try that failed), `failure` (the last try failed), `timer`, `signal`, `event` or
            `child`.
        result: what came of it, as JSON; of a timer, when it was due; of a failed try, its error.
    """

    key: str
    kind: str
    result: Any = None


_TRIES = {EventType.STEP_RETRIED: "retry", EventType.STEP_FAILED: "failure"}


class InlineHistory(History):
    """A history whose signals are those of its world: a signal that is meant for nobody is whoever's takes it first."""

    def __init__(self, world: World, task_id: int) -> None:
        super().__init__()
        self._world, self._task_id = world, task_id

    def next_signal(self, name: str, until: datetime | None) -> SignalReceived | None:
        for signal in self._world.signals:
            received = signal.received
            meant = signal.run is None or signal.run == self._task_id
            if meant and not signal.taken and received.name == name and (until is None or received.at <= until):
                return received
        return None

    def take(self, signal: SignalReceived) -> None:
        for posted in self._world.signals:
            posted.taken |= posted.received is signal

    def deliveries(self, key: str) -> int:  # noqa: ARG002 (as its base is called)
        return len(self._world.events)

    def delivered(self, key: str, until: datetime | None) -> None:  # noqa: ARG002 (as its base is called)
        return None

    def awaited(self, kind: str) -> list[str]:
        """The names of signals or events that were asked for and have not come."""
        prefix = f"${kind}:"
        keys = [key for key in self.asked if key.startswith(prefix) and key not in self.facts]
        return [key.split("#")[0].removeprefix(prefix) for key in keys]


Spawn = Callable[["InlineJournal", Child, ChildSpawned], int]


class InlineJournal:
    """Keeps what a workflow writes, encoded and decoded as the database would.

    Args:
        world: what it lives in.
        task_id: its task.
        root_id: its run.
        spawn: lets a child begin when its turn comes; gives its id.
        db: what `ctx.tx` is handed.
    """

    epoch = 1

    def __init__(self, world: World, task_id: int, root_id: int, spawn: Spawn, db: Any) -> None:
        self.task_id, self.root_id = task_id, root_id
        self.history = InlineHistory(world, task_id)
        self.happened: list[Happening] = []
        self.slept: list[timedelta] = []
        self.notes: list[str] = []
        self.progress: float | None = None
        self.state: Any = None
        self.continued: dict[str, Any] | None = None
        self.contexts: dict[str, Any] = {}
        self._world, self._spawn, self._db = world, spawn, db

    def clock(self) -> datetime:
        return self._world.now

    def put(self, entry: Entry) -> None:
        self._write(entry)

    async def commit(self, entry: Entry) -> Any:
        await asyncio.sleep(0)  # as a commit does, it gives the loop a turn: operations that overlap are found out
        return self._write(entry)

    def settled(self) -> bool:
        return True

    async def flush(self) -> None:
        return None

    async def block(self, wait: Wait) -> None:
        await self._world.stand_still(self.task_id, wait.arrivals, wait.due)

    async def transact(self, effect: Transact) -> Recorded:
        connection = self._connection(effect)
        scope: AbstractAsyncContextManager[Any] = nullcontext()
        if isinstance(connection, psycopg.AsyncConnection):
            scope = connection.transaction()
        async with scope:
            with within_step(self.history.prefix + effect.key):
                value = effect.step.function(connection, *effect.args, **effect.kwargs)
                if inspect.isawaitable(value):
                    value = await value
            fact = effect.fact(value)
        return self._record(fact)

    def transact_here(self, effect: Transact) -> Recorded:
        connection = self._connection(effect)
        scope: AbstractContextManager[Any] = nullcontext()
        if isinstance(connection, psycopg.Connection):
            scope = connection.transaction()
        with scope:
            with within_step(self.history.prefix + effect.key):
                value = effect.step.function(connection, *effect.args, **effect.kwargs)
            fact = effect.fact(value)
        return self._record(fact)

    def _connection(self, effect: Transact) -> Any:
        if self._db is None and not effect.key.startswith("$send:"):
            raise NotGiven(f"ctx.tx({effect.step.name}) needs a connection", hint="Inline(db=connection)")
        return self._db

    def _write(self, entry: Entry) -> Any:
        if isinstance(entry, Fact):
            return self._record(entry)
        if isinstance(entry, Child):
            return self._begin(entry)
        if isinstance(entry, Try):
            self.happened.append(Happening(entry.key, _TRIES[entry.type], stored(entry.error)))
        elif isinstance(entry, Progress):
            self._tell(entry)
        return True

    def _record(self, fact: Fact) -> Recorded:
        data = stored(fact.data)
        if fact.type is EventType.STEP_COMPLETED:
            key = fact.key.removeprefix(self.history.prefix)
            kind = next((kind for kind in ("signal", "event") if key.startswith(f"${kind}:")), "step")
            result = data["result"] if kind == "step" else data.get("payload")
            self.happened.append(Happening(fact.key, kind, result))
        elif fact.type is EventType.TIMER_CREATED:
            due = datetime.fromisoformat(data["due_at"])
            if "$sleep" in fact.key:
                self.slept.append(due - self._world.now)
                self.happened.append(Happening(fact.key, "timer", due))
        elif fact.type is EventType.WORKFLOW_CONTINUED:
            self.continued = data["input"]
        return Recorded(True, data)

    def _begin(self, child: Child) -> int:
        spawned = self.history.children[child.step.removeprefix(self.history.prefix)]
        spawned.id = self._spawn(self, child, spawned)
        self.happened.append(Happening(child.step, "child"))
        return spawned.id

    def _tell(self, progress: Progress) -> None:
        if progress.state != b"null":
            self.state = stored(progress.state)
        if progress.fraction is not None:
            self.progress = progress.fraction
        if progress.note is not None:
            self.notes.append(progress.note)

    def ended(self, child: Child, spawned: ChildSpawned) -> None:
        """A child has its outcome."""
        for happening in self.happened:
            if happening.kind == "child" and happening.key == child.step:
                happening.result = spawned.output if spawned.error is None else spawned.error
        self._world.arrive(self.task_id)

    def restart(self) -> dict[str, Any] | None:
        """Begin the next generation, if the code continued as new. Returns its input."""
        input, self.continued = self.continued, None
        if input is not None:
            generation = self.history.generation + 1
            had, self.history = self.history, InlineHistory(self._world, self.task_id)
            self.history._events_taken = had._events_taken
            self.history.generation, self.history.input = generation, input
        return input
