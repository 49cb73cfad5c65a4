"""The client's verbs for runs of workflows, once for both colours, like `pgflow.sdk.verbs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from pgflow.codec import encode
from pgflow.engine import definitions, emissions, runs, workflows
from pgflow.engine.enqueue import BULKY
from pgflow.errors import ArgumentError, NotFound
from pgflow.sdk.base_context import check_signal
from pgflow.sdk.checking import Recorded
from pgflow.sdk.environment import check_sent, the_run
from pgflow.sdk.forking import Taken, edited, taken_over
from pgflow.sdk.task import Key, Task
from pgflow.sdk.verbs import MAX_ROUNDS, Handle, Rest, Steps, find, show

Version = int | Literal["same", "newest"]
OWN = "pgflow."
"""What the names of the engine's own tasks begin with. They believe their input, which whoever starts them has checked:
strangers start them by what they are for, and redrive them; they do not run them again with what they like."""
MOST_NAMED = 50
"""Of the nodes that a new run begins from, so many are told."""


def id_of(run: int | Handle[Any]) -> int:
    """The id of a run that may be given by its handle."""
    return run if isinstance(run, int) else run.id


def signal(run: int | Handle[Any] | Key, name: str, payload: Any, *, actor: str | None) -> Steps[None]:
    """Send a signal. One by key goes to the next run that has it, should the one that was found just have finished."""
    check_signal(name)
    content = encode(payload)
    for left in range(MAX_ROUNDS, -1, -1):
        id = the_run((yield runs.by_key(run.name, run.key)), run) if isinstance(run, Key) else id_of(run)
        sent = yield workflows.signal([workflows.Signal(id, name, content)], actor=actor)
        if sent[0][1] != "finished" or not (left and isinstance(run, Key)):
            return check_sent(sent)


def told(run: int | Handle[Any]) -> Steps[dict[str, Any] | None]:
    """What the run last told of itself."""
    (found,) = yield from find([id_of(run)])
    told: dict[str, Any] | None = yield workflows.told(found.root_id, found.task_id)
    return told


def pause(given: tuple[int | Handle[Any], ...], *, actor: str | None) -> Steps[list[int]]:
    """Pause these runs. Returns those that were not paused before.

    What is just moving when it is looked for is missed, so it goes round until it meets nothing more; what is claimed
    in between runs until it suspends or ends, like all that is running.
    """
    found = yield from find([id_of(run) for run in given])
    for task in found:
        if task.task_id != task.root_id:
            raise ArgumentError(
                f"{task.task_id} is no run, but a task of run {task.root_id}", hint="a run is paused as a whole"
            )
    paused: list[int] = yield runs.pause([task.root_id for task in found], actor=actor)
    for run in paused:
        for _ in range(MAX_ROUNDS):
            met = 0
            last: int | None = 0
            while last is not None:
                last, parked = yield runs.park(run, last, actor=actor)
                met += parked
            if not met:
                break
            yield Rest(0.005)
    return paused


def resume(given: tuple[int | Handle[Any], ...], *, actor: str | None) -> Steps[list[int]]:
    """Let these runs go on that are paused, with all that is parked in them; and these tasks that need attention.
    Returns those of what was given for which that changed something."""
    found = yield from find([id_of(run) for run in given])
    roots = [task.root_id for task in found if task.task_id == task.root_id]
    others = [task.task_id for task in found if task.task_id != task.root_id]
    resumed: set[int] = set((yield runs.resume(roots, actor=actor)))
    seen: set[int] = set()  # should somebody pause a run again meanwhile, its tasks would come up for ever
    while not seen.issuperset(moved := dict((yield runs.unpark(roots, others, actor=actor)))):
        seen |= moved.keys()
        resumed.update(task if task in others else root for task, root in moved.items())
    return [task.task_id for task in found if task.task_id in resumed]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a new run is to be like, beside the old one.

    Attributes:
        step: the step of a workflow in code, or the node of a graph, that it begins from.
        nodes: the nodes of a graph that it begins from; if none, those that failed.
        whole: from its beginning, also what did not fail.
        version: of a graph: which version it follows.
        set: changes to the input, by path.
        input: another input.
    """

    step: str | None = None
    nodes: str | Sequence[str] | None = None
    whole: bool = False
    version: Version | None = None
    set: Mapping[str, Any] | None = None
    input: Mapping[str, Any] | None = None

    @property
    def chosen(self) -> list[str]:
        """The nodes that are named."""
        nodes = [self.nodes] if isinstance(self.nodes, str) else [*(self.nodes or ())]
        return list(dict.fromkeys([*nodes, *([self.step] if self.step is not None else [])]))


def fork(
    run: int | Handle[Any], asked: Asked, tasks: Mapping[str, Task[..., Any]], *, actor: str | None
) -> Steps[Handle[Any]]:
    """Start a run like this one, which keeps some of what it has recorded. One statement writes it all."""
    if asked.set and asked.input is not None:
        raise ArgumentError("set and input exclude each other")
    (found,) = yield from find([id_of(run)])
    old = yield from show(found.task_id)
    latest: definitions.Latest | None = yield definitions.latest(old["name"])
    graph = latest is not None and latest.kind == "graph"
    if not graph and (asked.nodes or asked.version is not None):
        raise ArgumentError(
            f"{old['name']} is no graph: it has neither nodes nor versions to choose from",
            hint="`pgflow run fork` begins from a step",
        )
    taken = Taken()
    if asked.step is not None and not graph:
        histories = yield workflows.history([(found.root_id, found.task_id)])
        taken = taken_over(histories.get(found.task_id, []), asked.step)
    before = old["input"] if taken.input is None else taken.input
    arguments = edited(before, asked.set or {}) if asked.input is None else dict(asked.input)
    text = encode(arguments)
    task = tasks.get(old["name"])
    if task is not None:
        task.signature.decode_arguments(orjson.loads(text))
    names: dict[str, Any] = {"set": asked.set or ({"input": asked.input} if asked.input is not None else None)}
    copy = runs.Copy(found.root_id, found.task_id, text, len(text) if len(text) > BULKY else None, b"")
    if graph:
        from pgflow.sdk import graph_verbs  # what reads definitions takes a while to import

        at, chosen = (found.root_id, found.task_id), asked.chosen
        fresh = yield from graph_verbs.renewed(
            old["name"], at, before, orjson.loads(text), chosen, asked.whole, asked.version
        )
        copy = copy._replace(facts=fresh.facts)
        if fresh.renewal is not None:
            kept, anew = fresh.renewal.kept, fresh.renewal.anew
            names |= {"nodes": (chosen or anew)[:MOST_NAMED], "kept": len(kept), "anew": len(anew)}
            copy = copy._replace(events=fresh.renewal.events, children=fresh.renewal.children)
    elif asked.step is not None:
        names["since"] = yield emissions.since(found.root_id)  # what its original could have had, it may, too
        copy = copy._replace(prefix=taken.prefix, events=taken.events, children=taken.children)
    told = {"from": found.task_id, "step": asked.step} | {name: said for name, said in names.items() if said}
    id = yield runs.fork(copy._replace(data=encode(told)), actor=actor)
    if id is None:
        raise NotFound(f"there is no task {found.task_id} any more", hint="its history was dropped just now")
    return Handle(id)


def recorded(run: int | Handle[Any]) -> Steps[Recorded]:
    """All that a rehearsal needs."""
    (found,) = yield from find([id_of(run)])
    shown = yield from show(found.task_id)
    histories = yield workflows.history([(found.root_id, found.task_id)])
    rows = histories.get(found.task_id, [])
    return Recorded(
        found.task_id, found.root_id, shown["name"], shown["state"], shown["input"], rows, shown["output"],
        shown["error"],
    )  # fmt: skip


def standing(run: int | Handle[Any]) -> Steps[list[runs.Standing]]:
    """What keeps it."""
    (found,) = yield from find([id_of(run)])
    things: list[runs.Standing] = yield runs.standing(found.root_id, found.task_id)
    return things
