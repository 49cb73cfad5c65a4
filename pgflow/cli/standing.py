"""What keeps a run, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pgflow.cli import output
from pgflow.engine.runs import Standing
from pgflow.model import State

_SIGNAL = "$signal:"


def lines(things: Sequence[Standing], run_id: int, state: str) -> Iterator[str]:
    """A line for each thing, and for each line of a diff."""
    of = {what: [thing for thing in things if thing.what == what] for what in ("paused", "parked", "timer", "child")}
    for thing in of["paused"]:
        by = f" by {thing.actor}" if thing.actor else ""
        yield f"the run is paused{by} since {output.cell('', thing.at)}: `pgflow run resume {run_id}`"
    for thing in of["parked"]:
        if thing.state == State.NEEDS_ATTENTION:
            yield from _attention(thing, run_id)
    if state not in {State.WAITING, State.SLEEPING}:
        return
    timers = [thing for thing in of["timer"] if thing.step]
    signals = [thing for thing in timers if str(thing.step).startswith(_SIGNAL)]
    children = of["child"]
    for thing in signals:
        name = str(thing.step).removeprefix(_SIGNAL).partition("#")[0]
        yield f"waits for signal {name} until {output.cell('', thing.at)}: `pgflow run signal {run_id} {name}`"
    for thing in timers:
        if thing not in signals:
            yield f"sleeps ({str(thing.step).removeprefix('$')}) until {output.cell('', thing.at)}"
    if children:
        total = children[0].number or 0
        named = ", ".join(f"{child.task_id} {child.step} ({child.state or 'moving'})" for child in children[:5])
        yield f"waits for {total} child{'' if total == 1 else 'ren'}: {named}{', ...' if total > 5 else ''}"
    if state == State.WAITING and not (timers or children):
        yield f"waits for a signal without time-out: `pgflow run replay {run_id}` tells which"


def _attention(thing: Standing, run_id: int) -> Iterator[str]:
    detail: dict[str, Any] = thing.detail or {}
    what = "it" if thing.task_id == run_id else f"task {thing.task_id} ({thing.name}, {thing.step})"
    message = str(detail.get("message")).partition("\n")[0]
    yield f"{what} needs attention since {output.cell('', thing.at)}: {detail.get('type')}: {message}"
    for line in detail.get("diff") or ():
        yield f"    {line}"
    yield f"mend the code, then `pgflow run resume {thing.task_id}`; or `pgflow run cancel {run_id}`"
