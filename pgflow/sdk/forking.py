"""What a new run takes over from an old one, and its input edited: pure.

A fork begins where the old run stood before it first asked for a step: with what was recorded before that, and no more.
What was recorded holds for the fork as it does for the old run: results, timers (their instants stay what they are),
signals that were taken. Signals that had come and were not taken are there to be taken. A child that had been spawned
before, and has its outcome now, is there with that outcome; any other child is spawned anew. Failed tries are made
anew, unless the step had failed for good. Nothing of what undid the old run is taken over.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pgflow.engine.workflows import HistoryRow
from pgflow.errors import ArgumentError, NotFound
from pgflow.model import EventType, State
from pgflow.sdk.history import History

_ASKED = {
    EventType.STEP_COMPLETED, EventType.STEP_RETRIED, EventType.STEP_FAILED, EventType.TIMER_CREATED, "child",
}  # fmt: skip
_GENERATION = re.compile(r"\d+/")
_SHOWN = 20


class Taken(NamedTuple):
    """What a fork takes over.

    Args:
        prefix: what keys of the old run's generation begin with.
        input: the arguments of that generation; None when they are the task's own.
        events: ids, in order.
        children: ids.
    """

    prefix: str = ""
    input: dict[str, Any] | None = None
    events: Sequence[int] = ()
    children: Sequence[int] = ()


def taken_over(rows: Sequence[HistoryRow], step: str) -> Taken:
    """What was recorded before this step was first asked for.

    Raises:
        NotFound: nothing is recorded under that name.
    """
    history = History(rows)
    keyed = [(row, _key(row, history.prefix)) for row in sorted(rows, key=_position) if row.type in _ASKED]
    recorded = [(row, key) for row, key in keyed if key is not None]
    cut = min((row for row, key in recorded if key == step), key=_position, default=None)
    if cut is None:
        known = list(dict.fromkeys(key for _, key in recorded if not key.startswith("$")))
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        has = f"it has recorded: {', '.join(known[:_SHOWN])}{more}" if known else "it has recorded no step yet"
        raise NotFound(f"nothing is recorded under {step!r}", hint=has)
    before = [(row, key) for row, key in recorded if _precedes(row, cut) and key != step]
    done = {key for row, key in before if row.type == EventType.STEP_COMPLETED}
    redriven = max((row.id for row in rows if row.type == EventType.TASK_REDRIVEN), default=0)
    events = [
        row
        for row, key in before
        if row.type in {EventType.STEP_COMPLETED, EventType.TIMER_CREATED}
        or (row.type == EventType.STEP_FAILED and key not in done and row.id > redriven)
        if not key.startswith("$compensate:")
    ]
    children = [row.id for row, _ in before if row.type == "child" and row.state in {State.COMPLETED, State.FAILED}]
    gone = _signals_of(events) | _signals_of(row for row, key in keyed if key is None)
    events += [
        row for row in rows if row.type == EventType.SIGNAL_RECEIVED and _precedes(row, cut) and row.id not in gone
    ]
    ordered = [row.id for row in sorted(events, key=_position)]
    return Taken(history.prefix, history.input, ordered, sorted(children))


def _key(row: HistoryRow, prefix: str) -> str | None:
    """The key within this generation; None in another."""
    key = row.key or ""
    if not key.startswith(prefix) or (not prefix and _GENERATION.match(key)):
        return None
    return key[len(prefix) :]


def _position(row: HistoryRow) -> Any:
    return row.at, row.id


def _precedes(row: HistoryRow, cut: HistoryRow) -> bool:
    if (row.type == "child") != (cut.type == "child"):
        return row.at < cut.at  # their ids are of different sequences
    return bool(_position(row) < _position(cut))


def _signals_of(rows: Any) -> set[int]:
    """The signals that these facts took."""
    return {
        row.data["signal"]
        for row in rows
        if row.type == EventType.STEP_COMPLETED and "$signal:" in (row.key or "") and row.data.get("signal")
    }


def edited(input: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with these changes, by path: `{"input.order.lines.0.price": 5}`.

    Raises:
        ArgumentError: a path leads nowhere.
    """
    result: dict[str, Any] = {"input": copy.deepcopy(dict(input))}
    for path, value in changes.items():
        *parents, last = path.split(".")
        if not parents or parents[0] != "input" or not all((*parents, last)):
            raise ArgumentError(f"{path!r} is no path into the input", hint="as in input.order.lines.0.price")
        at: Any = result
        for depth, part in enumerate(parents):
            at = _member(at, part, path, parents[:depth])
        if isinstance(at, list):
            _member(at, last, path, parents)
            at[int(last)] = value
        elif isinstance(at, dict):
            at[last] = value
        else:
            raise _nowhere(path, parents)
    return dict(result["input"])


def _member(at: Any, part: str, path: str, parents: Sequence[str]) -> Any:
    if isinstance(at, dict) and part in at:
        return at[part]
    if isinstance(at, list) and part.isdecimal() and int(part) < len(at):
        return at[int(part)]
    raise _nowhere(path, [*parents, part])


def _nowhere(path: str, parents: Sequence[str]) -> ArgumentError:
    return ArgumentError(f"there is no {path} to be set", hint=f"the input has nothing at {'.'.join(parents)}")
