"""Events as they are sent: in pages, in streams and over WebSockets they look the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from pgflow.api.models import Id, Instant, Model
from pgflow.engine.events import Cursor, Event, Filter

CHUNK = 32 * 1024
"""Bytes that are written at once, about."""
RENDERED = 4 * 1024 * 1024
"""Bytes of JSON that are kept of single events, for the next who wants them."""
PIECE = 100
"""Events of a batch that are rendered at once."""
PACKS = 64
"""Pieces that are kept."""
LARGE = 128 * 1024
"""Bytes of a piece that is not."""


class EventItem(Model):
    """Something that happened to a task."""

    cursor: str = Field(description="The place right behind it: give it as `after`, or as `Last-Event-ID`.")
    id: Id = Field(description="Ids do not tell the order; cursors do.")
    run: Id
    task: Id = Field(description="The run itself when the two are equal.")
    type: str = Field(description="What happened, such as `task.completed`.")
    at: Instant
    workflow: str = Field(description="The run's name.")
    name: str = Field(description="The task's name.")
    step: str | None = Field(description="The task's name within its parent.")
    key: str | None = Field(description="The step, the timer, the signal.")
    attempt: int | None
    worker: Id | None
    actor: str | None
    data: Any = Field(description="More about it, by type.")


def item(event: Event) -> EventItem:
    """The event as it is shown."""
    return EventItem.model_construct(
        cursor=str(event.cursor), id=event.id, run=event.root_id, task=event.task_id, type=event.type, at=event.at,
        workflow=event.workflow, name=event.name, step=event.step, key=event.key, attempt=event.attempt,
        worker=event.worker_id, actor=event.actor, data=event.data,
    )  # fmt: skip


class Pack(NamedTuple):
    """Some events that are written at once.

    Args:
        cursor: behind the last of them.
        frames: as a stream holds them.
        array: as the inside of a JSON array.
    """

    cursor: Cursor
    frames: bytes
    array: bytes


class Packer:
    """Renders batches of events, each once for all who get the same: those who watch with the same filter do."""

    def __init__(self) -> None:
        self._rendered: OrderedDict[int, bytes] = OrderedDict()
        self._size = 0
        self._packed: OrderedDict[tuple[Filter, Cursor, Cursor, int], list[Pack]] = OrderedDict()

    def pack(self, wanted: Filter, batch: Sequence[Event]) -> Iterator[Pack]:
        """What fits of a batch, in packs of about `CHUNK` bytes at most, each made when it is asked for."""
        for begin in range(0, len(batch), PIECE):
            yield from self._piece(wanted, batch[begin : begin + PIECE])

    def _piece(self, wanted: Filter, batch: Sequence[Event]) -> list[Pack]:
        # Two pieces of one filter that begin and end alike are the same: there is no gap in either.
        key = (wanted, batch[0].cursor, batch[-1].cursor, len(batch))
        found = self._packed.get(key)
        if found is None:
            found = list(self._packs([event for event in batch if wanted.fits(event)]))
            if sum(len(pack.frames) for pack in found) < LARGE:
                self._packed[key] = found
            if len(self._packed) > PACKS:
                self._packed.popitem(last=False)
        return found

    def _packs(self, events: Sequence[Event]) -> Iterator[Pack]:
        frames: list[bytes] = []
        items: list[bytes] = []
        size = 0
        for number, event in enumerate(events, 1):
            text = self._of(event)
            items.append(text)
            frames.append(b"id: %s\ndata: %s\n\n" % (str(event.cursor).encode(), text))
            size += len(text)
            if size >= CHUNK or number == len(events):
                yield Pack(event.cursor, b"".join(frames), b",".join(items))
                frames, items, size = [], [], 0

    def _of(self, event: Event) -> bytes:
        found = self._rendered.get(event.id)
        if found is None:
            found = self._rendered[event.id] = item(event).model_dump_json().encode()
            self._size += len(found)
            while self._size > RENDERED:
                self._size -= len(self._rendered.popitem(last=False)[1])
        return found
