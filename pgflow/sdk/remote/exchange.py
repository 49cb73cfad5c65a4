"""What is asked of the API and what it answers, as values: the verbs know nothing of sockets.

A verb is a generator that yields an `Ask`, is sent its `Answer`, and returns its result. `sent` stands between a verb
and whoever has the connection: it turns one `Ask` into attempts and rests, and tells which answers are worth another.
Something is asked twice only if that cannot do it twice: it changes nothing, it has a key, it never went out, or it was
refused before anything was done (429).
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from pgflow.errors import ApiUnavailable, PgflowError
from pgflow.sdk.remote.problems import raised
from pgflow.sdk.verbs import Rest

R = TypeVar("R")

UNSETTLED = {429, 502, 503, 504}
"""Statuses after which the same may be answered otherwise."""
FIRST_REST, LONGEST_REST = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class Ask:
    """A request.

    Args:
        method: as in `GET`.
        path: below the API's address, as in `/runs/17`.
        query: what follows the question mark; None values are left out.
        body: a JSON value; None: there is none.
        headers: more of them.
        repeatable: it may be sent again though it may have been done: that would change nothing.
        patience: seconds that the answer may take, beside the usual time-out.
        key: what makes it repeatable, for errors.
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    patience: float = 0.0
    key: str | None = None

    @property
    def safe(self) -> bool:
        """Whether it may be sent again, whatever became of the first."""
        return self.repeatable or self.method == "GET"

    @property
    def params(self) -> list[tuple[str, str]]:
        """The query as pairs of texts."""
        return [
            (name, str(one).lower() if isinstance(one, bool) else str(one))
            for name, value in self.query.items()
            for one in (value if isinstance(value, list) else [value])
            if one is not None
        ]

    @property
    def content(self) -> bytes | None:
        """The body as it is sent."""
        return None if self.body is None else orjson.dumps(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The body.

        Raises:
            ApiUnavailable: it is none of the API's: whoever else may be at that address has answered.
        """
        try:
            return orjson.loads(self.content) if self.content else None
        except orjson.JSONDecodeError:
            raise raised(self.status, b"", None) from None


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing came back.

    Args:
        why: in words, without anything secret.
        unsent: the request cannot have arrived.
    """

    why: str
    unsent: bool


Exchange = Generator[Ask | Rest, Any, R]
"""A verb: yields what is asked, and rests; is sent answers."""
Attempting = Generator[Ask | Rest, Answer | Lost | None, R]


def sent(ask: Ask, retries: int, rng: random.Random) -> Attempting[Answer]:
    """Send it, and again where that is safe and may help.

    Raises:
        ApiUnavailable: no attempt was answered, or each that it cannot be done now.
        PgflowError: what else the API answers with, as `pgflow.sdk.remote.problems` has it.
    """
    left, pause = retries, FIRST_REST
    while True:
        answer = yield ask
        assert answer is not None
        if isinstance(answer, Answer) and 200 <= answer.status < 300:
            return answer
        again = _again(ask, answer)
        if not (again and left):
            if isinstance(answer, Lost):
                raise ApiUnavailable(
                    f"{ask.method} {ask.path}: {answer.why}",
                    hint=None if ask.safe or answer.unsent else "whether it was done is not known: look first",
                )  # fmt: skip
            raise raised(answer.status, answer.content, ask.key, answer.headers.get("location"))
        asked = _retry_after(answer)
        yield Rest(pause * rng.uniform(0.5, 1.0) if asked is None else asked)
        pause = min(LONGEST_REST, pause * 2)
        left -= 1


def performed(verb: Exchange[R], retries: int, rng: random.Random) -> Attempting[R]:
    """The whole of a verb as attempts and rests. What is raised for an answer is raised in the verb."""
    answer: Answer | None = None
    error: PgflowError | None = None
    while True:
        try:
            step = verb.send(answer) if error is None else verb.throw(error)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        answer = error = None
        if isinstance(step, Rest):
            yield step
            continue
        try:
            answer = yield from sent(step, retries, rng)
        except PgflowError as refused:
            error = refused


def _again(ask: Ask, answer: Answer | Lost) -> bool:
    if isinstance(answer, Lost):
        return answer.unsent or ask.safe
    if answer.status == 429:
        asked = _retry_after(answer)
        return asked is None or asked <= LONGEST_WAIT
    return answer.status in UNSETTLED and ask.safe


LONGEST_WAIT = 60.0
"""Seconds: who is told to come back later than that is not kept waiting, but told."""


def _retry_after(answer: Answer | Lost) -> float | None:
    text = "" if isinstance(answer, Lost) else answer.headers.get("retry-after", "")
    return min(float(text), LONGEST_WAIT + 1) if text.isascii() and text.isdecimal() else None
