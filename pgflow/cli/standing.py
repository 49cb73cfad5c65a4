"""What keeps a run, in words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from pgflow.cli import output
from pgflow.engine.runs import Standing
from pgflow.model import State

_WHAT = ("paused", "parked", "timer", "event", "child")
_SIGNAL, _EVENT = "$signal:", "$event:"
_GENERATION = re.compile(r"^\d+/|^\w+/(?=\$)")
"""What a key begins with in a later generation, or within a node of a graph."""


def lines(things: Sequence[Standing], run_id: int, state: str) -> Iterator[str]:
    """A line for each thing, and for each line of a diff."""
    of = {what: [thing for thing in things if thing.what == what] for what in _WHAT}
    for thing in of["paused"]:
        by = f" by {thing.actor}" if thing.actor else ""
        yield f"the run is paused{by} since {output.cell('', thing.at)}: `pgflow run resume {run_id}`"
    for thing in of["parked"]:
        if thing.state == State.NEEDS_ATTENTION:
            yield from _attention(thing, run_id)
    if state not in {State.WAITING, State.SLEEPING}:
        return
    timers = {_GENERATION.sub("", thing.step): thing for thing in of["timer"] if thing.step}
    events, children = of["event"], of["child"]
    for key, thing in timers.items():
        if key.startswith(_SIGNAL):
            name = key.removeprefix(_SIGNAL).partition("#")[0]
            yield f"waits for signal {name} until {output.cell('', thing.at)}: `pgflow run signal {run_id} {name}`"
    for thing in events:
        yield _event(thing, timers.get(_GENERATION.sub("", thing.step or "")))
    for key, thing in timers.items():
        if not key.startswith((_SIGNAL, _EVENT)):
            yield f"sleeps ({key.removeprefix('$')}) until {output.cell('', thing.at)}"
    if children:
        total = children[0].number or 0
        named = ", ".join(f"{child.task_id} {child.step} ({child.state or 'moving'})" for child in children[:5])
        yield f"waits for {total} child{'' if total == 1 else 'ren'}: {named}{', ...' if total > 5 else ''}"
    if state == State.WAITING and not (timers or events or children):
        yield f"waits for a signal without time-out: `pgflow run replay {run_id}` tells which"


def _event(thing: Standing, timer: Standing | None) -> str:
    key, match = thing.state, (thing.detail or {}).get("match")
    words = [f" with the key {key}" if key is not None else "", f" for which {match} holds" if match else ""]
    until = f" until {output.cell('', timer.at)}" if timer is not None else ""
    option = f" --key {shlex.quote(key)}" if key is not None else ""
    return f"waits for event {thing.name}{''.join(words)}{until}: `pgflow event emit {thing.name} JSON{option}`"


def _attention(thing: Standing, run_id: int) -> Iterator[str]:
    detail: dict[str, Any] = thing.detail or {}
    what = "it" if thing.task_id == run_id else f"task {thing.task_id} ({thing.name}, {thing.step})"
    message = str(detail.get("message")).partition("\n")[0]
    yield f"{what} needs attention since {output.cell('', thing.at)}: {detail.get('type')}: {message}"
    for line in detail.get("diff") or ():
        yield f"    {line}"
    yield f"mend the code, then `pgflow run resume {thing.task_id}`; or `pgflow run cancel {run_id}`"
