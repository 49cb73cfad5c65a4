"""When a failed attempt is followed by another: retry policies."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any, Literal, get_args

from pgflow import duration
from pgflow.errors import ArgumentError, RegistrationError

Backoff = Literal["fixed", "linear", "exponential"]

MOST_ATTEMPTS = 32_767
"""Attempts are counted in a smallint."""

_DOUBLINGS = 999
"""No more than this: the longest base doubled so often is still a float, and the shortest is long past any cap."""


@dataclass(frozen=True, slots=True, init=False)
class RetryPolicy:
    """How often a task is tried, and how long it rests between two attempts.

    Args:
        max_attempts: attempts in all, the first included: 1 (never retried) to 32,767.
        backoff: how the delay grows: `fixed` (`base`), `linear` (`base`, twice, three times `base`) or `exponential`
            (`base`, twice, four times `base`).
        base: the first delay: seconds, a `timedelta`, or text such as "1s".
        cap: no delay is longer than this: seconds, a `timedelta`, or text such as "5m".
        jitter: draw each delay evenly from 0 to what it would be ("full jitter"), so that tasks which failed together
            do not all come back together.

    Raises:
        RegistrationError: a value makes no sense; the text names it.

    Example:
        >>> policy = RetryPolicy(5, backoff="exponential", base=1, cap="5m", jitter=False)
        >>> [policy.delay(attempt) for attempt in (1, 2, 3, 40)]
        [1.0, 2.0, 4.0, 300.0]
    """

    max_attempts: int
    backoff: Backoff
    base: float
    cap: float
    jitter: bool

    def __init__(
        self, max_attempts: int = 5, backoff: Backoff = "exponential", base: str | float | timedelta = 1.0,
        cap: str | float | timedelta = 300.0, jitter: bool = True,
    ) -> None:  # fmt: skip
        assign = object.__setattr__  # the class is frozen
        assign(self, "max_attempts", max_attempts)
        assign(self, "backoff", backoff)
        assign(self, "base", _seconds("base", base))
        assign(self, "cap", _seconds("cap", cap))
        assign(self, "jitter", jitter)
        self._check()

    def _check(self) -> None:
        if type(self.max_attempts) is not int or not 1 <= self.max_attempts <= MOST_ATTEMPTS:
            raise _refusal(f"max_attempts has to be a whole number from 1 to {MOST_ATTEMPTS}")
        if self.backoff not in get_args(Backoff):
            choices = ", ".join(get_args(Backoff))
            raise _refusal(f"no backoff {self.backoff!r}", hint=f"choose one of: {choices}")
        if self.cap < self.base:
            raise _refusal(f"cap ({self.cap:g} s) is below base ({self.base:g} s)")
        if type(self.jitter) is not bool:
            raise _refusal("jitter has to be True or False")

    def allows(self, attempt: int) -> bool:
        """Whether another attempt may follow the attempt of this number (from 1)."""
        return attempt < self.max_attempts

    def delay(self, attempt: int, random: Callable[[], float] = random.random) -> float:
        """How many seconds to rest after the attempt of this number (from 1), before the next.

        Args:
            attempt: the attempt that failed.
            random: a number from 0 to 1, for the jitter.
        """
        match self.backoff:
            case "fixed":
                delay = self.base
            case "linear":
                delay = self.base * min(attempt, 2**53)
            case "exponential":
                delay = self.base * 2.0 ** min(attempt - 1, _DOUBLINGS)
        delay = min(delay, self.cap)
        return delay * random() if self.jitter else delay

    def to_json(self) -> dict[str, Any]:
        """The policy as it is stored and as definitions write it; `from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RetryPolicy:
        """A policy from `to_json`, or from a definition; what is left out has its default.

        Raises:
            RegistrationError: a field is unknown, or makes no sense.
        """
        if not isinstance(value, Mapping):
            raise _refusal(f"an object is needed, not a {type(value).__name__}")
        known = [field.name for field in fields(cls)]
        if unknown := [str(name) for name in value if name not in known]:
            raise _refusal(f"no field {unknown[0]!r}", hint=f"choose from: {', '.join(known)}")
        return cls(**value)


def _seconds(name: str, value: str | float | timedelta) -> float:
    try:
        return duration.parse(value)
    except ArgumentError as error:
        raise _refusal(f"{name}: {error.message}", hint=error.hint) from None


def _refusal(problem: str, hint: str | None = None) -> RegistrationError:
    return RegistrationError(f"retry policy: {problem}", hint=hint)


NO_RETRY = RetryPolicy(max_attempts=1)
"""One attempt, and no other after it."""
