"""Orders: which actor moves next, and which of its moves is hit by a fault. Knows nothing of databases.

An *order* is a list of moves, written `parent child- child parent+`: the names of the actors as they get their turns,
with `-` where the connection is lost before the move reaches the database and `+` where it is lost after the move took
effect, so that the actor never learns. Three ways of choosing one:

* `Drawn`, from a seed, by probabilistic concurrency testing: every actor has a random priority, the highest that can
  move does, and at a few random moments (the change points) the one about to move becomes the lowest. A bug that needs
  d moments in which the right actor is interrupted is found with a probability of at least 1 / (actors * moves^(d-1))
  an order, which is far better than tossing a coin at each move.
* `Every`, one after the other and each once, by running again from the start with the last choice changed that still
  has an alternative. `preemptions` bounds how often an actor that could go on is interrupted, `faults` how often a
  connection is lost: most bugs need two or fewer, and the number of orders stays small.
* `Followed`, a given one. A move that is not possible is left out, and when the moves are used up the actors go on one
  after the other, so that a failing order can be cut down by trial: see `simpler`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice, pairwise
from typing import NamedTuple, Protocol


class Fault(StrEnum):
    """What happens to the connection at a move."""

    NONE = ""
    BEFORE = "-"
    AFTER = "+"


class Move(NamedTuple):
    """One actor's turn."""

    actor: str
    fault: Fault = Fault.NONE

    def __str__(self) -> str:
        return self.actor + self.fault


def parsed(order: str) -> list[Move]:
    """The moves of an order as `written` by this module."""
    return [
        Move(word[:-1], Fault(word[-1])) if word[-1] in {Fault.BEFORE, Fault.AFTER} else Move(word)
        for word in order.split()
    ]


def written(order: Sequence[Move]) -> str:
    """An order as text."""
    return " ".join(map(str, order))


@dataclass(frozen=True)
class Turn:
    """A moment at which somebody has to be chosen.

    Args:
        number: how many moves there were before it.
        current: who moved last.
        free: for each actor that can move, the faults that its move can be hit by.
    """

    number: int
    current: str | None
    free: dict[str, tuple[Fault, ...]]


class Chooser(Protocol):
    """Chooses the moves of one order."""

    def choose(self, turn: Turn) -> Move:
        """Whose turn it is."""


class Followed:
    """A given order."""

    def __init__(self, order: Sequence[Move] = ()) -> None:
        self._left = list(order)

    def choose(self, turn: Turn) -> Move:
        while self._left:
            move = self._left.pop(0)
            if move.actor in turn.free:
                return move if move.fault in turn.free[move.actor] else Move(move.actor)
        return Move(turn.current if turn.current in turn.free else next(iter(turn.free)))


class Drawn:
    """An order drawn from a generator of random numbers.

    Args:
        rng: where it is drawn from.
        length: about how many moves it will have.
        changes: how many times an actor is interrupted.
        faults: how many connections are lost at most.
    """

    def __init__(self, rng: random.Random, length: int, *, changes: int, faults: int) -> None:
        moments = range(max(length, 1))
        self._rng = rng
        self._priorities: dict[str, float] = {}
        self._changes = set(rng.sample(moments, min(changes, len(moments))))
        self._faults = set(rng.sample(moments, rng.randint(0, min(faults, len(moments)))))

    def choose(self, turn: Turn) -> Move:
        for actor in sorted(set(turn.free) - set(self._priorities)):
            self._priorities[actor] = self._rng.random()
        if turn.number in self._changes:
            self._priorities[max(turn.free, key=self._priorities.__getitem__)] = -turn.number - 1.0
        actor = max(turn.free, key=self._priorities.__getitem__)
        faults = turn.free[actor] if turn.number in self._faults else ()
        return Move(actor, self._rng.choice([f for f in faults if f] or [Fault.NONE]))


class Every:
    """Every order there is, within bounds: iterate over it and run one order with each chooser it gives.

    Args:
        preemptions: how often, at most, somebody is chosen though the one that moved last could go on; None: no bound.
        faults: how many connections are lost, at most.
    """

    def __init__(self, *, preemptions: int | None = None, faults: int = 0) -> None:
        self._preemptions = preemptions
        self._max_faults = faults
        self._path: list[list[Move]] = []  # for each turn what is still to be tried, the present choice first
        self._depth = 0
        self._interrupted = 0
        self._lost = 0

    def __iter__(self) -> Iterator[Chooser]:
        while True:
            self._depth = self._interrupted = self._lost = 0
            yield self
            del self._path[self._depth :]
            while self._path and len(self._path[-1]) == 1:
                self._path.pop()
            if not self._path:
                return
            self._path[-1].pop(0)

    def choose(self, turn: Turn) -> Move:
        if self._depth == len(self._path):
            self._path.append(self._alternatives(turn))
        move = self._path[self._depth][0]
        if move.actor not in turn.free:  # two statements that one commit set free may end in either order
            move = Move(next(iter(turn.free)))
        self._depth += 1
        self._interrupted += self._interrupts(move, turn)
        self._lost += bool(move.fault)
        return move

    def _interrupts(self, move: Move, turn: Turn) -> bool:
        return turn.current in turn.free and move.actor != turn.current

    def _alternatives(self, turn: Turn) -> list[Move]:
        stay = turn.current in turn.free and self._interrupted == self._preemptions
        actors = sorted(turn.free, key=lambda actor: actor != turn.current)
        moves = [Move(actor) for actor in actors[: 1 if stay else None]]
        if self._lost < self._max_faults:
            moves += [Move(move.actor, fault) for move in moves for fault in turn.free[move.actor] if fault]
        return moves


def simpler(order: Sequence[Move], fails: Callable[[Chooser], list[Move] | None], tries: int = 30) -> list[Move]:
    """Cut a failing order down: fewer faults, then fewer interruptions.

    First the plainest orders there are, without faults; then the given one, changed here and there.

    Args:
        order: one that fails.
        fails: runs an order and returns the moves made, or None when it did not fail in the same way.
        tries: how many orders are run at most, of either kind.
    """
    best = list(order)
    plain = chain.from_iterable(Every(preemptions=bound) for bound in range(3))
    for chooser in islice(plain, tries):
        best = min(best, fails(chooser) or best, key=_weight)
    again = True
    while again:
        again = False
        for candidate in _cuts(best):
            if tries == 0:
                return best
            tries -= 1
            made = fails(Followed(candidate))
            if made is not None and _weight(made) < _weight(best):
                best, again = made, True
                break
    return best


def _weight(order: Sequence[Move]) -> tuple[int, int, int]:
    return (
        sum(bool(move.fault) for move in order),
        sum(a.actor != b.actor for a, b in pairwise(order)),
        len(order),
    )


def _cuts(order: list[Move]) -> Iterator[list[Move]]:
    for actor in sorted({move.actor for move in order}):
        yield [move for move in order if move.actor != actor]
    for i, move in enumerate(order):
        if move.fault:
            yield [*order[:i], Move(move.actor), *order[i + 1 :]]
    for i in range(len(order) - 1):
        if order[i].actor != order[i + 1].actor:
            later = next((j for j in range(i + 2, len(order)) if order[j].actor == order[i].actor), None)
            if later is not None:
                yield [*order[: i + 1], order[later], *order[i + 1 : later], *order[later + 1 :]]
