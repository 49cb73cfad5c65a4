"""The verbs around a worker's life: register, beat, close, idle, wake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from pgflow.db.call import Call, Rows
from pgflow.engine.arrays import documents, numbers
from pgflow.model import Lane

Floors = Mapping[str, list[int]]
"""For each queue the floor of each of the four priorities."""


def channel(schema: str, worker_id: int) -> str:
    """Where this worker listens."""
    return f"{schema}.worker.{worker_id}"


def control_channel(schema: str) -> str:
    """Where every heart listens, to beat at once when something was changed for its executors."""
    return f"{schema}.control"


def register(
    worker_id: int, *, host: str, pid: int, version: str, queues: Sequence[str], tasks: Sequence[str],
    concurrency: int, lease: float,
) -> Call[None]:  # fmt: skip
    """Make an executor known and give it its lease (seconds)."""
    params = {
        "id": worker_id, "host": host, "pid": pid, "version": version, "queues": list(queues), "tasks": list(tasks),
        "concurrency": concurrency, "lease": lease,
    }  # fmt: skip
    return Call("worker/register", params, lambda _: None)


@dataclass(frozen=True, slots=True)
class Pulse:
    """What an executor tells its heart, and the heart the database."""

    worker_id: int
    running: int
    floors: Floors


@dataclass(frozen=True, slots=True)
class Answer:
    """What the database answers to a beat.

    Args:
        renewed: the workers that still are; one that is missing was closed and must start over under a new id.
        cancelled: (worker, task, epoch) of leases that were cancelled.
        overdue: workers that hold a task past its deadline.
        paused: queues not to claim from.
        safe: for each lane the position that new workers and idle polls start at.
    """

    renewed: frozenset[int]
    cancelled: list[tuple[int, int, int]]
    overdue: frozenset[int]
    paused: frozenset[str]
    safe: dict[Lane, int]


def beat(pulses: Sequence[Pulse], lease: float) -> Call[Answer]:
    """Renew these workers' leases for `lease` more seconds."""
    params = {
        "ids": numbers(pulse.worker_id for pulse in pulses),
        "running": numbers(pulse.running for pulse in pulses),
        "floors": documents(orjson.dumps(pulse.floors) for pulse in pulses),
        "lease": lease,
    }

    def parse(rows: Rows) -> Answer:
        renewed, cancelled, overdue, paused, safe = rows[0]
        return Answer(
            frozenset(renewed),
            [(worker, task, epoch) for worker, task, epoch in cancelled],
            frozenset(overdue),
            frozenset(paused),
            {Lane(queue, priority): position for queue, priority, position in safe},
        )

    return Call("worker/beat", params, parse)


def close(worker_ids: Sequence[int], why: str) -> Call[list[int]]:
    """Bar these workers from ever renewing. Returns those that were open."""
    params = {"ids": numbers(worker_ids), "why": why}
    return Call("worker/close", params, lambda rows: [row[0] for row in rows])


def expire() -> Call[list[int]]:
    """Close the workers whose lease ran out. Returns every worker closed of late."""
    return Call("worker/expire", {}, lambda rows: [row[0] for row in rows])


def idle(queues: Sequence[str], channel: str, rest: float) -> Call[None]:
    """For `rest` seconds, ask to be woken on `channel` when something becomes ready in one of the queues."""
    params = {"queues": list(queues), "channel": channel, "rest": rest}
    return Call("worker/idle", params, lambda _: None)


def wake(queues: Sequence[str]) -> Call[None]:
    """Wake one idle worker of each queue."""
    return Call("worker/wake", {"queues": list(queues)}, lambda _: None)


def notify(channel: str) -> Call[None]:
    """Send an empty notification."""
    return Call("worker/notify", {"channel": channel}, lambda _: None)
