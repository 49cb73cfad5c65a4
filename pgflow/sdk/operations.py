"""What a workflow can ask for, once for both colours: generators that yield what is to be done and are sent the answer.

Each looks into the history first. Whoever drives one (`pgflow.sdk.driving`) does what it yields: calls a function,
writes to the journal, waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from functools import partial
from random import random
from typing import Any

import orjson

from pgflow import duration
from pgflow.backoff import RetryPolicy
from pgflow.codec import Signature, encode, error_json
from pgflow.engine.children import Child
from pgflow.engine.enqueue import Request
from pgflow.engine.facts import Fact, Try
from pgflow.errors import (
    ArgumentError,
    Fatal,
    HistoryMismatch,
    NotRecordable,
    PayloadError,
    RetryLater,
    StepFailed,
    TaskCancelled,
    TaskFailed,
    WorkflowError,
)
from pgflow.model import EventType, State
from pgflow.sdk.event_verbs import Wanted
from pgflow.sdk.history import ChildSpawned
from pgflow.sdk.journal import FLUSH, REHEARSAL, Commit, Effect, Invoke, Transact, Wait
from pgflow.sdk.replay import Replay, place
from pgflow.sdk.step import Step
from pgflow.sdk.task import Task

Operation = Generator[Effect, Any, Any]


def step(
    replay: Replay, key: str, work: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
    in_transaction: bool = False,
) -> Operation:  # fmt: skip
    """Call a function once and record its result; after a crash in between, call it again."""
    found = replay.history.answer(key)
    if found is not None:
        return _result(key, work, found["result"])
    if key in replay.history.children:
        raise _other_kind(key, "a child", "a step")
    tries = replay.history.tries(key)
    if tries.failed:
        raise StepFailed(key, tries.error)
    policy = work.retry or replay.retry
    while True:
        while tries.due is not None and replay.journal.clock() < tries.due:
            yield Wait(due=tries.due)
        yield from _before_effect(replay, key)
        timing = _Timing()
        try:
            if in_transaction:
                make = partial(_fact, replay, key, work, timing, tries.made + 1)
                recorded = yield Transact(work, args, kwargs, replay.history.prefix + key, make)
            else:
                value = yield Invoke(work, args, kwargs, key)
                recorded = yield Commit(_fact(replay, key, work, timing, tries.made + 1, value))
            data = recorded.data
        except WorkflowError:
            raise
        except PayloadError as error:
            raise NotRecordable(
                f"{place()}: the result of step {key} cannot be stored: {error.message}", hint=error.hint
            ) from error
        except Exception as error:
            attempt = tries.made + 1
            entry = _judge(replay, key, attempt, tries.spent + 1, policy, error)
            yield Commit(entry)
            tries.made, tries.spent, tries.error = attempt, tries.spent + 1, orjson.loads(entry.error)
            if entry.type is EventType.STEP_FAILED:
                tries.failed = True
                raise StepFailed(key, tries.error) from error
            tries.due = replay.journal.clock() + timedelta(seconds=entry.delay or 0)
            continue
        replay.history.facts[key] = data
        return _result(key, work, data["result"])


class _Timing:
    """When a call began, and how long it took."""

    def __init__(self) -> None:
        self.began = datetime.now(UTC)
        self._start = time.perf_counter()

    def seconds(self) -> float:
        return round(time.perf_counter() - self._start, 6)


def _before_effect(replay: Replay, key: str) -> Operation:
    replay.go_live(key)
    if replay.rehearse is not None and replay.replaying:
        yield REHEARSAL  # is it put in before what is recorded, or in the place of it?
    if not replay.journal.settled():
        yield FLUSH


def _fact(replay: Replay, key: str, work: Step[..., Any], timing: _Timing, attempt: int, value: Any) -> Fact:
    limit = replay.payload_limit
    result = encode(value, limit=limit) if work.result is None else work.result.encode_result(value, limit=limit)
    data = orjson.dumps({"result": orjson.Fragment(result), "started_at": timing.began, "seconds": timing.seconds()})
    return replay.fact(key, data, attempt=attempt)


def _result(key: str, work: Step[..., Any], stored: Any) -> Any:
    return stored if work.result is None else _decoded(key, work.result, stored)


def _decoded(key: str, signature: Signature, stored: Any) -> Any:
    try:
        return signature.decode_result(stored)
    except ArgumentError as error:
        raise HistoryMismatch(f"{place()}: {key}: {error.message}", hint=error.hint) from error


def _judge(replay: Replay, key: str, attempt: int, spent: int, policy: RetryPolicy, error: Exception) -> Try:
    journal, stored = replay.journal, replay.history.prefix + key
    text = error_json(error)[:-1] + b',"kinds":' + orjson.dumps(_kinds(error)) + b"}"
    if isinstance(error, Fatal) or not policy.allows(spent):
        return Try(journal.task_id, journal.epoch, EventType.STEP_FAILED, stored, attempt, text)
    after = duration.bounded(error.after) if isinstance(error, RetryLater) else None
    delay = policy.delay(spent, random) if after is None else after
    return Try(journal.task_id, journal.epoch, EventType.STEP_RETRIED, stored, attempt, text, delay)


def _kinds(error: BaseException) -> list[str]:
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__ if issubclass(kind, Exception)]


def child(replay: Replay, key: str, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation:
    """Spawn a child, if that has not been done, and wait for its outcome."""
    if replay.history.child(key) is None:
        _spawn(replay, key, task, args, kwargs)
    return (yield from outcome(replay, key, task))


def start(
    replay: Replay, key: str, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
    handle: Callable[[int], Any],
) -> Operation:  # fmt: skip
    """Spawn a child, if that has not been done; the answer is a handle of it."""
    spawned = replay.history.child(key)
    if spawned is None:
        entry = _spawn(replay, key, task, args, kwargs, put=False)
        spawned = replay.history.children[key]
        spawned.id = yield Commit(entry)
    return handle(spawned.id)


def outcome(replay: Replay, key: str, task: Task[..., Any]) -> Operation:
    """Wait for the outcome of a child that was spawned."""
    while True:
        spawned = replay.history.children[key]
        if spawned.name != task.name:
            raise HistoryMismatch(
                f"{place()}: {key} is recorded as a child of task {spawned.name}, not {task.name}",
                hint="give the new child a key of its own",
            )
        if spawned.state is not None:
            return _value(key, spawned, task)
        replay.go_live(key)
        yield Wait(arrivals=1)


def _spawn(
    replay: Replay, key: str, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], put: bool = True
) -> Child:
    if key in replay.history.facts:
        raise _other_kind(key, "a step", "a child")
    replay.go_live(key)
    request = task.request(*args, **kwargs)
    if request.key is not None:
        raise NotRecordable(
            f"{place()}: a child has no key of its own", hint="its parent asks for it once anyway; leave out key="
        )
    return spawn(replay, key, request, put)


def spawn(replay: Replay, key: str, request: Request, put: bool = True) -> Child:
    """A child that was not spawned yet, known to the history from now on; put in the journal, or left to the caller."""
    journal = replay.journal
    entry = Child(journal.task_id, journal.epoch, replay.history.prefix + key, request)
    replay.history.children[key] = ChildSpawned(0, request.spec.name)
    if put:
        journal.put(entry)
    return entry


def _value(key: str, spawned: ChildSpawned, task: Task[..., Any]) -> Any:
    if spawned.state == State.COMPLETED:
        return _decoded(key, task.signature, spawned.output)
    if spawned.state == State.FAILED:
        raise TaskFailed(spawned.id, spawned.error or {})
    raise TaskCancelled(f"task {spawned.id} ({spawned.name}) was {spawned.state}")


def sleep(replay: Replay, key: str, due: Callable[[], datetime]) -> Operation:
    """Wait until an instant, which is fixed when first asked."""
    replay.history.answer(key)
    instant = replay.history.timers.get(key)
    if instant is None:
        replay.go_live(key)
        instant = replay.timer(key, due())
    while replay.journal.clock() < instant:
        replay.go_live(key)
        yield Wait(due=instant)


def signal(replay: Replay, key: str, name: str, timeout: float | None, read: Callable[[Any], Any]) -> Operation:
    """Wait for a signal, or for the time-out: None then. Which of the two it was is recorded."""
    history = replay.history
    found = history.answer(key)
    if found is not None:
        return None if found.get("signal") is None else read(found["payload"])
    due = history.timers.get(key)
    while True:
        received = history.next_signal(name, due)
        if received is not None:
            history.take(received)
            replay.note(key, {"signal": received.id, "payload": received.payload})
            return read(received.payload)
        replay.go_live(key)
        if due is None and timeout is not None:
            due = replay.timer(key, replay.journal.clock() + timedelta(seconds=timeout))
        if due is not None and replay.journal.clock() >= due:
            replay.note(key, {"signal": None, "timed_out": True})
            return None
        yield Wait(arrivals=1, due=due)


def event(
    replay: Replay, key: str, wanted: Wanted, timeout: float | None, seeker: Step[..., Any],
    read: Callable[[Any], Any],
) -> Operation:  # fmt: skip
    """Wait for an application event, or for the time-out: None then. What it was is recorded.

    The wait is known to those who emit from before it is first looked for to when it has its event (the statements are
    in `pgflow.engine.emissions`). Whoever tells it of one makes it unknown again; so if that one was not to be had,
    another wait of the run having taken it, it has to be made known anew.
    """
    history, journal = replay.history, replay.journal
    found = history.answer(key)
    if found is not None:
        return None if found.get("emission") is None else read(found["payload"])
    due = history.timers.get(key)
    told = -1
    while True:
        replay.go_live(key)
        if due is None and timeout is not None:
            due = replay.timer(key, journal.clock() + timedelta(seconds=timeout))
        late = due is not None and journal.clock() >= due
        delivered, before = history.delivered(key, due), told
        told = history.deliveries(key)
        if delivered is not None or late or told != before:
            asked = wanted.now(
                task_id=journal.task_id, epoch=journal.epoch, step=history.prefix + key,
                taken=history.events_taken(key), until=due, delivered=delivered, last=late,
            )  # fmt: skip
            sought = yield Invoke(seeker, (asked,), {}, key)
            emission, payload = (sought.id, sought.payload) if sought is not None else (None, None)
            if delivered is not None and sought is None:
                emission, payload = delivered.emission, delivered.payload
            if emission in history.events_taken(key):  # by another wait, while this one looked
                told = -1
                continue
            if emission is not None:
                history.take_event(key, emission)
                replay.note(key, {"emission": emission, "payload": payload})
                return read(payload)
            if late:
                replay.note(key, {"emission": None, "timed_out": True})
                return None
        yield Wait(arrivals=1, due=due)


def _other_kind(key: str, recorded: str, asked: str) -> HistoryMismatch:
    return HistoryMismatch(
        f"{place()}: {key} is recorded as {recorded} and is now asked for as {asked}",
        hint="give the new one a name of its own",
    )
