"""Published definitions, as workflows that a worker can run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from pgflow.backoff import NO_RETRY
from pgflow.codec import DEFAULT_PAYLOAD_LIMIT, Signature, encode
from pgflow.db.call import Call
from pgflow.engine import definitions
from pgflow.errors import WorkflowError
from pgflow.graph import Definition
from pgflow.graph.inputs import accepted
from pgflow.model import Priority
from pgflow.nodes.kit import node_types
from pgflow.nodes.running import GraphRun
from pgflow.sdk import verbs
from pgflow.sdk.base_context import BaseContext
from pgflow.sdk.workflow import Workflow

Run = Callable[[Call[Any]], Awaitable[Any]]
Drive = Callable[[verbs.Steps[Any]], Awaitable[Any]]

MOST_KEPT = 200
VERSION = "$definition"
"""Under which a run records the version that it follows."""


class Whole(Signature):
    """The signature of a graph: its one argument is the run's input as a whole."""

    def encode_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, limit: int = DEFAULT_PAYLOAD_LIMIT
    ) -> bytes:
        """The input as it is."""
        (input,) = args or (kwargs,)
        return encode(input, limit=limit)

    def decode_arguments(self, input: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The input as it is."""
        return [input], {}


class Library:
    """What is published in one database. A version never changes, so it is read once.

    Args:
        run: asks the engine.
        drive: does what takes several questions.
    """

    def __init__(self, run: Run, drive: Drive) -> None:
        self._run, self._drive = run, drive
        self._kept: OrderedDict[tuple[str, int], Definition] = OrderedDict()

    async def workflow(self, name: str) -> Workflow[..., Any] | None:
        """The workflow of that name, or None if there is no graph of that name."""
        newest = await self._run(definitions.newest(name))
        if newest is None or newest.kind != "graph":
            return None

        async def follow(ctx: BaseContext, input: dict[str, Any]) -> Any:
            replay = ctx._replay
            replay.rehearse = None  # a version never changes, so what is recorded fits it
            if (found := replay.history.answer(VERSION)) is not None:
                version = found["result"]
            else:
                published = await self._run(definitions.newest(name))
                if published is None:
                    raise WorkflowError(
                        f"{name} is not published any more", hint="publish it, then `pgflow run resume`"
                    )
                version = replay.decide(VERSION, lambda: published.version)
            definition = await self.definition(name, version)
            if definition.input:  # whoever started it: a schedule and a webhook do not look at the schema
                input = accepted(definition.input, input, name)
            return await GraphRun(replay, definition, input, node_types(), self._cancel, self._run).conduct()

        return Workflow(
            name=name, function=follow, signature=Whole(follow, skip=1), queue=newest.document.get("queue", "default"),
            priority=Priority.NORMAL, retry=NO_RETRY,
        )  # fmt: skip

    async def definition(self, name: str, version: int) -> Definition:
        """One version."""
        key = (name, version)
        if key not in self._kept:
            found = await self._run(definitions.version(name, version))
            if found is None:
                raise WorkflowError(f"version {version} of {name} is gone, and this run follows it")
            self._kept[key] = Definition.model_validate(found.document)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    async def _cancel(self, root_id: int, task_id: int) -> None:
        await self._drive(verbs.cancel_below(root_id, task_id))
