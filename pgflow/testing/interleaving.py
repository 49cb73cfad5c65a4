"""Several connections, one conductor: every interleaving of statements on a real Postgres, chosen and repeatable.

A *program* is written like a fixture: a generator that sets the scene, names its actors, yields once while they act,
and then says what must hold, whatever the order was.

    def program(stage: Stage) -> Iterator[None]:
        (task,) = stage.run(enqueue([Request(Spec("noop"), b"{}")])).ids
        stage.act("one", claims(1))
        stage.act("other", claims(2))
        yield
        assert len(stage.query("select from pgflow.lease")) == 1

An *actor* is a generator too, with a connection of its own. It yields what it wants to do (`Call`, `Query`, `Commit`,
...) and is sent the answer; between two yields it does not touch the database. So the yields are the only moments at
which anything can come between, and the conductor decides at each whose turn it is (`pgflow.testing.orders`).

    with Conductor(settings, reset) as conductor:
        conductor.every(program, preemptions=2)
        conductor.draw(program, seed=7, orders=500)

**Blocking.** A statement that runs into a lock does not stop the conductor. It asks the server who is blocked by whom,
and goes on with the others once every statement under way has either ended or waits for somebody whose turn it is not.
Nothing happens unless the conductor says so, but for one thing: a commit that sets two statements free lets both run,
and which of them is the faster is not in its hands.

**What fails an order**: an assertion of the program, any error that an actor does not catch, a deadlock, and actors of
whom each waits for another. `InterleavingFailed` tells the order, made as simple as it can be, and who did what.

**Faults.** The connection may be lost before a move reaches the server, or after it took effect. The actor gets
`DatabaseUnavailable` either way; if it does not catch it, it is dead, and no failure. What it yields next goes over a
new connection. An actor that never gets its turn until the others are done is a process that was frozen: every
order has some of those. The server does what it does for a lost connection, it rolls back; the session itself is kept,
because a new one has to plan every statement anew. Where it matters (session locks, LISTEN): `reconnect=True`.

**Time** is the test clock of all connections, moved by `Advance`; see `pgflow.now()`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import psycopg

from pgflow.config import Settings
from pgflow.testing.actor import Advance, Command, Commit, Look, Pause, Query, Rollback, Script, Seat, Transact
from pgflow.testing.orders import Chooser, Drawn, Every, Followed, Move, parsed, simpler, written
from pgflow.testing.performance import InterleavingFailed, Performance, Program, Stage, Tally

__all__ = [
    "Advance",
    "Command",
    "Commit",
    "Conductor",
    "InterleavingFailed",
    "Look",
    "Pause",
    "Program",
    "Query",
    "Rollback",
    "Script",
    "Stage",
    "Tally",
    "Transact",
]


class Conductor:
    """Runs programs in many orders. A context manager: it holds connections and threads.

    Args:
        settings: where the database is. Its role must be allowed to end its own sessions and to set deadlock_timeout.
        reset: takes back what a program left, given a connection; after every order.
        actors: how many may act at once.
        reconnect: really lose the connections that an order loses: for what hangs on a session, and ten times as slow.
    """

    def __init__(
        self,
        settings: Settings,
        reset: Callable[[psycopg.Connection[Any]], None],
        *,
        actors: int = 16,
        reconnect: bool = False,
    ) -> None:
        self._settings = settings
        self._reset = reset
        self._director = Seat(settings)
        self._reconnect = reconnect
        self._seats: list[Seat] = []
        self._threads = ThreadPoolExecutor(actors, "actor")
        self.tally = Tally()

    def __enter__(self) -> Conductor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for seat in self._seats:
            seat.close()
        self._director.close()
        self._threads.shutdown()

    def every(self, program: Program, *, preemptions: int | None = None, faults: int = 0) -> Tally:
        """Run a program in every order.

        Args:
            program: what to run.
            preemptions: how often an actor that could go on is interrupted, at most; None: as often as it can be.
            faults: how many connections are lost, at most.

        Raises:
            InterleavingFailed: at the first order that fails, made simpler.
        """
        tally = self.tally = Tally()
        for chooser in Every(preemptions=preemptions, faults=faults):
            self._try(program, chooser, None)
        return tally

    def draw(self, program: Program, *, seed: int, orders: int, changes: int = 3, faults: int = 0) -> Tally:
        """Run a program in as many orders, drawn from a seed.

        Args:
            program: what to run.
            seed: the orders are `seed/0`, `seed/1`, ...
            orders: how many.
            changes: how often an actor is interrupted in each.
            faults: how many connections are lost in each, at most.

        Raises:
            InterleavingFailed: at the first order that fails, made simpler.
        """
        tally = self.tally = Tally()
        length = 10
        for number in range(orders):
            name = f"{seed}/{number}"
            chooser = Drawn(random.Random(name), length, changes=changes, faults=faults)
            length = max(length, len(self._try(program, chooser, name)))
        return tally

    def follow(self, program: Program, order: str) -> None:
        """Run a program in one given order, as a failure tells it.

        Raises:
            InterleavingFailed: if it fails.
        """
        self._perform(program, Followed(parsed(order)))

    def _try(self, program: Program, chooser: Chooser, seed: str | None) -> list[Move]:
        try:
            return self._perform(program, chooser)
        except InterleavingFailed as failure:
            found = failure
        tally, self.tally = self.tally, Tally()
        best = [found]

        def fails(chooser: Chooser) -> list[Move] | None:
            try:
                self._perform(program, chooser)
            except InterleavingFailed as failure:
                if _kind(failure) == _kind(found):
                    best.append(failure)
                    return parsed(failure.order)
            return None

        order = written(simpler(parsed(found.order), fails))
        self.tally = tally
        simplest = next(failure for failure in reversed(best) if failure.order == order)
        raise InterleavingFailed(simplest.reason, parsed(order), simplest.trace, seed) from simplest.__cause__

    def _perform(self, program: Program, chooser: Chooser) -> list[Move]:
        self.tally.orders += 1
        stage = Stage(self._director, self._seat)
        script = program(stage)
        performance = Performance(stage, chooser, self._director, self._threads, self.tally, self._reconnect)
        try:
            next(script)
            performance.play()
            try:
                if next(script, self) is not self:
                    raise ValueError("a program yields once: while its actors act")
            except AssertionError as error:
                raise performance.failed(str(error) or "an assertion of the program") from error
        finally:
            self._strike(stage)
        return performance.order

    def _strike(self, stage: Stage) -> None:
        for actor in stage.actors:
            if actor.pending and not actor.pending.done():
                actor.seat.drop(self._director, actor.pending)
            actor.script.close()
            actor.seat.tidy()
        self._reset(self._director.connection)

    def _seat(self, number: int) -> Seat:
        while len(self._seats) <= number:
            self._seats.append(Seat(self._settings))
        return self._seats[number]


def _kind(failure: InterleavingFailed) -> str:
    """The reason of a failure without what differs from one run to the next."""
    return re.sub(r"\d+", "0", failure.reason.splitlines()[0])
