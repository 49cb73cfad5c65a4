"""Running workflows without a database: a worker's own code decides how each ends, and children run here as well."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, cast

import orjson

from pgflow.backoff import NO_RETRY
from pgflow.engine.children import Child
from pgflow.engine.emissions import Emission
from pgflow.errors import TaskCancelled, TaskFailed, WorkflowError
from pgflow.model import Claimed, Settlement, State
from pgflow.runtime.batch import Ending
from pgflow.runtime.flow import Flow
from pgflow.runtime.journal import WorkerJournal
from pgflow.runtime.verdict import judge, policy_of
from pgflow.runtime.workflows import ReplayLog
from pgflow.sdk.attempt import CELL, Cell
from pgflow.sdk.environment import Environment
from pgflow.sdk.event_verbs import Wanted
from pgflow.sdk.history import ChildSpawned
from pgflow.sdk.replay import Replay
from pgflow.sdk.step import Step
from pgflow.sdk.task import Task
from pgflow.sdk.workflow import Workflow
from pgflow.testing.inline_journal import InlineJournal
from pgflow.testing.stored import stored
from pgflow.testing.world import NotGiven, World

GENERATIONS = 100
"""How often a workflow may continue as new in a test."""


class Call(Protocol):
    """Calls a function with a time-out, on the loop or in a thread."""

    def __call__(
        self, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], timeout: float | None
    ) -> Awaitable[Any]: ...


class InlineContext(Protocol):
    """What the contexts of both colours are to whoever runs them."""

    journal: InlineJournal

    def begin(self, replay: Replay, environment: Environment) -> None:
        """Take this replay up."""
        ...


class Family:
    """A run and all its children, in their world.

    Args:
        world: that world.
        steps: registered steps by name.
        client: what `ctx.client` is, if the test gave it.
        db: what `ctx.tx` is handed, if the test gave it.
        contexts: makes the context of a child workflow.
    """

    def __init__(
        self, world: World, steps: Mapping[str, Step[..., Any]], client: Any, db: Any,
        contexts: Callable[[Family, InlineJournal, bool], InlineContext],
    ) -> None:  # fmt: skip
        self.world = world
        self._steps, self._client, self._db, self._contexts = steps, client, db, contexts
        self._running: dict[int, bool] = {}
        self._journals: dict[int, tuple[str, InlineJournal]] = {}
        world.describe = self._describe

    def journal(self, name: str, root_id: int | None = None) -> InlineJournal:
        """A journal for a workflow, the run's own unless its root is given."""
        id = self.world.next_id()
        journal = InlineJournal(self.world, id, root_id or id, self.spawn, self._db)
        self._running[id] = True
        self._journals[id] = name, journal
        return journal

    def named(self, journal: InlineJournal, name: str) -> None:
        """Learn the name of the workflow that has this journal."""
        self._journals[journal.task_id] = name, journal

    def environment(self, workflow: Task[..., Any], replay: Replay) -> Environment:
        """What the code of a workflow can reach."""
        steps = {**self._steps, **(workflow.steps if isinstance(workflow, Workflow) else {})}
        sender = self._sender(workflow.is_async)
        seeker: Step[..., Any] = Step("event", self._event, None, True, NO_RETRY)
        return Environment(workflow, self.world.tasks, steps, self._given_client, ReplayLog(replay), sender, seeker)

    async def _event(self, wanted: Wanted) -> Emission | None:
        return self.world.event(wanted)

    def _given_client(self) -> Any:
        if self._client is None:
            raise NotGiven(
                "ctx.client needs a client", hint="Inline(client=...): a real one, or one of your own making"
            )
        return self._client

    def _sender(self, is_async: bool) -> Step[..., Any]:
        def send_signal(_: Any, target: int, name: str, payload: bytes) -> None:
            self.world.send(target, name, payload, self._running.get)

        return Step("send_signal", send_signal, None, is_async, NO_RETRY)

    def _describe(self) -> str:
        awaited = [
            f"{name} waits for {kind} {', '.join(map(repr, names))}"
            for id, (name, journal) in self._journals.items()
            for kind in ("signal", "event")
            if self._running[id] and (names := journal.history.awaited(kind))
        ]
        return f"{'; '.join(awaited) or 'the workflow waits for ever'}, which nobody will send"

    def spawn(self, parent: InlineJournal, child: Child, spawned: ChildSpawned) -> int:
        """Let a child begin when its turn comes. Returns its id."""
        world, request = self.world, child.request
        task = world.tasks[request.spec.name]
        journal = self.journal(task.name, parent.root_id)
        id = journal.task_id
        spec = request.spec
        retry = orjson.loads(spec.retry)
        claimed = Claimed(
            id, 1, parent.root_id, 1, 1, task.name, spec.queue, spec.priority, stored(request.input), spec.timeout,
            retry, None, None,
        )  # fmt: skip

        def begin() -> bool:
            running = asyncio.get_running_loop().create_task(self._child(parent, child, spawned, task, claimed))
            world.running.add(running)
            running.add_done_callback(world.running.discard)
            return True

        due = request.due or (world.now + timedelta(seconds=request.delay) if request.delay else None)
        if due is None:
            world.soon(begin)
        else:
            world.at(due, begin)
        return id

    async def _child(
        self, parent: InlineJournal, child: Child, spawned: ChildSpawned, task: Task[..., Any], claimed: Claimed
    ) -> None:
        try:
            if isinstance(task, Workflow):
                ending = await self._workflow(task, claimed, parent, child)
            else:
                ending = await self._task(task, claimed)
        except Exception as error:  # noqa: BLE001 (the child is stopped, and nobody but the test can be told)
            self.world.fail(error)
            return
        spawned.state = ending.state
        spawned.output = stored(ending.output)
        spawned.error = stored(ending.error)
        self.ended(claimed.task_id)
        parent.ended(child, spawned)
        self.world.pass_on()

    def ended(self, task_id: int) -> None:
        """A task has its outcome: it hears no signals any more."""
        self._running[task_id] = False

    async def _workflow(
        self, workflow: Workflow[..., Any], claimed: Claimed, parent: InlineJournal, child: Child
    ) -> Settlement:
        _, journal = self._journals[claimed.task_id]
        context = parent.contexts[child.step] = self._contexts(self, journal, workflow.is_async)
        call = in_this_loop if workflow.is_async else in_a_thread
        ending, _ = await whole(self, context, workflow, claimed, call)
        return ending

    async def _task(self, task: Task[..., Any], claimed: Claimed) -> Settlement:
        """All attempts of a child task; the rests between them take no time."""
        world = self.world
        call: Call = in_this_loop if task.is_async else in_a_thread
        while True:
            try:
                args, kwargs = task.signature.decode_arguments(claimed.input or {})
                timeout = claimed.timeout if claimed.timeout is not None else task.timeout
                with attempting(claimed):
                    result = await call(task.function, args, kwargs, timeout)
                output = task.signature.encode_result(result, limit=task.payload_limit)
                return Settlement(claimed.task_id, 1, State.COMPLETED, output)
            except Exception as error:  # noqa: BLE001 (whatever a handler raises is its task's outcome)
                ending = judge(error, claimed, policy_of(claimed, task.retry), task.function)
            if ending.state is not State.RETRYING:
                return ending
            await world.stand_still(claimed.task_id, due=world.now + timedelta(seconds=ending.delay or 0))
            claimed = claimed._replace(attempt=claimed.attempt + 1)


class InlineRun(Flow):
    """One generation of one workflow, from its first line to what its end means.

    Args:
        family: whom it belongs to.
        context: its context.
        workflow: what it is.
        claimed: what would be its lease.
        call: how to call its function.
    """

    def __init__(
        self, family: Family, context: InlineContext, workflow: Workflow[..., Any], claimed: Claimed, call: Call
    ) -> None:
        journal = context.journal
        policy, limit = policy_of(claimed, workflow.retry), workflow.payload_limit
        replay = Replay(journal, journal.history, workflow.name, policy, 1, limit)
        self.raised: Exception | None = None

        async def code() -> Any:
            continued = journal.history.input
            input = dict(claimed.input or {}) if continued is None else continued
            args, kwargs = workflow.signature.decode_arguments(input)
            context.begin(replay, family.environment(workflow, replay))
            try:
                with attempting(claimed):
                    return await call(workflow.function, [context, *args], kwargs, workflow.timeout)
            except Exception as error:
                self.raised = error
                raise

        once = claimed._replace(retry=NO_RETRY.to_json())  # what failed in a test would fail again
        super().__init__(once, workflow, replay, cast("WorkerJournal", journal), [], code, 0)

    async def ends(self) -> Settlement:
        """Run it. Raises what would park it."""
        settlement = await self._run()
        assert isinstance(settlement, Settlement)
        return settlement

    def _parked(self, error: Exception) -> Ending:
        raise error


async def whole(
    family: Family, context: InlineContext, workflow: Workflow[..., Any], claimed: Claimed, call: Call
) -> tuple[Settlement, Exception | None]:
    """Run a workflow through all its generations. Returns how it ended, and the error that it ended by."""
    for _ in range(GENERATIONS):
        run = InlineRun(family, context, workflow, claimed, call)
        ending = await run.ends()
        if context.journal.restart() is None:
            return ending, run.raised
    raise WorkflowError(f"{workflow.name} continued as new {GENERATIONS} times", hint="let it end in a test")


async def root(
    family: Family, context: InlineContext, workflow: Workflow[..., Any], args: tuple[Any, ...],
    kwargs: dict[str, Any], call: Call,
) -> Any:  # fmt: skip
    """Run a workflow as a run of its own, with all its children. Returns its result, or raises what it ended by."""
    journal = context.journal
    family.named(journal, workflow.name)
    input = stored(workflow.signature.encode_arguments(args, kwargs, limit=workflow.payload_limit))
    workflow.signature.decode_arguments(dict(input))  # wrong arguments are the test's to know
    claimed = Claimed(
        journal.task_id, 1, journal.task_id, 1, 1, workflow.name, workflow.queue, workflow.priority, input, None,
        None, None, None,
    )  # fmt: skip
    try:
        ending, raised = await whole(family, context, workflow, claimed, call)
        family.ended(journal.task_id)
        await family.world.until_over()
    finally:
        await family.world.abandon()
    if ending.state is State.COMPLETED:
        return workflow.signature.decode_result(stored(ending.output))
    if ending.state is State.CANCELLED:
        raise TaskCancelled(f"{workflow.name} was cancelled")
    raise raised or TaskFailed(journal.task_id, stored(ending.error))


@contextmanager
def attempting(claimed: Claimed) -> Iterator[None]:
    """What `pgflow.current()` tells meanwhile."""
    token = CELL.set(Cell(claimed, 0))
    try:
        yield
    finally:
        CELL.reset(token)


async def in_this_loop(
    function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], timeout: float | None
) -> Any:
    """Call an async function."""
    async with asyncio.timeout(timeout):
        return await function(*args, **kwargs)


async def in_a_thread(
    function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], timeout: float | None
) -> Any:
    """Call a plain function, in a thread of its own: one that waits for others must not keep them from a thread."""
    future: Future[Any] = Future()
    work = partial(copy_context().run, function, *args, **kwargs)
    threading.Thread(target=fulfil, args=(future, work), name="pgflow-inline", daemon=True).start()
    async with asyncio.timeout(timeout):
        return await asyncio.wrap_future(future)


def fulfil(future: Future[Any], work: Callable[[], Any]) -> None:
    """Do it here, for whoever waits for it."""
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 (handed to whoever waits for it)
        future.set_exception(error)
    else:
        future.set_result(result)
