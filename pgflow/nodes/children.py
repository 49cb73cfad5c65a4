"""Children of a run that a node asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from pgflow.codec import error_json
from pgflow.engine.enqueue import Request
from pgflow.errors import TaskCancelled, TaskFailed
from pgflow.model import State
from pgflow.nodes.base import Scene
from pgflow.sdk import operations
from pgflow.sdk.journal import Wait
from pgflow.sdk.operations import Operation
from pgflow.sdk.replay import Replay


def child(scene: Scene, key: str, name: str, input: Mapping[str, Any]) -> Operation:
    """Have a task done, if that has not been asked for, and wait for what it gives."""
    return (yield from awaited(scene.replay, key, lambda: scene.request(name, input)))


def awaited(replay: Replay, key: str, request: Callable[[], Request]) -> Operation:
    """The same for any workflow.

    Args:
        replay: whose child it is.
        key: under which it is recorded.
        request: what is asked for, if it has not been.
    """
    if replay.history.child(key) is None:
        replay.go_live(key)
        operations.spawn(replay, key, request())
    while True:
        spawned = replay.history.children[key]
        if spawned.state == State.COMPLETED:
            return spawned.output
        if spawned.state == State.FAILED:
            raise TaskFailed(spawned.id, spawned.error or {})
        if spawned.state is not None:
            raise TaskCancelled(f"task {spawned.id} ({spawned.name}) was {spawned.state}")
        replay.go_live(key)
        yield Wait(arrivals=1)


def beside(made: Iterable[Operation], concurrency: int | None) -> Operation:
    """Do these beside each other, at most so many at once; they may wait, but ask for nothing else. Returns for each
    what it gave, or its error."""
    todo = deque(enumerate(made))
    results: list[Any] = [None] * len(todo)
    blocked: dict[int, tuple[Operation, Wait]] = {}
    while todo or blocked:
        going, blocked = blocked, {}
        for number, (operation, _) in going.items():
            _advance(number, operation, results, blocked)
        while todo and len(blocked) < (concurrency or len(results)):
            _advance(*todo.popleft(), results, blocked)
        if blocked:
            waits = [wait for _, wait in blocked.values()]
            arrivals = sum(wait.arrivals for wait in waits)
            due = min((wait.due for wait in waits if wait.due is not None), default=None)
            yield Wait(min(arrivals, 1) if todo else arrivals, due)
    return results


def state_of(error: Exception) -> State:
    """The state of what ended with this."""
    return State.CANCELLED if isinstance(error, TaskCancelled) else State.FAILED


def detail(error: Exception) -> dict[str, Any]:
    """What definitions may read of an error: `type` and `message`, those of the task if it is one's that failed."""
    stored = getattr(error, "error", None)
    if not isinstance(stored, dict):
        stored = orjson.loads(error_json(error))
    return {"type": stored.get("type"), "message": stored.get("message")}


def _advance(number: int, operation: Operation, results: list[Any], blocked: dict[int, tuple[Operation, Wait]]) -> None:
    try:
        effect = operation.send(None)
    except StopIteration as stop:
        results[number] = stop.value
    except Exception as error:  # noqa: BLE001 (it is what became of this one)
        results[number] = error
    else:
        assert isinstance(effect, Wait)
        blocked[number] = (operation, effect)
