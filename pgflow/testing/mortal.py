"""An executor inside a test's own process: driven by the test, and able to die in the middle of a commit."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from pgflow import __version__
from pgflow.config import Settings
from pgflow.db.failures import is_conflict
from pgflow.db.link import Link
from pgflow.engine import workers
from pgflow.engine.children import Child
from pgflow.engine.facts import Fact
from pgflow.runtime.batch import Item, Write
from pgflow.runtime.executor import Executor
from pgflow.runtime.journal import LeaseGone
from pgflow.sdk.task import Task

Items = Sequence[Item | Fact]
Watch = Callable[["Mortal", str, Items], None]
"""Told of each commit: who, `before` or `after`, what it carries. May call `die`."""


class Died(LeaseGone):
    """Ends what an executor is doing at the instant of its death: nothing more is written, as when a lease is gone."""


class Mortal(Executor):
    """An executor that claims nothing by itself.

    Args:
        settings: the settings in force.
        tasks: what it has code for.
        concurrency: how many handlers at once.
        changed: called when a handler has ended or something was committed.
        watch: told of each commit.
    """

    def __init__(
        self, settings: Settings, tasks: Mapping[str, Task[..., Any]], concurrency: int, changed: Callable[[], None],
        watch: Watch,
    ) -> None:  # fmt: skip
        super().__init__(settings, tasks, {}, concurrency)
        self._changed, self._watch = changed, watch
        self._loop = asyncio.get_running_loop()
        self._pump: asyncio.Task[None] | None = None
        self.failure: BaseException | None = None
        self.dead = False
        self.full = False
        """Whether there may be more to claim than it had room for."""
        self.blamed: list[int] = []
        self.unsent: list[Item] = []
        """What a commit carried that its death prevented."""
        self.settler.before_commit = lambda items: self._watch(self, "before", items)
        self.settler.after_commit = self._committed

    def _on_room(self) -> None:
        if self.full or not self.runner.in_hand:
            self._changed()

    def _committed(self, items: Items) -> None:
        self._watch(self, "after", items)
        if any(_makes_ready(item) for item in items):
            self._changed()

    async def succeed(self) -> None:
        """Make itself known, in place of a dead one that had the same definitions."""
        await self.settler.link.run(
            workers.register(
                self.worker_id, host=socket.gethostname(), pid=os.getpid(), version=__version__,
                queues=self.lanes.queues, tasks=sorted(self._tasks), concurrency=self.runner.concurrency,
                lease=self.settings.lease,
            )
        )  # fmt: skip

    @property
    def busy(self) -> bool:
        """Whether it has anything in hand."""
        return not self.dead and (self.runner.in_hand > 0 or self.settler.backlog > 0)

    @property
    def waiting(self) -> list[Item]:
        """What is to be written in a later commit."""
        return list(self.settler._waiting)

    def go_on(self) -> None:
        """Let what it has in hand be written, until `pause`."""
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._write(), name="pgflow-test-settler")

    async def _write(self) -> None:
        settler = self.settler
        try:
            while True:
                try:
                    rest = await settler.tick()
                except psycopg.Error as error:
                    if not is_conflict(error):
                        raise
                    rest = 0.0
                await settler.rest(rest)
        except Died:
            self._changed()
        except Exception as error:  # noqa: BLE001 (the test is told)
            self.failure = error
            self._changed()

    async def pause(self) -> None:
        """Stop writing; when nothing is in hand, nothing is lost by it."""
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    def die(self, items: Items = (), *, sent: bool) -> Died:
        """From now on nothing that it wants written is. Returns what is to be raised where it stands.

        Args:
            items: what the commit carries in which it dies.
            sent: whether that has reached the database.
        """
        self.dead = True
        self.blamed = list(self.runner.running)
        if not sent:
            self.unsent = [item for item in items if not isinstance(item, Fact)]
        setattr(self.settler, "put", _lost)  # noqa: B010 (a method, which mypy would rather not see assigned)
        self._loop.call_soon_threadsafe(self._let_go)
        return Died()

    def _let_go(self) -> None:
        for item in (*self.settler._batch, *self.settler._waiting):
            _lost(item)
        self._changed()

    @property
    def links(self) -> list[Link]:
        """Its connections, but for those of `ctx.tx`."""
        return [self.settler.link, self.workflows._link]

    async def vanish(self, heir: Mortal | None) -> None:
        """After its death: end what still runs here.

        Args:
            heir: who takes over its connections, whose sessions have planned every statement already; without one they
                are dropped without a word.
        """
        await self.pause()
        if heir is None:
            for link in self.links:
                _hang_up(link)
        await self.runner.drain(0.0)
        if heir is not None:
            for old, new in zip(self.links, heir.links, strict=True):
                _hand_over(old, new)
            heir.workflows._pools, self.workflows._pools = self.workflows._pools, heir.workflows._pools
        await self._close()

    async def close(self) -> None:
        """The orderly end."""
        self.go_on()
        await self.runner.drain(0.0)
        if not self.dead and self.failure is None:
            await self.settler.drained()
        await self.pause()
        await self._close()

    async def _close(self) -> None:
        await self.workflows.close()
        await self._own.close()
        await self.settler.link.close()


def _makes_ready(item: Item | Fact) -> bool:
    return not isinstance(item, Fact) and not (isinstance(item, Write) and not isinstance(item.entry, Child))


def _lost(item: Item) -> None:
    if isinstance(item, Write) and not item.answered.done():
        item.answered.set_result(None)


def drop(link: Link) -> None:
    """Drop a connection without its loop."""
    connection, link._connection = link._connection, None
    if connection is not None:
        connection.pgconn.finish()


def _hang_up(link: Link) -> None:
    descriptor = link.descriptor()
    if descriptor is not None:
        with socket.socket(fileno=os.dup(descriptor)) as line:
            line.shutdown(socket.SHUT_RDWR)


def _hand_over(old: Link, new: Link) -> None:
    connection = old._connection
    if connection is not None and connection.pgconn.transaction_status == TransactionStatus.IDLE:
        new._connection, old._connection = connection, None
