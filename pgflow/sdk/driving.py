"""Driving operations: doing what they yield, one at a time or many beside each other."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

from pgflow.errors import Suspension
from pgflow.sdk.attempt import STEP, within_step
from pgflow.sdk.journal import Commit, Effect, Flush, Invoke, Rehearse, Transact, Wait
from pgflow.sdk.operations import Operation
from pgflow.sdk.replay import Replay


async def drive(replay: Replay, operation: Operation) -> Any:
    """Do what the operation asks for until it has its result."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            effect = operation.send(answer) if error is None else operation.throw(error)
        except StopIteration as stop:
            return stop.value
        try:
            if type(effect) is Invoke:
                answer, error = await invoke(replay, effect), None
            elif type(effect) is Commit:
                answer, error = await replay.journal.commit(effect.entry), None
            else:
                answer, error = await perform(replay, effect), None
        except BaseException as raised:  # noqa: BLE001 (handed to the operation, which decides)
            error = raised


async def perform(replay: Replay, effect: Effect) -> Any:
    """Do one thing."""
    journal = replay.journal
    match effect:
        case Invoke():
            return await invoke(replay, effect)
        case Commit():
            return await journal.commit(effect.entry)
        case Flush():
            return await journal.flush()
        case Rehearse():
            rehearse, replay.rehearse = replay.rehearse, None
            return None if rehearse is None else await rehearse()
        case Wait():
            return await block(replay, effect)
        case Transact():
            return await journal.transact(effect)


async def block(replay: Replay, wait: Wait) -> None:
    """Wait; whether the suspension then gets out of the user's code is for the replay to see."""
    try:
        await replay.journal.block(wait)
    except Suspension:
        replay.suspended_at = str(replay.standing)
        raise


async def invoke(replay: Replay, effect: Invoke) -> Any:
    """Call a step's function: async ones here, plain ones in a thread."""
    work = effect.step
    token = STEP.set(replay.history.prefix + effect.key)
    try:
        if work.is_async:
            call: Coroutine[Any, Any, Any] = work.function(*effect.args, **effect.kwargs)
        else:
            call = asyncio.to_thread(work.function, *effect.args, **effect.kwargs)
        if work.timeout is None:
            return await call
        async with asyncio.timeout(work.timeout):
            return await call
    finally:
        STEP.reset(token)


class Group:
    """Several operations beside each other: those that only wait cost no task, those at work one each.

    Args:
        replay: whose they are.
        operations: what to do.
        concurrency: how many at once; all unless given.
    """

    def __init__(self, replay: Replay, operations: Sequence[Operation], concurrency: int | None) -> None:
        self._replay = replay
        self._todo: deque[tuple[int, Operation]] = deque()
        self._operations: list[Operation] = []
        self._limit = concurrency or sys.maxsize
        self._blocked: dict[int, tuple[Operation, Wait]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self.results: list[Any] = []
        self.errors: dict[int, Exception] = {}
        self._fault: BaseException | None = None
        for operation in operations:
            self.add(operation)

    def add(self, operation: Operation) -> int:
        """Have this done too. Returns its number."""
        number = len(self._operations)
        self._operations.append(operation)
        self.results.append(None)
        self._todo.append((number, operation))
        return number

    def _next(self) -> tuple[int, Operation] | None:
        """What to begin with now, if anything may begin."""
        if self._todo and len(self._blocked) + len(self._working) < self._limit:
            return self._todo.popleft()
        return None

    async def _before_waiting(self) -> bool:
        """Asked when all that goes on waits. Returns whether something has changed by it."""
        return False

    def _ended(self, number: int) -> None:
        """One has its result or its error; who knows what follows from that adds it."""

    async def run(self) -> None:
        """Until each has its result or its error."""
        try:
            while True:
                while (following := self._next()) is not None:
                    self._advance(*following)
                if self._fault is not None:
                    raise self._fault
                if self._working:
                    await asyncio.wait(self._working, return_when=asyncio.FIRST_COMPLETED)
                    continue
                if not self._blocked:
                    return
                if await self._before_waiting():
                    continue
                await block(self._replay, self._wait())
                again, self._blocked = self._blocked, {}
                for number, (operation, _) in again.items():
                    self._advance(number, operation)
        finally:
            for task in self._working:
                task.cancel()
            for operation in self._operations:
                operation.close()

    def _wait(self) -> Wait:
        """What all of them wait for; with more to be started, the first of them."""
        waits = [wait for _, wait in self._blocked.values()]
        arrivals = [wait.arrivals for wait in waits if wait.arrivals]
        lacking = (1 if self._todo else sum(arrivals)) if arrivals else 0
        return Wait(lacking, min((wait.due for wait in waits if wait.due is not None), default=None))

    def _advance(self, number: int, operation: Operation, answer: Any = None) -> None:
        """Let one go on until it waits, works or ends."""
        try:
            effect = operation.send(answer)
        except StopIteration as stop:
            self.results[number] = stop.value
            self._ended(number)
            return
        except Exception as error:  # noqa: BLE001 (it is the operation's result)
            self.errors[number] = error
            self._ended(number)
            return
        if isinstance(effect, Wait):
            self._blocked[number] = (operation, effect)
            return
        if isinstance(effect, Flush) and self._replay.journal.settled():
            self._advance(number, operation)
            return
        task = asyncio.create_task(self._pursue(number, operation, effect))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _pursue(self, number: int, operation: Operation, effect: Effect) -> None:
        """Do what one asks for until it waits or ends."""
        error: BaseException | None = None
        answer: Any = None
        while True:
            try:
                answer, error = await perform(self._replay, effect), None
            except asyncio.CancelledError:
                raise
            except BaseException as raised:  # noqa: BLE001 (handed to the operation, which decides)
                error = raised
            try:
                effect = operation.send(answer) if error is None else operation.throw(error)
            except StopIteration as stop:
                self.results[number] = stop.value
                self._finish(number)
                return
            except Exception as raised:  # noqa: BLE001 (it is the operation's result)
                self.errors[number] = raised
                self._finish(number)
                return
            except BaseException as raised:  # noqa: BLE001 (a lost lease, say: the whole run ends)
                self._fault = raised
                return
            if isinstance(effect, Wait):
                self._blocked[number] = (operation, effect)
                return

    def _finish(self, number: int) -> None:
        """One that was pursued has ended. What follows may be that the whole run ends: nobody waits for this task."""
        try:
            self._ended(number)
        except BaseException as raised:  # noqa: BLE001 (raised again by run)
            self._fault = raised


def drive_here(replay: Replay, operation: Operation, loop: asyncio.AbstractEventLoop) -> Any:
    """Drive an operation from a thread: plain functions are called in it, all else is done on the loop."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            effect = operation.send(answer) if error is None else operation.throw(error)
        except StopIteration as stop:
            return stop.value
        try:
            if isinstance(effect, Transact):
                answer, error = replay.journal.transact_here(effect), None
            elif isinstance(effect, Invoke) and not effect.step.is_async and effect.step.timeout is None:
                with within_step(replay.history.prefix + effect.key):
                    answer, error = effect.step.function(*effect.args, **effect.kwargs), None
            else:
                answer, error = on_loop(perform(replay, effect), loop), None
        except BaseException as raised:  # noqa: BLE001 (handed to the operation, which decides)
            error = raised


def on_loop(work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Any:
    """Do this on the loop and wait for it in this thread."""
    return asyncio.run_coroutine_threadsafe(work, loop).result()
