"""The floors of the workflow lanes: the same statements on one bare connection, with nothing around them.

No event loop, no code that is replayed, no runs that wait for their own commit: each statement follows the one before
as soon as that is committed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from bench import cpu
from bench.apps import QUEUE
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import Session
from pgflow.engine import children, enqueue, facts, leases, workflows
from pgflow.model import Claimed, EventType, Lane, Priority, Settlement, State

WORKER = 1
ROWS = 1_000
"""The most that the settler puts into one statement."""
CLAIM = 500
CHAIN = enqueue.Spec("bench.chain", QUEUE)
FAN = enqueue.Spec("bench.fan", QUEUE)
LEAF = enqueue.Spec("bench.leaf", QUEUE)
DATA = b'{"result":null,"started_at":"2030-01-01T12:00:00.123456+00:00","seconds":0.000012}'

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bare:
    """What a floor took.

    Args:
        seconds: that passed.
        cpu: of its backend, in seconds.
    """

    seconds: float
    cpu: float


@contextmanager
def _session(settings: Settings) -> Iterator[Session]:
    with connect.open_sync(settings, "bench-floor") as connection:
        yield Session(connection, settings.schema_name, True)


def _claim(session: Session, limit: int) -> list[Claimed]:
    return session.run(leases.claim([Lane(QUEUE, priority) for priority in Priority], [0] * 4, limit, WORKER))


def _settle(session: Session, claimed: Sequence[Claimed]) -> None:
    session.run(leases.settle([Settlement(c.task_id, c.epoch, State.COMPLETED) for c in claimed], WORKER))


def _parts(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(values), size):
        yield values[at : at + size]


def record(settings: Settings, runs: int, steps: int, in_flight: int, batch: int) -> Bare:
    """Record the steps of that many runs, so many runs beside each other, `batch` steps a statement."""
    took = used = 0.0
    with _session(settings) as session:
        backend = session.connection.info.backend_pid
        for part in _parts(range(runs), in_flight):
            session.run(enqueue.enqueue([enqueue.Request(CHAIN, b'{"steps":10}')] * len(part), wake=False))
            claimed = _claim(session, len(part))
            began, before = time.perf_counter(), cpu.of_process(backend)
            for step in range(steps):
                key = "nothing" if step == 0 else f"nothing#{step + 1}"
                for some in _parts(claimed, batch):
                    asked = [facts.Fact(c.task_id, c.epoch, EventType.STEP_COMPLETED, key, DATA) for c in some]
                    if len(session.run(facts.record(asked, WORKER))) != len(some):
                        raise AssertionError("a step was not recorded")
            took, used = took + time.perf_counter() - began, used + cpu.of_process(backend) - before
            _settle(session, claimed)
    return Bare(took, used)


def tell(settings: Settings, nodes: int) -> Bare:
    """One run, of which it is told that each of so many nodes has begun and is complete."""
    with _session(settings) as session:
        backend = session.connection.info.backend_pid
        _tell(session, 10)  # so that each statement is planned
        began, before = time.perf_counter(), cpu.of_process(backend)
        _tell(session, nodes)
        return Bare(time.perf_counter() - began, cpu.of_process(backend) - before)


def _tell(session: Session, nodes: int) -> None:
    session.run(enqueue.enqueue([enqueue.Request(FAN, b"{}")], wake=False))
    (run,) = _claim(session, 1)
    session.run(workflows.history([(run.root_id, run.task_id)]))
    told = (EventType.NODE_STARTED, EventType.NODE_COMPLETED)
    asked = [facts.Fact(run.task_id, run.epoch, what, f"n{n}", b"{}") for n in range(nodes) for what in told]
    for part in _parts(asked, ROWS):
        if len(session.run(facts.record(part, WORKER))) == 0:
            raise AssertionError("nothing was told")
    _settle(session, [run])


def fan_out(settings: Settings, wanted: int) -> Bare:
    """One run spawns that many children; they are claimed and settled; the run goes on and ends."""
    with _session(settings) as session:
        backend = session.connection.info.backend_pid
        _fan_out(session, 10)  # so that each statement is planned
        began, before = time.perf_counter(), cpu.of_process(backend)
        _fan_out(session, wanted)
        return Bare(time.perf_counter() - began, cpu.of_process(backend) - before)


def _fan_out(session: Session, wanted: int) -> None:
    session.run(enqueue.enqueue([enqueue.Request(FAN, b'{"children":%d}' % wanted)], wake=False))
    (parent,) = _claim(session, 1)
    session.run(workflows.history([(parent.root_id, parent.task_id)]))
    for part in _parts(range(wanted), ROWS):
        asked = [
            children.Child(parent.task_id, parent.epoch, f"bench.leaf#{n}", enqueue.Request(LEAF, b'{"number":%d}' % n))
            for n in part
        ]
        session.run(children.spawn(asked, WORKER))
    session.run(leases.settle([Settlement(parent.task_id, parent.epoch, State.WAITING, needed=wanted)], WORKER))
    left = wanted
    while left > 0:
        claimed = _claim(session, CLAIM)
        _settle(session, claimed)
        left -= len(claimed)
    (parent,) = _claim(session, 1)
    session.run(workflows.history([(parent.root_id, parent.task_id)]))
    _settle(session, [parent])


def history(settings: Settings, root_id: int, times: int) -> float:
    """Seconds that reading the history of one run takes: the median."""
    call = workflows.history([(root_id, root_id)])
    took = []
    with _session(settings) as session:
        for _ in range(times):
            began = time.perf_counter()
            session.run(call)
            took.append(time.perf_counter() - began)
    return statistics.median(took)
