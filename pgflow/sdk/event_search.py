"""Searching for events through a client, in either colour.

Many workflows of a worker begin to wait in the same instant, or are woken by the same event. What they ask for while a
statement is under way goes into the next one, all in one. Plain workflows, each in a thread of its own, ask each by
itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pgflow.backoff import NO_RETRY
from pgflow.db.call import Call
from pgflow.engine import emissions
from pgflow.engine.emissions import Emission, Expected, Forgotten, Sought
from pgflow.errors import DatabaseUnavailable
from pgflow.sdk.event_verbs import Asked, Search, Wanted, Weigh, seek
from pgflow.sdk.step import Step

A = TypeVar("A")
R = TypeVar("R")

MOST = 200
"""Events that one statement may bring."""
TRIES, REST = 10, 1.0
"""How often, and after how many seconds, a search is begun again that lost its database."""


class Together(Generic[A, R]):
    """Answers many by one statement. All of them share its error.

    Args:
        client: an async client.
        call: the statement.
    """

    def __init__(self, client: Any, call: Callable[[Sequence[A]], Call[list[R]]]) -> None:
        self._client, self._call = client, call
        self._asked: list[tuple[A, asyncio.Future[R]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, asked: A) -> R:
        """The answer."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, future))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="pgflow-events")
        return await future

    async def _ask(self) -> None:
        while self._asked:
            room, count = MOST, 0
            while count < len(self._asked) and room > 0:
                room -= getattr(self._asked[count][0], "limit", 1)
                count += 1
            batch, self._asked = self._asked[:count], self._asked[count:]
            waiting = [(asked, future) for asked, future in batch if not future.done()]
            try:
                answers = await self._client._run(self._call([asked for asked, _ in waiting])) if waiting else []
            except BaseException as error:
                for _, future in waiting:
                    if not future.done():
                        future.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                continue
            for (_, future), answer in zip(waiting, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


class Searches:
    """The searches of one worker's async workflows."""

    def __init__(self, client: Any) -> None:
        self._expect = Together(client, emissions.expect)
        self._look = Together(client, emissions.look)
        self._forget = Together(client, emissions.forget)

    async def search(self, search: Search) -> Emission | None:
        """Do what the search asks for until it has its result."""
        answer: Any = None
        while True:
            try:
                asked = search.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            match asked:
                case Expected():
                    answer = await self._expect.ask(asked)
                case Sought():
                    answer = await self._look.ask(asked)
                case Forgotten():
                    await self._forget.ask(asked)
                case Weigh():
                    answer = await asyncio.to_thread(asked)


def searches_of(client: Any) -> Searches:
    """Those that go through this client."""
    kept: Searches | None = vars(client).get("_searches")
    if kept is None:
        kept = client._searches = Searches(client)
    return kept


def alone(asked: Asked) -> Call[list[Any]]:
    """The statement that answers just this."""
    match asked:
        case Expected():
            return emissions.expect([asked])
        case Sought():
            return emissions.look([asked])
        case Forgotten():
            return emissions.forget([asked])
        case Weigh():
            raise TypeError("that takes no statement")


def _search_here(client: Any, search: Search) -> Emission | None:
    answer: Any = None
    while True:
        try:
            asked = search.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        answer = asked() if isinstance(asked, Weigh) else client._run(alone(asked))[0]


def seeker(client: Callable[[], Any], is_async: bool) -> Step[[Wanted], Emission | None]:
    """What searches through a client of its workflow's colour. A search that loses its database is begun again."""

    async def seek_event(wanted: Wanted) -> Emission | None:
        searches = searches_of(client())
        for left in range(TRIES - 1, -1, -1):
            try:
                return await searches.search(seek(wanted))
            except DatabaseUnavailable:
                if not left:
                    raise
                await asyncio.sleep(REST)
        raise AssertionError

    def seek_event_here(wanted: Wanted) -> Emission | None:
        opened = client()
        for left in range(TRIES - 1, -1, -1):
            try:
                return _search_here(opened, seek(wanted))
            except DatabaseUnavailable:
                if not left:
                    raise
                time.sleep(REST)
        raise AssertionError

    return Step("event", seek_event if is_async else seek_event_here, None, is_async, NO_RETRY)
