"""Many who write events at once, in transactions that overlap."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import psycopg

from pgflow.config import Settings
from pgflow.db import connect

EVENT = """insert into pgflow.event (root_id, task_id, type, at) select %(root)s, %(root)s, 'task.started', now()
             from generate_series(1, %(count)s) returning id"""
WRITERS = 20


def write(connection: psycopg.Connection[Any], root: int, count: int = 1) -> list[int]:
    """Events of this run; returns their ids."""
    return [id for (id,) in connection.execute(EVENT, {"root": root, "count": count}).fetchall()]


class Crowd:
    """Connections that write events in transactions which last for random times and partly roll back.

    Args:
        settings: where.
        root: a run, of which the events are.
        seconds: how long they write.
        writers: how many there are.
        least: events that are committed, however long that takes.
    """

    def __init__(
        self, settings: Settings, root: int, seconds: float, writers: int = WRITERS, *, least: int = 0
    ) -> None:
        self.committed: set[int] = set()
        self._settings, self._root = settings, root
        self._end, self._least = time.monotonic() + seconds, least
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(writers)]
        for thread in self._threads:
            thread.start()

    @property
    def writing(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Wait for their end."""
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        chance = random.Random(number)
        with connect.open_sync(self._settings, "writer") as connection:
            while time.monotonic() < self._end or len(self.committed) < self._least:
                lost = chance.random() < 0.25
                with connection.transaction(force_rollback=lost):
                    ids: list[int] = []
                    for _ in range(chance.randint(1, 3)):
                        ids += write(connection, self._root, chance.randint(1, 5))
                        time.sleep(chance.random() ** 3 * 0.05)
                if not lost:
                    with self._lock:
                        self.committed.update(ids)
