"""The client's verbs about runs of graphs, once for both colours, like `pgflow.sdk.verbs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pgflow.engine import definitions, runs
from pgflow.engine.definitions import Published
from pgflow.errors import ArgumentError, NotFound
from pgflow.graph.document import Definition
from pgflow.graph.inputs import accepted
from pgflow.model import State
from pgflow.sdk.graph_forking import Past, Renewal, fact_of_version, renewal, version_of
from pgflow.sdk.graph_state import GraphState, nodes_of, version_told
from pgflow.sdk.run_verbs import Version
from pgflow.sdk.verbs import Handle, Steps, find, show


def graph(run: int | Handle[Any]) -> Steps[GraphState]:
    """How far it is."""
    (found,) = yield from find([run if isinstance(run, int) else run.id])
    shown = yield from show(found.task_id)
    rows: list[runs.Told] = yield runs.graph(found.root_id, found.task_id)
    version = version_told(rows)
    stored = yield from stored_version(shown["name"], version)
    if stored is None or stored.kind != "graph":
        raise ArgumentError(f"{found.task_id} is no run of a graph", hint=f"it is of {shown['name']}, which is code")
    over = State(shown["state"]).final
    nodes = nodes_of(Definition.model_validate(stored.document), rows, over)
    return GraphState(found.task_id, found.root_id, shown["name"], shown["state"], version, stored.document, nodes)


def stored_version(name: str, version: int | None) -> Steps[Published | None]:
    """That version, or the newest."""
    return (yield definitions.newest(name) if version is None else definitions.version(name, version))  # type: ignore[no-any-return]


def definition(name: str, version: int | None) -> Steps[tuple[Definition, int]]:
    """One version of a graph, or the newest, with its number."""
    stored = yield from stored_version(name, version)
    if stored is None:
        newest: definitions.Latest | None = yield definitions.latest(name)
        hint = None if newest is None else f"the newest is {newest.version}"
        raise NotFound(f"{name} has no version {version}" if version else f"{name} is not published", hint=hint)
    return Definition.model_validate(stored.document), stored.version


class Fresh(NamedTuple):
    """What a new run of a graph begins with.

    Args:
        renewal: what it keeps; None: nothing.
        facts: what it has recorded from its beginning.
    """

    renewal: Renewal | None
    facts: Sequence[tuple[str, bytes]]


def renewed(
    name: str, at: tuple[int, int], old_input: dict[str, Any], input: dict[str, Any], chosen: Sequence[str],
    whole: bool, version: Version | None,
) -> Steps[Fresh]:  # fmt: skip
    """What a new run of a graph takes over.

    Args:
        name: the workflow.
        at: the old run: its run and its task.
        old_input: what that was given.
        input: what the new one is.
        chosen: the nodes to begin from; if none, those that failed.
        whole: keep nothing.
        version: what it follows; unless given the same if something is kept, else the newest.
    """
    if chosen and whole:
        raise ArgumentError("a run is begun from a node, or as a whole", hint="leave out one of the two")
    rows: list[runs.Outlined] = yield runs.outline(*at)
    followed = version_of(rows)
    if followed is None and chosen:
        raise ArgumentError(f"run {at[1]} has not begun: there is nothing to be kept of it")
    number = version if isinstance(version, int) else None if version == "newest" else followed
    if followed is not None and not whole:
        old, _ = yield from definition(name, followed)
        new, number = (old, followed) if number == followed else (yield from definition(name, number))
        past = Past(*at, old, accepted_by(old, old_input), rows)
        kept = renewal(past, new, number, accepted_by(new, input), chosen)
        if kept is not None:
            return Fresh(kept, kept.facts(number))
    if version is None or (version == "same" and followed is None):
        return Fresh(None, [])  # the newest when it begins
    new, number = yield from definition(name, number)
    accepted_by(new, input)
    return Fresh(None, [] if version == "newest" else [fact_of_version(number)])


def accepted_by(definition: Definition, input: Mapping[str, Any]) -> dict[str, Any]:
    """The input as a run of this gets it, or an ArgumentError."""
    return accepted(definition.input, input, definition.name) if definition.input else dict(input)
