"""Published definitions, as workflows that a worker can run."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pgflow.backoff import NO_RETRY
from pgflow.codec import DEFAULT_PAYLOAD_LIMIT, Signature, encode
from pgflow.db.call import Call
from pgflow.db.patience import Patience
from pgflow.engine import definitions
from pgflow.errors import WorkflowError
from pgflow.graph import Definition
from pgflow.graph.inputs import accepted
from pgflow.model import Priority
from pgflow.nodes.kit import node_types
from pgflow.nodes.running import GraphRun
from pgflow.sdk import verbs
from pgflow.sdk.base_context import BaseContext
from pgflow.sdk.graph_forking import VERSION
from pgflow.sdk.workflow import Workflow

Key = TypeVar("Key")
Value = TypeVar("Value")
Run = Callable[[Call[Any]], Awaitable[Any]]
Drive = Callable[[verbs.Steps[Any]], Awaitable[Any]]

MOST_KEPT = 200


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
    """What is published in one database. A version never changes, so it is read once; which is the newest, each run
    asks when it begins, and those that begin at once ask together. Trouble with the database is waited out: a run has
    no second attempt, and what the engine could not ask is no error of the run.

    Args:
        run: asks the engine.
        drive: does what takes several questions.

    Attributes:
        queues: where tasks wait whose code, as this worker has it, gives them a queue of their own.
    """

    def __init__(self, run: Run, drive: Drive) -> None:
        self._run, self._drive = run, drive
        self.queues: Mapping[str, str] = {}
        self._kept: OrderedDict[tuple[str, int], Definition] = OrderedDict()
        self._workflows: OrderedDict[str, Workflow[..., Any]] = OrderedDict()
        self._asked: dict[object, asyncio.Task[Any]] = {}
        self._asking: set[asyncio.Task[Any]] = set()
        self._patience = Patience("definitions")

    async def workflow(self, name: str) -> Workflow[..., Any] | None:
        """The workflow of that name, or None if there is no graph of that name. Its runs look up their version."""
        if name in self._workflows:
            self._workflows.move_to_end(name)
            return self._workflows[name]
        newest = await self._ask(name, definitions.latest(name))
        if newest is None or newest.kind != "graph":
            return None
        definition = await self.definition(name, newest.version)

        async def follow(ctx: BaseContext, input: dict[str, Any]) -> Any:
            replay = ctx._replay
            replay.rehearse = None  # a version never changes, so what is recorded fits it
            if (found := replay.history.answer(VERSION)) is not None:
                version = found["result"]
            else:
                latest = await self._ask(name, definitions.latest(name))
                if latest is None:
                    raise WorkflowError(
                        f"{name} is not published any more", hint="publish it, then `pgflow run resume`"
                    )
                version = replay.decide(VERSION, lambda: latest.version)
            definition = await self.definition(name, version)
            if definition.input:  # whoever started it: a schedule and a webhook do not look at the schema
                input = accepted(definition.input, input, name)
            return await GraphRun(
                replay, definition, input, node_types(), self._cancel, self._run, self.queues
            ).conduct()

        made: Workflow[..., Any] = Workflow(
            name=name, function=follow, signature=Whole(follow, skip=1), queue=definition.queue,
            priority=Priority.NORMAL, retry=NO_RETRY,
        )  # fmt: skip
        return _keep(self._workflows, name, made)

    async def definition(self, name: str, version: int) -> Definition:
        """One version."""
        key = (name, version)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = await self._ask(key, definitions.version(name, version))
        if found is None:
            raise WorkflowError(f"version {version} of {name} is gone, and this run follows it")
        if key in self._kept:  # another read it meanwhile
            return self._kept[key]
        return _keep(self._kept, key, Definition.model_validate(found.document))

    async def close(self) -> None:
        """Ask nothing more: who wanted to know is gone."""
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, key: object, call: Call[Any]) -> Any:
        """What the engine answers, asked once for all who want to know the same before the question is out."""
        if key not in self._asked:

            async def ask() -> Any:
                await asyncio.sleep(0)
                del self._asked[key]
                return await self._patience.ask(lambda: self._run(call))

            self._asked[key] = task = asyncio.create_task(ask(), name="pgflow-definition")
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return await asyncio.shield(self._asked[key])

    async def _cancel(self, root_id: int, task_id: int) -> None:
        await self._patience.ask(lambda: self._drive(verbs.cancel_below(root_id, task_id)))


def _keep(kept: OrderedDict[Key, Value], key: Key, value: Value) -> Value:
    kept[key] = value
    while len(kept) > MOST_KEPT:
        kept.popitem(last=False)
    return value
