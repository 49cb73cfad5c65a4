"""How far a run of a graph is, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import click

from pgflow.cli import output
from pgflow.errors import ArgumentError
from pgflow.sdk.client import Client
from pgflow.sdk.graph_state import GraphState, NodeState

MOST = 100
_COLUMNS = ("node", "type", "state", "took", "attempt", "task", "detail")
_AT_REST = {"completed", "skipped", "waiting"}


def of(client: Client, run_id: int) -> GraphState | None:
    """How far the run is, if it is one of a graph."""
    try:
        return client.graph(run_id)
    except ArgumentError:
        return None


def document(state: GraphState) -> dict[str, Any]:
    """What `pgflow run show --json` has of it."""
    return {"version": state.version, "nodes": state.to_json()["nodes"]}


def show(state: GraphState) -> None:
    """The nodes, those that are at rest left out when they are many."""
    counts = ", ".join(f"{count} {name}" for name, count in state.counts.items())
    version = "not begun" if state.version is None else f"version {state.version}"
    click.echo(f"\n{state.name}, {version}: {len(state.nodes)} nodes, {counts or 'none'}")
    nodes = [*state.nodes.values()]
    shown = nodes if len(nodes) <= MOST else [node for node in nodes if node.state not in _AT_REST][:MOST]
    if shown:
        output.rows([_row(node) for node in shown], _COLUMNS, empty="")
    if len(shown) < len(nodes):
        output.note(f"{len(nodes) - len(shown)} nodes are not shown; --json has all")


def _row(node: NodeState) -> Mapping[str, Any]:
    took = None if node.seconds is None else timedelta(seconds=round(node.seconds, 3))
    return {
        "node": node.name, "type": node.type, "state": node.state, "took": took, "attempt": node.attempt,
        "task": node.task_id, "detail": ", ".join(_words(node)) or None,
    }  # fmt: skip


def _words(node: NodeState) -> Iterator[str]:
    if node.kept is not None:
        yield f"kept from {node.kept}"
    if node.branch is not None:
        yield f"branch {node.branch}"
    if node.error is not None:
        yield f"{node.error.get('type')}: {str(node.error.get('message')).partition(chr(10))[0]}"
    if node.because is not None:
        yield f"because of {node.because}"
    if node.task_id is None and node.children:
        yield "children: " + ", ".join(f"{count} {state}" for state, count in node.children.items())
    elif node.state == "running" and node.task_state is not None:
        yield node.task_state
