"""What programs for the conductor are made of here."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.sql import SQL

from pgflow.db.statements import statement
from pgflow.engine import children, leases
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.model import Claimed, Lane, Settlement, State
from pgflow.testing.interleaving import Stage

TABLES = ("ready", "lease", "delayed", "inbox", "parked", "throttled", "cancellation", "task", "outcome", "event")


class Sweeper:
    """Empties the tables after an order; now and then of dead rows, too, so that the thousandth is as fast.

    Args:
        tables: others than the engine's.
    """

    def __init__(self, *tables: str) -> None:
        self._tables = [*(f"pgflow.{table}" for table in TABLES), *tables]
        self._orders = 0

    def __call__(self, connection: psycopg.Connection[Any]) -> None:
        deletes = "".join(f"delete from {table};" for table in self._tables)
        connection.execute(
            SQL("set session_replication_role = replica;" + deletes + "set session_replication_role = origin"),
            prepare=False,
        )
        self._orders += 1
        if self._orders % 200 == 0:
            connection.execute(SQL("vacuum " + ",".join(self._tables)))


def claim(limit: int = 100, *, queue: str = "default", worker: int = 1) -> Any:
    return leases.claim([Lane(queue, 2)], [0], limit, worker)


def run_of(stage: Stage, *, name: str = "parent", worker: int = 1) -> Claimed:
    """A run that a worker has claimed."""
    stage.run(enqueue([Request(Spec(name, f"queue of {name}"), b"{}")]))
    (claimed,) = stage.run(claim(queue=f"queue of {name}", worker=worker))
    return claimed  # type: ignore[no-any-return]


def children_of(
    stage: Stage, parent: Claimed, count: int, *, worker: int = 1, parents_worker: int = 1, name: str = "child"
) -> list[Claimed]:
    """Children of a task, which a worker has claimed."""
    asked = Request(Spec(name, f"queue of {name}"), b"{}")
    asked_for = [children.Child(parent.task_id, parent.epoch, f"{name} {i}", asked) for i in range(count)]
    stage.run(children.spawn(asked_for, parents_worker))
    found = stage.run(claim(count, queue=f"queue of {name}", worker=worker))
    assert len(found) == count
    return found  # type: ignore[no-any-return]


def completed(*claimed: Claimed, worker: int = 1) -> Any:
    return leases.settle([Settlement(c.task_id, c.epoch, State.COMPLETED) for c in claimed], worker)


def waiting(claimed: Claimed, needed: int, delay: float | None = None, worker: int = 1) -> Any:
    settlement = Settlement(claimed.task_id, claimed.epoch, State.WAITING, needed=needed, delay=delay)
    return leases.settle([settlement], worker)


def nothing_is_misplaced(stage: Stage) -> None:
    """What the audit finds, but for the workers that nobody registered here."""
    # The tables are tiny and it reads them all: with the engine's planner settings it would take twenty times as long.
    stage.query("select set_config('enable_seqscan', 'on', false)")
    found = stage.query(statement("audit/misplaced_tasks"))
    stage.query("select set_config('enable_seqscan', 'off', false)")
    found = [row for row in found if row[0] != "leased to an unknown worker"]
    assert not found, f"misplaced: {found}"
