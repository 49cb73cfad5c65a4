"""One order of one program: who is free to move, what a move does, and what is told of it afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeAlias, TypeVar

import psycopg

from pgflow.db.call import Call, Rows
from pgflow.testing.actor import (
    Actor,
    Advance,
    Look,
    Lost,
    Pause,
    Query,
    Script,
    Seat,
    Transact,
    described,
    shortened,
)
from pgflow.testing.orders import Chooser, Fault, Move, Turn, written

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds in which the statements under way must have ended or run into a lock."""
LONGEST = 2_000
"""Moves of one order; more than that is an actor that goes round in circles."""

Program: TypeAlias = "Callable[[Stage], Iterator[None]]"


class InterleavingFailed(AssertionError):
    """An order in which something went wrong.

    Args:
        reason: what.
        order: the moves, to be given to `Conductor.follow`.
        seed: what the order was drawn from, if it was.
        trace: who did what, one line each.
    """

    def __init__(self, reason: str, order: Sequence[Move], trace: Sequence[str], seed: str | None = None) -> None:
        self.reason = reason
        self.order = written(order)
        self.seed = seed
        self.trace = list(trace)
        drawn = f"seed: {seed}\n" if seed else ""
        super().__init__(f"{reason}\n{drawn}order: {self.order}\n" + "\n".join(self.trace))


@dataclass
class Tally:
    """What an exploration has seen, so that a test can tell that it was not an empty one."""

    orders: int = 0
    moves: int = 0
    blocked: int = 0
    lost: int = 0


class Stage:
    """Where a program sets its scene and looks at what became of it."""

    def __init__(self, director: Seat, seats: Callable[[int], Seat]) -> None:
        self._director = director
        self._seats = seats
        self.actors: list[Actor] = []
        self.clock = 0.0
        """Seconds that the test clock is ahead."""

    def act(self, name: str, script: Script) -> None:
        """Name an actor: one word. Its script starts when the program yields."""
        if not re.fullmatch(r"\w+", name) or name in {actor.name for actor in self.actors}:
            raise ValueError(f"an actor's name is one word, and its own: {name!r}")
        self.actors.append(Actor(name, script, self._seats(len(self.actors))))

    def run(self, call: Call[T]) -> T:
        """Run a call now, outside of all orders."""
        answer: T = self._director.do(call, self.clock)
        return answer

    def query(self, text: str, *params: Any) -> Rows:
        """Run a statement now, outside of all orders."""
        rows: Rows = self._director.do(Query(text, params), self.clock)
        return rows


@dataclass
class Performance:
    """One order of one program."""

    stage: Stage
    chooser: Chooser
    director: Seat
    threads: ThreadPoolExecutor
    tally: Tally
    reconnect: bool = False
    order: list[Move] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)

    def play(self) -> None:
        for actor in self.stage.actors:
            self._go_on(actor, None)
        while True:
            self._rest()
            free = {actor.name: actor.free for actor in self.stage.actors if actor.free}
            if not free:
                break
            if len(self.order) == LONGEST:
                raise self.failed(f"there is no end to it after {LONGEST} moves")
            move = self.chooser.choose(Turn(len(self.order), self.order[-1].actor if self.order else None, free))
            self._move(next(actor for actor in self.stage.actors if actor.name == move.actor), move)
        if any(actor.pending for actor in self.stage.actors):
            raise self.failed("everybody who could still move waits for a lock")

    def failed(self, reason: str) -> InterleavingFailed:
        return InterleavingFailed(reason, self.order, self.trace)

    def _move(self, actor: Actor, move: Move) -> None:
        self.order.append(move)
        self.tally.moves += 1
        self.tally.lost += bool(move.fault)
        command = actor.next
        assert command is not None
        self._tell(actor, f"{len(self.order):3} {actor.name:10} {described(command)}")
        if isinstance(command, Pause):
            actor.fresh = True
            self._go_on(actor, None)
            return
        if actor.fresh:
            actor.fresh = actor.news = False
        if not isinstance(command, Look):
            self._spread(actor)
        if move.fault is Fault.BEFORE:
            self._note(actor, "connection lost before")
            self._lose(actor)
        elif isinstance(command, Advance):
            self.stage.clock += command.seconds
            actor.deed = True
            self._spread(actor)
            self._go_on(actor, None)
        else:
            actor.seat.open()
            actor.fault = move.fault
            actor.pending = self.threads.submit(actor.seat.do, command, self.stage.clock)

    def _go_on(self, actor: Actor, answer: object) -> None:
        """Hand an actor the answer, or throw the error, and see what it wants next."""
        thrown = answer if isinstance(answer, BaseException) else None
        try:
            actor.next = actor.script.throw(thrown) if thrown else actor.script.send(answer)
            while isinstance(actor.next, Transact):
                actor.seat.begin()
                actor.next = actor.script.send(None)
        except StopIteration:
            actor.next = None
        except Exception as error:
            actor.next = None
            if not (error is thrown and isinstance(error, Lost)):
                raise self.failed(f"{actor.name}: {type(error).__name__}: {error}") from error
        if isinstance(actor.next, Pause):
            actor.deed = False
        if actor.next is None:
            actor.seat.tidy()
            actor.deed = True
            self._spread(actor)

    def _spread(self, actor: Actor) -> None:
        """Let those who pause know what this actor did."""
        for other in self.stage.actors:
            other.news = other.news or (actor.deed and other is not actor)
        actor.deed = False

    def _lose(self, actor: Actor) -> None:
        if self.reconnect:
            actor.seat.drop(self.director)
        actor.seat.tidy()
        actor.deed = True
        self._spread(actor)
        self._go_on(actor, Lost("the connection was lost, as this order wants it"))

    def _rest(self) -> None:
        """Wait until whatever is under way has ended or is blocked by somebody who has to be given a turn."""
        until = monotonic() + PATIENCE
        while under_way := [actor for actor in self.stage.actors if actor.pending]:
            wait([actor.pending for actor in under_way if actor.pending], 0.002, FIRST_COMPLETED)
            ended = [actor for actor in under_way if actor.pending and actor.pending.done()]
            for actor in ended:
                self._end(actor)
            if ended:
                continue
            waits = self._waits(under_way)
            if all(waits.values()) and not _circle(waits):
                for actor in under_way:
                    if actor.line == len(self.trace) - 1:
                        self.tally.blocked += 1
                        self._note(actor, f"is blocked by {', '.join(sorted(waits[actor.name]))}")
                return
            if monotonic() > until:
                raise self.failed(f"no rest after {PATIENCE:g} seconds: {waits}")

    def _end(self, actor: Actor) -> None:
        future, actor.pending = actor.pending, None
        assert future is not None
        actor.deed = actor.deed or not isinstance(actor.next, Look)
        error = future.exception()
        if actor.line != len(self.trace) - 1:
            self._tell(actor, f"    {actor.name:10} goes on")
        self._note(actor, f"{type(error).__name__}: {error}" if error else shortened(future.result()))
        if isinstance(error, psycopg.errors.DeadlockDetected):
            raise self.failed(f"deadlock, told to {actor.name}: {error}") from error
        if actor.fault is Fault.AFTER:
            self._note(actor, "connection lost after")
            self._lose(actor)
        else:
            self._go_on(actor, error or future.result())

    def _waits(self, under_way: Sequence[Actor]) -> dict[str, set[str]]:
        """For each of these actors, whose locks it waits for."""
        names = {actor.seat.pid: actor.name for actor in self.stage.actors}
        pids = [pid for actor in under_way if (pid := actor.seat.pid)]
        rows = self.director.run(Call("testing/blocked", {"pids": pids}, list))
        return {names[pid]: {names.get(by, f"process {by}") for by in blockers} for pid, blockers in rows}

    def _tell(self, actor: Actor, line: str) -> None:
        actor.line = len(self.trace)
        self.trace.append(line)

    def _note(self, actor: Actor, what: str) -> None:
        self.trace[actor.line] += f"  → {what}"


def _circle(waits: dict[str, set[str]]) -> bool:
    """Whether somebody waits, over others, for himself: the server is about to find a deadlock, or to resolve it."""
    reached = {name: set(by) for name, by in waits.items()}
    for _ in waits:
        reached = {name: by.union(*(reached.get(other, set()) for other in by)) for name, by in reached.items()}
    return any(name in by for name, by in reached.items())
