"""The vault of a worker: what `pgflow.secret` asks.

It has to answer at once, in async code too. So a thread of its own reads the table, over a connection that is opened
when the first secret is asked for. Who asks waits for the thread only when the answer is not known or too old; one that
is getting old is handed out while the thread looks again. When the database does not answer, the old one is handed out,
and the thread is left alone for a while.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic as clock
from typing import Any

import psycopg

from pgflow import logs
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import Session
from pgflow.engine import secrets
from pgflow.errors import DatabaseUnavailable, PgflowError
from pgflow.sdk.secret import FRESH, Shelf, given, leave

EARLY = 15.0
"""Seconds after which a secret is looked at again while it is still good."""
PATIENCE = 3.0
"""Seconds that code waits for the table at most."""
REST = 5.0
"""Seconds that nobody asks a database which did not answer."""


class WorkerVault:
    """Secrets for the handlers of one worker: answers at once, from threads and event loops alike.

    Args:
        settings: the settings in force.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shelf = Shelf(settings)
        self._lock = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._reading: Future[None] | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._failed_at = -REST
        self._closed = False

    def secret(self, name: str) -> str:
        """The secret in clear; see `secret`."""
        value = given(name)
        if value is not None:
            return value
        held = self._shelf.held.get(name)
        if held is not None and held.good(EARLY):
            return held.give()
        if held is not None and held.good(FRESH):
            self._read([])
            return held.give()
        try:
            self._wait_for(name)
        except DatabaseUnavailable:
            if held is None or held.problem is not None:
                raise
            return held.give()
        return self._shelf.held[name].give()

    def _wait_for(self, name: str) -> None:
        if clock() - self._failed_at < REST:
            raise DatabaseUnavailable(f"the secret {name} cannot be read: the database did not answer just now")
        try:
            self._read([name]).result(PATIENCE)
        except TimeoutError:
            self._failed(f"no answer within {PATIENCE:g} s")
            raise DatabaseUnavailable(f"the secret {name} could not be read within {PATIENCE:g} s") from None

    def _read(self, more: Sequence[str]) -> Future[None]:
        """Have the table read again: for all that was ever asked for, and for more."""
        with self._lock:
            if self._closed:
                raise PgflowError("this worker has ended; it reads no secrets any more")
            if not more and self._reading is not None and not self._reading.done():
                return self._reading
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="pgflow-secrets")
            self._reading = self._thread.submit(self._look, more)
            return self._reading

    def _look(self, more: Sequence[str]) -> None:
        held = self._shelf.held
        if more and all(name in held and held[name].good(EARLY) for name in more):
            return  # somebody else asked for the same just before
        names = list({*held, *more})
        try:
            if self._connection is None or self._connection.closed:
                self._connection = connect.open_sync(self._settings, "secrets", statement_timeout="2s")
            found = Session(self._connection, self._settings.schema_name).run(secrets.read(names))
        except DatabaseUnavailable as error:
            self._failed(error.message)
            self._drop()
            raise
        self._shelf.put(names, found)

    def _failed(self, why: str) -> None:
        self._failed_at = clock()
        logs.tell(logging.WARNING, "secrets cannot be read; those that were read before are used", error=why)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close the connection, once the thread has done what it is at. Does not wait for that."""
        leave(self)
        with self._lock:
            self._closed = True
            if self._thread is not None:
                self._thread.submit(self._drop)
                self._thread.shutdown(wait=False)
