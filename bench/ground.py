"""The ground a lane works on: a database to fill, to clear and to read the history of."""

from __future__ import annotations

import time
from typing import Any

from bench.apps import QUEUE
from pgflow.config import Settings
from pgflow.db import connect, partitions
from pgflow.db.call import Session
from pgflow.engine import enqueue

FILL = 1_000
NOOP = enqueue.Spec("bench.noop", QUEUE)
_HISTORY = "truncate pgflow.task, pgflow.outcome, pgflow.event"
_CLEAR = """truncate pgflow.ready, pgflow.lease, pgflow.delayed, pgflow.inbox, pgflow.task, pgflow.outcome,
                     pgflow.event, pgflow.idle, pgflow.cancellation, pgflow.worker, pgflow.lane"""


class Ground:
    """A database between rounds.

    Args:
        settings: where it is.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connection = connect.open_sync(settings, "bench")
        self.session = Session(self.connection, settings.schema_name, True)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def value(self, text: str, *params: Any) -> Any:
        """The first column of the first row of a query."""
        row = self.connection.execute(text.encode(), params or None).fetchone()
        return None if row is None else row[0]

    def clear(self) -> None:
        """Forget every task, and start from a checkpoint, so that every round pays for the same."""
        self.session.run(partitions.make())
        self.connection.execute(_CLEAR)
        self.connection.execute("checkpoint")

    def clear_history(self) -> None:
        """Forget what is done, while a worker goes on."""
        self.connection.execute(_HISTORY)

    def fill(self, tasks: int) -> float:
        """Enqueue that many no-op tasks, waking nobody. Returns the seconds it took."""
        started = time.perf_counter()
        whole = enqueue.enqueue([enqueue.Request(NOOP, b"{}")] * FILL, wake=False)
        for _ in range(tasks // FILL):
            self.session.run(whole)
        if rest := tasks % FILL:
            self.session.run(enqueue.enqueue([enqueue.Request(NOOP, b"{}")] * rest, wake=False))
        return time.perf_counter() - started

    def events(self) -> int:
        """How many event ids were ever given out: a progress counter that costs nothing to read."""
        return int(self.value("select case when is_called then last_value else 0 end from pgflow.event_id_seq"))

    def wait_for_events(self, number: int, timeout: float, every: float = 0.05) -> None:
        """Wait until that many event ids were given out and nothing is leased any more.

        Raises:
            TimeoutError: it took longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while self.events() < number or self.value("select exists (select from pgflow.lease)"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.events()} of {number} events after {timeout:g} s")
            time.sleep(every)

    def span(self) -> tuple[int, float]:
        """Tasks with an outcome, and the seconds from the first claim to the last outcome, on the database's clock."""
        row = self.connection.execute(
            """select count(*), extract(epoch from max(finished_at) -
                      (select min(at) from pgflow.event where type = 'task.started'))::float8 from pgflow.outcome"""
        ).fetchone()
        assert row is not None
        return int(row[0]), float(row[1])

    def check_history(self, tasks: int) -> None:
        """Every task has an outcome, a started and a completed event: a fast lie would show here.

        Raises:
            AssertionError: something is missing.
        """
        row = self.connection.execute(
            """select (select count(*) from pgflow.outcome where state = 'completed'),
                      count(*) filter (where type = 'task.started'),
                      count(*) filter (where type = 'task.completed') from pgflow.event"""
        ).fetchone()
        assert row == (tasks, tasks, tasks), f"expected {tasks} completed, started and completed events, found {row}"
