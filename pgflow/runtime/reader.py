"""Readers: what is asked for while a statement is under way goes into the next one, all in one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from pgflow.db.call import Call
from pgflow.db.failures import is_passing
from pgflow.db.link import Link
from pgflow.db.patience import Patience

MAX_ASKED = 200


class Asked(Protocol):
    """What one asks for: something about a task."""

    @property
    def task_id(self) -> int: ...


A = TypeVar("A", bound=Asked)
R = TypeVar("R")


class Reader(Generic[A, R]):
    """Answers questions about tasks in batches. Trouble with the database that will pass is waited out.

    Args:
        link: the connection.
        call: the statement that answers many.
        nothing: the answer about a task that the statement says nothing of.
    """

    def __init__(self, link: Link, call: Callable[[Sequence[A]], Call[dict[int, R]]], nothing: Callable[[], R]) -> None:
        self._link = link
        self._call = call
        self._nothing = nothing
        self._asked: list[tuple[A, asyncio.Future[R]]] = []
        self._reading: asyncio.Task[None] | None = None
        self._patience = Patience("reader")

    async def read(self, asked: A) -> R:
        """The answer."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, future))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="pgflow-reader")
        return await future

    async def _read(self) -> None:
        while self._asked:
            batch, self._asked = self._asked[:MAX_ASKED], self._asked[MAX_ASKED:]
            try:
                found = await self._link.run(self._call([asked for asked, _ in batch]))
            except Exception as error:  # noqa: BLE001 (it is handed to whoever asked)
                if is_passing(error):
                    self._asked = batch + self._asked
                    await asyncio.sleep(self._patience.rest(error))
                    continue
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            self._patience.over()
            for asked, future in batch:
                if not future.done():
                    future.set_result(found.get(asked.task_id) or self._nothing())

    def stop(self) -> None:
        """Ask no more."""
        if self._reading is not None:
            self._reading.cancel()
