"""CPU time of process trees and the server's WAL, from /proc and from the database.

`schedstat` counts nanoseconds where `stat` counts ticks of 10 ms, so an idle worker's microseconds show. A process that
ended is in its parent's `cutime` once the parent has waited for it; the server's postmaster waits for every backend, so
the server's total never loses one. Where /proc is not there, or the server is another machine's, there are no figures.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

_PROC = Path("/proc")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


def of_process(pid: int) -> float:
    """Seconds of CPU that this process has used; 0 when it is gone."""
    total = 0
    with suppress(OSError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            with suppress(OSError, IndexError):
                total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def of_ended_children(pid: int) -> float:
    """Seconds of CPU of the children that this process has waited for."""
    with suppress(OSError):
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) * _TICK
    return 0.0


def children(pid: int) -> list[int]:
    """The process ids of its living children."""
    with suppress(OSError):
        tasks = (_PROC / str(pid) / "task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return []


def of_tree(pid: int) -> float:
    """Seconds of CPU of a process, its living descendants and those that have ended and were waited for."""
    return of_process(pid) + of_ended_children(pid) + sum(of_tree(child) for child in children(pid))


def postmaster_of(connection: psycopg.Connection[Any]) -> int | None:
    """The server's first process, when it runs on this machine; else None."""
    title = f"/proc/{connection.info.backend_pid}/"
    with suppress(OSError):
        if "postgres" in Path(title, "comm").read_text():
            return int(Path(title, "stat").read_text().rpartition(")")[2].split()[1])
    return None


class Meter:
    """What a stretch of work cost: the worker's CPU, the server's CPU, and WAL.

    The server's share leaves out the backends of the measuring process itself.

    Args:
        connection: to the server, of the measuring process.
        workers: the process ids whose trees are the worker's.
        apart: backends that belong to the measuring side as well.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], workers: list[int], apart: tuple[int, ...] = ()
    ) -> None:  # fmt: skip
        self._connection = connection
        self._workers = workers
        self._postmaster = postmaster_of(connection)
        self._apart = (connection.info.backend_pid, *apart)
        self._begun = self._read()

    def _read(self) -> tuple[float, float, int]:
        row = self._connection.execute("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
        assert row is not None
        worker = sum(of_tree(pid) for pid in self._workers)
        server = 0.0
        if self._postmaster is not None:
            server = of_tree(self._postmaster) - sum(of_process(pid) for pid in self._apart)
        return worker, server, int(row[0])

    def spent(self, workers: list[int] | None = None) -> Spent:
        """What was spent since this meter was made."""
        if workers is not None:
            self._workers = workers
        worker, server, wal = self._read()
        return Spent(worker - self._begun[0], server - self._begun[1], wal - self._begun[2])


class Spent:
    """Seconds of CPU and bytes of WAL."""

    def __init__(self, worker: float, postgres: float, wal: int) -> None:
        self.worker = worker
        self.postgres = postgres
        self.wal = wal

    def per(self, tasks: int) -> tuple[dict[str, float], float]:
        """Microseconds by side, and bytes of WAL, a task."""
        tasks = max(tasks, 1)
        cpu = {"worker": round(self.worker / tasks * 1e6, 2), "postgres": round(self.postgres / tasks * 1e6, 2)}
        return cpu, round(self.wal / tasks, 1)
