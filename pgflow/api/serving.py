"""A process of the API: gunicorn's asgi worker, with a beginning that can be broken off and an end that is quick.

What gunicorn does not do by itself, and what would be waited for at SIGTERM:

* who holds an answer open is told (`pgflow.api.draining`); else a stream would last until the graceful time is over;
* a connection that rests between two requests is closed, instead of being waited for; one on which a request has begun
  to come has `BEGUN` to go on, and one whose request is under way is waited for, at most for the graceful time;
* when the last one has gone this is noticed at once;
* a process that is told to end before it serves anybody just ends. From the fork to its own handlers it has those of
  the process it was forked from, which would take the signal and do nothing; so signals are held back until then;
* when all is closed the process ends, without taking apart the interpreter, which takes longer than all of the above.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

from gunicorn.arbiter import Arbiter
from gunicorn.workers import gasgi

from pgflow.api.draining import draining
from pgflow.api.live.connection import Connection

BEGUN = 0.5
"""Seconds that the rest of a request's head may take at the end."""
ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


class PatientConnection(Connection):
    """A connection that is closed when nothing comes of it.

    Gunicorn gives a connection its time to rest between two requests, but waits for the first one for ever: who opens
    connections and sends a byte now and then would hold them all. And a process takes no more than it is told to.
    """

    def connection_made(self, transport: Any) -> None:
        """Somebody has connected."""
        self._came = False
        self.worker.open.add(self)
        super().connection_made(transport)
        if self.worker.nr_conns > self.worker.worker_connections:
            transport.abort()
        else:
            self._arm_keepalive_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        super().connection_lost(exc)
        self.worker.left(self)

    def data_received(self, data: bytes) -> None:
        """Something has come."""
        self._came = True
        super().data_received(data)

    def _arm_keepalive_timer(self) -> None:
        self._came = False
        super()._arm_keepalive_timer()

    def rest(self, *, begun: bool) -> None:
        """Close it if no request is under way; `begun`: also if the head of one has begun to come."""
        idle = self._awaiting_request and not self._request_ready.is_set() and not self._finishing_calls
        if idle and (begun or not self._came):
            self._keepalive_timeout()


class DrainingWorker(gasgi.ASGIWorker):  # type: ignore[misc]
    """A process of the API."""

    def init_process(self) -> None:
        """In the new process, until its end."""
        gasgi.ASGIProtocol = PatientConnection  # the worker has no other place to name it
        self.open: set[PatientConnection] = set()
        self._empty: asyncio.Future[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        super().init_process()
        leave(0)

    def init_signals(self) -> None:
        """While it is being made ready: whatever tells it to end, ends it."""
        for one in self.SIGNALS:
            signal.signal(one, signal.SIG_DFL)
        for one in (signal.SIGUSR1, signal.SIGWINCH):
            signal.signal(one, signal.SIG_IGN)

    async def _serve(self) -> None:
        super().init_signals()
        self._serving = asyncio.current_task()
        await super()._serve()

    def left(self, connection: PatientConnection) -> None:
        """A connection is over."""
        self.open.discard(connection)
        if not self.open and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def _hurry(self) -> None:
        """Look at once whether to end, which the base looks at each second: it takes this as the end of its wait."""
        serving, self._serving = self._serving, None
        if serving is not None and self.servers:
            serving.cancel()
        if self._quick_shutdown and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def handle_exit_signal(self) -> None:
        """At SIGTERM."""
        draining.start()
        super().handle_exit_signal()
        self._hurry()

    def handle_quit_signal(self) -> None:
        """At SIGINT and SIGQUIT."""
        draining.start()
        super().handle_quit_signal()
        self._hurry()

    async def _shutdown(self) -> None:
        for server in self.servers:
            server.close()
        if not self._quick_shutdown:
            await self._finish()
        if self.lifespan is not None and not self._quick_shutdown:
            try:
                await self.lifespan.shutdown()
            except Exception:
                self.log.exception("the application did not end in order")

    async def _finish(self) -> None:
        """Wait until what is under way has been answered."""
        self._empty = self.loop.create_future()
        for connection in list(self.open):
            connection.rest(begun=False)
        patience = self.loop.call_later(BEGUN, self._rest)
        if self.open:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.cfg.graceful_timeout):
                    await self._empty
        patience.cancel()
        if self.open:
            self.log.warning("%d connections are cut off", len(self.open))

    def _rest(self) -> None:
        for connection in list(self.open):
            connection.rest(begun=True)


class Master(Arbiter):  # type: ignore[misc]
    """Gunicorn's own, whose new processes take no signal with the handlers of this one."""

    def spawn_worker(self) -> Any:
        """Another process."""
        held = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)


def forked(_: Any, __: Any) -> None:
    """In the new process: signals are its own from now on."""
    for one in ENDING:
        signal.signal(one, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def leave(status: int) -> NoReturn:
    """End this process. Everything that has to be closed has been."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
