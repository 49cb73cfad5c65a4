"""Actors, what they may want, and the connections they are given. `pgflow.testing.interleaving` puts them in order."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import psycopg

from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import Call, Session
from pgflow.errors import DatabaseUnavailable
from pgflow.testing.orders import Fault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """A statement as text. The actor is sent the rows."""

    text: str
    params: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class Transact:
    """What follows is one transaction, up to `Commit` or `Rollback`. No move of its own: nobody else sees it."""


@dataclass(frozen=True, slots=True)
class Commit:
    """End the transaction."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """Take the transaction back."""


@dataclass(frozen=True, slots=True)
class Look:
    """A command that only reads, so that nobody need look again because of it."""

    command: Call[Any] | Query


@dataclass(frozen=True, slots=True)
class Pause:
    """What was done last (but for a `Look`) found nothing to do: go on when somebody else has done something since this
    round began, at the start or after the last `Pause`. If nobody will, the order ends here."""


@dataclass(frozen=True, slots=True)
class Advance:
    """Move everybody's clock."""

    seconds: float


Command: TypeAlias = Call[Any] | Query | Look | Transact | Commit | Rollback | Pause | Advance
Script: TypeAlias = Generator[Command, Any, None]


class Lost(DatabaseUnavailable):
    """A connection that was lost because the order said so."""


def described(command: Command) -> str:
    """A command in one line."""
    if isinstance(command, Look):
        return described(command.command)
    if isinstance(command, Call):
        given = ", ".join(f"{k}={v}" for k, v in command.params.items() if v is not None and v not in ([], {}, "[]"))
        return f"{command.name}({shortened(given, text=True)})"
    if isinstance(command, Query):
        return shortened(" ".join([*command.text.split(), *map(str, command.params)]), text=True)
    return f"advance {command.seconds:g} s" if isinstance(command, Advance) else type(command).__name__.lower()


def shortened(value: object, *, text: bool = False) -> str:
    """A value in one short line."""
    line = str(value) if text else repr(value)
    return line if len(line) <= 100 else f"{line[:99]}…"


class Seat:
    """A connection and what is known of its session. Lent to one actor after the other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection[Any] | None = None
        self._clock: float | None = 0.0

    @property
    def connection(self) -> psycopg.Connection[Any]:
        return self.open()

    def open(self) -> psycopg.Connection[Any]:
        """The connection; a new one when the last was lost."""
        if self._connection is None:
            # A deadlock is to be told at once: every lock here is waited for, and nobody is slow.
            self._connection = connect.open_sync(self._settings, "interleaving", deadlock_timeout="10ms")
            self._clock = 0.0
        return self._connection

    @property
    def pid(self) -> int | None:
        """The server process; None while there is no connection."""
        return self._connection.info.backend_pid if self._connection else None

    @property
    def in_transaction(self) -> bool:
        return self._connection is not None and not self._connection.autocommit

    def begin(self) -> None:
        self.connection.autocommit = False  # psycopg begins with the next statement

    def do(self, command: Command, clock: float) -> Any:
        """Carry a command out, on a thread of its own."""
        connection = self.connection
        if isinstance(command, Commit | Rollback):
            connection.commit() if isinstance(command, Commit) else self.rollback()
            connection.autocommit = True
            return None
        if self._clock != clock:
            self.run(Call("testing/set_clock", {"seconds": clock}, lambda _: None))
            self._clock = clock
        if isinstance(command, Look):
            command = command.command
        if isinstance(command, Call):
            return self.run(command)
        assert isinstance(command, Query)
        return connection.execute(command.text, command.params or None).fetchall()

    def run(self, call: Call[T]) -> T:
        return Session(self.connection, self._settings.schema_name).run(call)

    def rollback(self) -> None:
        self._clock = None  # a clock that was set in the transaction is taken back as well
        self.connection.rollback()

    def tidy(self) -> None:
        """As new, for the next actor."""
        if self.in_transaction:
            self.rollback()
            self.connection.autocommit = True

    def drop(self, director: Seat, under_way: Future[Any] | None = None) -> None:
        """Lose the connection, and wait until the server has noticed."""
        if self.pid is not None:
            director.run(Call("testing/disconnect", {"pid": self.pid}, lambda _: None))
            if under_way is not None:
                wait([under_way])
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


@dataclass
class Actor:
    """One of those whose moves are put in order."""

    name: str
    script: Script
    seat: Seat
    next: Command | None = None
    """What it does at its next move; None: it is at its end."""
    pending: Future[Any] | None = None
    fault: Fault = Fault.NONE
    line: int = 0
    deed: bool = False
    """Its last statement may have changed something, of which the others do not know yet."""
    news: bool = False
    """Somebody else did something since this actor's round began."""
    fresh: bool = True
    """Its round has not begun yet."""

    @property
    def free(self) -> tuple[Fault, ...]:
        """What its next move may be hit by; nothing at all when it cannot move."""
        if self.next is None or self.pending is not None or (isinstance(self.next, Pause) and not self.news):
            return ()
        if isinstance(self.next, Pause | Advance):
            return (Fault.NONE,)
        if self.seat.in_transaction and not isinstance(self.next, Commit):
            return (Fault.NONE, Fault.BEFORE)
        return (Fault.NONE, Fault.BEFORE, Fault.AFTER)
