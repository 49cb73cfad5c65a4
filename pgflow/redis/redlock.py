"""Redlock as a protocol: what to ask the nodes, and what their votes mean. Two drivers of a few lines do the asking.

A lock is a key with a random token in more than half of the nodes, set only where it was not set (`SET NX PX`), so that
it goes away by itself. It is taken back by token: what has expired and belongs to somebody else now is not deleted.

It is a queue, not an authority: between a node's restart, a clock's jump and a pause longer than `TTL`, two may hold
it at once, and Redis has no fencing token that Postgres would check. Neither is needed here, because whoever holds it
goes on to a unique key in Postgres. So when the nodes do not make a quorum, or the lock is held for longer than
`PATIENCE`, one goes on without it.

Contenders that ask several nodes at the same moment may each get some of them and nobody enough. All give back what
they got and try again after a random rest.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

T = TypeVar("T")

TTL = 10.0
"""Seconds after which a lock goes away whose holder does not release it."""
PATIENCE = 2.0
"""Seconds that somebody waits for a lock that another holds."""
FIRST_REST, LONGEST_REST = 0.005, 0.1
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class Vote(Enum):
    """What a node says."""

    YES = "yes"
    NO = "no"
    LOST = "lost"
    """Nothing: it was not asked, or did not answer, or with an error."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this command to every node; the votes are sent back."""

    command: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds."""

    seconds: float


Steps = Generator[Ask | Pause, "list[Vote]", T]


@dataclass(frozen=True, slots=True)
class Lock:
    """A name, and the token that proves who took it."""

    name: str
    token: str = field(default_factory=lambda: secrets.token_hex(16))


def acquire(
    lock: Lock, *, ttl: float = TTL, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic
) -> Steps[bool]:
    """Take the lock, waiting for whoever holds it.

    Returns:
        Whether it is ours; if not, either too few nodes answered or it was held for longer than `patience`.
    """
    end = clock() + patience
    rest = FIRST_REST
    while True:
        begun = clock()
        votes = yield Ask(("SET", lock.name, lock.token, "NX", "PX", int(ttl * 1000)))
        quorum = len(votes) // 2 + 1
        left = ttl - (clock() - begun) - drift(ttl)
        if votes.count(Vote.YES) >= quorum and left > 0:
            return True
        if Vote.YES in votes:
            yield from release(lock)
        if len(votes) - votes.count(Vote.LOST) < quorum or clock() >= end:
            return False
        yield Pause(random.uniform(0.5, 1.0) * rest)
        rest = min(LONGEST_REST, rest * 1.5)


def release(lock: Lock) -> Steps[None]:
    """Give the lock back where it is still ours."""
    yield Ask(("EVAL", _RELEASE, 1, lock.name, lock.token))


def drift(ttl: float) -> float:
    """By how much the clocks of the nodes may differ while a lock lasts."""
    return ttl * 0.01 + 0.002
