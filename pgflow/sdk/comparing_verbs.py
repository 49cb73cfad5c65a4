"""The client's verb that compares two runs, once for both colours, like `pgflow.sdk.verbs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from pgflow.engine import definitions, runs
from pgflow.graph.differences import Change, Differences, differences
from pgflow.graph.document import Definition
from pgflow.model import State
from pgflow.sdk import comparing
from pgflow.sdk.comparing import MOST_BYTES, MOST_KEYS, Compared, Comparison
from pgflow.sdk.graph_state import NodeState, nodes_of, version_told
from pgflow.sdk.graph_verbs import definition
from pgflow.sdk.verbs import Handle, Steps, find, show


class _Looked:
    """What is known of one of the runs."""

    def __init__(self, at: tuple[int, int], row: Mapping[str, Any]) -> None:
        self.at, self.row = at, row
        self.version: int | None = None
        self.definition: Definition | None = None
        self.nodes: dict[str, NodeState] = {}

    def compared(self) -> Compared:
        row = self.row
        ended = row["finished_at"]
        seconds = None if ended is None else (ended - row["created_at"]).total_seconds()
        return Compared(
            self.at[1], row["name"], row["state"], self.version, row["attempt"], seconds, comparing.brief(row["error"])
        )


def compare(old: int | Handle[Any], new: int | Handle[Any]) -> Steps[Comparison]:
    """What differs between them."""
    one, other = (yield from _look(old)), (yield from _look(new))
    found, count = yield runs.compare(one.at, other.at, limit=MOST_KEYS, size=MOST_BYTES)
    if one.definition is None or other.definition is None:
        told, parts = None, comparing.steps(found)
    else:
        told = _versions(one.definition, other.definition)
        parts = comparing.nodes(one.nodes, other.nodes, found)
    return Comparison(
        one.compared(), other.compared(), told, _values(one.row["input"], other.row["input"], "input"),
        _values(one.row["output"], other.row["output"], "output"), parts, count - len(found),
    )  # fmt: skip


def _look(run: int | Handle[Any]) -> Steps[_Looked]:
    (found,) = yield from find([run if isinstance(run, int) else run.id])
    looked = _Looked((found.root_id, found.task_id), (yield from show(found.task_id)))
    name = looked.row["name"]
    latest: definitions.Latest | None = yield definitions.latest(name)
    if latest is not None and latest.kind == "graph":
        rows: list[runs.Told] = yield runs.graph(*looked.at)
        looked.version = version_told(rows)
        looked.definition, _ = yield from definition(name, looked.version)
        looked.nodes = nodes_of(looked.definition, rows, State(looked.row["state"]).final)
    return looked


def _versions(old: Definition, new: Definition) -> Differences | None:
    return differences(old, new) or None


def _values(old: Any, new: Any, path: str) -> list[Change]:
    if old == new:
        return []
    if len(orjson.dumps([old, new])) > MOST_BYTES:
        return [Change(path, *(f"{len(orjson.dumps(one)):,} bytes" for one in (old, new)))]
    return comparing.changes(old, new, path)[0]
