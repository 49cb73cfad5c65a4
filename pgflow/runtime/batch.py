"""What goes into one group commit: writes of several kinds, as the calls that carry them, and the answers taken apart.

Within a batch, what running workflows record comes before the leases that end, because a settlement takes away the
lease that the records are fenced by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from pgflow.db.call import Call
from pgflow.engine import children, facts, leases
from pgflow.engine.children import Child
from pgflow.engine.facts import Fact, Progress, Recorded, Try
from pgflow.model import EventType, Parking, Settlement
from pgflow.sdk.journal import Entry

Ending = Settlement | Parking


@dataclass(slots=True, eq=False)
class Write:
    """An entry of a journal on its way, and who waits for it. The answer is None when the lease was lost."""

    entry: Entry
    answered: asyncio.Future[Any]


Item = Ending | Write


class Batch:
    """Some items, sorted by the statement that carries them."""

    def __init__(self, items: Iterable[Item], worker_id: int) -> None:
        self._facts: list[Write] = []
        self._finished: list[Fact] = []
        self._tries: list[Write] = []
        self._children: list[Write] = []
        self._progress: dict[int, Write] = {}
        self.settlements: list[Settlement] = []
        self.parkings: list[Parking] = []
        self._superseded: list[Write] = []
        for item in items:
            self._sort(item)
        self.calls = self._calls(worker_id)

    def _sort(self, item: Item) -> None:
        if isinstance(item, Settlement):
            self.settlements.append(item)
            if item.generation is not None:
                self._finished.append(_finished(item, item.generation))
        elif isinstance(item, Parking):
            self.parkings.append(item)
        elif isinstance(item.entry, Fact):
            self._facts.append(item)
        elif isinstance(item.entry, Child):
            self._children.append(item)
        elif isinstance(item.entry, Try):
            self._tries.append(item)
        else:
            earlier = self._progress.pop(item.entry.task_id, None)
            if earlier is not None:
                item.entry = _merged(earlier.entry, item.entry)  # type: ignore[arg-type]
                self._superseded.append(earlier)
            self._progress[item.entry.task_id] = item

    def _calls(self, worker_id: int) -> list[Call[Any]]:
        calls: list[Call[Any]] = []
        if self._facts or self._finished:
            recorded = [write.entry for write in self._facts]
            calls.append(facts.record([*recorded, *self._finished], worker_id))  # type: ignore[list-item]
        if self._tries:
            calls.append(facts.note_tries([write.entry for write in self._tries], worker_id))  # type: ignore[misc]
        if self._children:
            calls.append(children.spawn([write.entry for write in self._children], worker_id))  # type: ignore[misc]
        if self._progress:
            calls.append(facts.tell_progress([w.entry for w in self._progress.values()], worker_id))  # type: ignore[misc]
        if self.settlements:
            calls.append(leases.settle(self.settlements, worker_id))
        if self.parkings:
            calls.append(leases.park(self.parkings, worker_id))
        return calls

    def answer(self, results: list[Any]) -> list[int]:
        """Hand out the answers. Returns the tasks whose leases were to end and were lost."""
        left = iter(results)
        lost: list[int] = []
        if self._facts or self._finished:
            recorded = next(left)
            for write in self._facts:
                fact = write.entry
                assert isinstance(fact, Fact)
                _tell(write, recorded.get((fact.task_id, fact.type, fact.key)))
        if self._tries:
            noted = next(left)
            for write in self._tries:
                entry = write.entry
                assert isinstance(entry, Try)
                _tell(write, True if (entry.task_id, entry.type, entry.key) in noted else None)
        if self._children:
            spawned = next(left)
            for write in self._children:
                child = write.entry
                assert isinstance(child, Child)
                _tell(write, spawned.get((child.parent_id, child.step)))
        if self._progress:
            next(left)
            for write in (*self._progress.values(), *self._superseded):
                _tell(write, True)
        if self.settlements:
            settled = next(left)
            if settled is not None:
                lost += [s.task_id for s in self.settlements if s.task_id not in settled]
        if self.parkings:
            parked = next(left)
            lost += [p.task_id for p in self.parkings if p.task_id not in parked]
        return lost


def _finished(settlement: Settlement, generation: int) -> Fact:
    """That a workflow has ended: in the commit that ends its lease, or one that died in between would tell it twice."""
    data = orjson.dumps({"state": settlement.state})
    return Fact(settlement.task_id, settlement.epoch, EventType.WORKFLOW_FINISHED, str(generation), data)


def lease_of(item: Item) -> tuple[int, int]:
    """Whose it is: (task_id, epoch)."""
    if not isinstance(item, Write):
        return item.task_id, item.epoch
    entry = item.entry
    return (entry.parent_id if isinstance(entry, Child) else entry.task_id), entry.epoch


def bytes_of(item: Item) -> int:
    """About how much of a statement it takes."""
    match item:
        case Settlement():
            return len(item.output) + len(item.error)
        case Parking():
            return len(item.detail)
        case Write(entry=Fact() as fact):
            return len(fact.data)
        case Write(entry=Child() as child):
            return len(child.request.input)
        case _:
            return 1000


def _merged(earlier: Progress, later: Progress) -> Progress:
    return later._replace(
        state=earlier.state if later.state == b"null" else later.state,
        fraction=earlier.fraction if later.fraction is None else later.fraction,
        note=later.note or earlier.note,
    )


def _tell(write: Write, answer: Recorded | int | bool | None) -> None:
    if not write.answered.done():
        write.answered.set_result(answer)
