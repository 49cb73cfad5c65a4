"""Starting a run, by whichever door: its body, its answer, and how it is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import Id, Instant, Key, Model, Name, QueueName, Seconds, Text
from pgflow.api.operation import Reply
from pgflow.api.problems import ProblemError
from pgflow.api.targets import PriorityWord, Tag, refuse_own
from pgflow.codec import encode
from pgflow.engine import definitions
from pgflow.engine.audit_entries import Entry, enqueue_told
from pgflow.engine.definitions import Published
from pgflow.engine.enqueue import Request, Spec, is_plain
from pgflow.errors import ArgumentError, PayloadError
from pgflow.model import Priority
from pgflow.nodes import publishing_verbs
from pgflow.sdk import verbs
from pgflow.sdk.registry.start import queue_in
from pgflow.sdk.task import Task
from pgflow.sdk.verbs import Handle, Steps


class StartOptions(Model):
    """How a run is started."""

    input: dict[str, Any] = Field(default_factory=dict, description="The arguments, by name.")
    key: Key | None = Field(default=None, description="As the header Idempotency-Key.")
    queue: QueueName | None = Field(default=None, description="The workflow's or task's own unless given.")
    priority: PriorityWord | None = None
    delay: Seconds | None = Field(default=None, description="Seconds, or as in `1h30m`: start no sooner.")
    at: Instant | None = Field(default=None, description="Start no sooner than this.")
    tags: dict[Tag, Text] | None = Field(default=None, max_length=50, description="Words to find the run by.")
    hold: Seconds | None = Field(
        default=None, description="For how long the key stays taken; until the run has ended unless given."
    )
    timeout: Seconds | None = Field(default=None, gt=0, description="Of a task: how long an attempt may take.")
    slot: Key | None = Field(default=None, description="Of a task: whose share of a limited queue it takes.")


class StartRun(StartOptions):
    """What to start."""

    name: Name = Field(description="The workflow or task.")


class Started(Model):
    """A run that was started, now or before."""

    id: Id
    existed: bool = Field(description="The key was taken: this is the run that has it.")


async def start(change: Change, tasks: Mapping[str, Task[..., Any]], body: StartRun) -> Reply[Started]:
    """Start it, within the change's transaction, which is short: idle workers are woken, limited queues admitted."""
    refuse_own(body.name)
    change.require(workflow=body.name) if body.queue is None else _require(change, body.name, body.queue)
    key = _key(change, body)
    if body.delay is not None and body.at is not None:
        raise ArgumentError("delay and at exclude each other")
    handle = await change.drive(_start(change, tasks, body, key, body.delay))
    target = f"run:{handle.id}"
    if handle.existed:
        change.nothing_changed()
    change.tell(target, after={"name": body.name, "key": key})
    location = {"Location": f"/api/v1/runs/{handle.id}"}
    return Reply(Started(id=handle.id, existed=handle.existed), 200 if handle.existed else 201, location)


async def start_plainly(asked: Asked, backend: Backend, body: StartRun) -> Reply[Started] | None:
    """Start it in a single statement; None: it is not plain enough."""
    if body.name in backend.tasks or body.delay is not None or asked.req.get_header("Idempotency-Key") is not None:
        return None
    refuse_own(body.name)
    asked.require(workflow=body.name) if body.queue is None else _require(asked, body.name, body.queue)
    own = backend.plain.queue(body.name)
    if own is None:
        return None
    urgency = Priority.NORMAL if body.priority is None else Priority[body.priority.upper()]
    spec = Spec(body.name, body.queue or own, urgency, body.timeout, hold=body.hold)
    input = _checked(lambda: encode(body.input, limit=asked.payload_limit))
    request = Request(spec, input, body.key, None, body.at, encode(dict(body.tags)) if body.tags else None, body.slot)
    if not is_plain(request):
        return None
    after = encode({"name": body.name, "key": None})
    entry = Entry(asked.actor, "run.start", None, None, after, asked.address, asked.request_id)
    id = await backend.run(enqueue_told(request, entry))
    return None if id is None else Reply(Started(id=id, existed=False), 201, {"Location": f"/api/v1/runs/{id}"})


def _require(change: Asked, name: str, queue: str) -> None:
    """Whatever goes into a queue of theirs is theirs, and so is a workflow of theirs in whichever queue."""
    if not (change.reaches(workflow=name) or change.reaches(queue=queue)):
        raise ProblemError("forbidden", f"neither workflow {name} nor queue {queue} is in your scopes")


def _key(change: Change, body: StartOptions) -> str | None:
    header = change.req.get_header("Idempotency-Key")
    if header is None:
        return body.key
    if not 0 < len(header) <= 500:
        raise ProblemError("invalid", "Idempotency-Key has from 1 to 500 characters")
    if body.key is not None and body.key != header:
        raise ProblemError("invalid", "the key of the body is another than Idempotency-Key")
    return header


def _start(
    change: Change, tasks: Mapping[str, Task[..., Any]], body: StartRun, key: str | None, delay: float | None
) -> Steps[Handle[Any]]:
    """By the options of the code if it is at hand, else by the definition, else as a plain task."""
    limit = change.payload_limit
    task = tasks.get(body.name)
    priority = None if body.priority is None else Priority[body.priority.upper()]
    if task is not None:
        given = task.options(
            queue=body.queue, priority=priority, key=key, delay=delay, at=body.at, tags=body.tags, hold=body.hold,
            timeout=body.timeout,
        )  # fmt: skip
        request = _checked(lambda: given.request(**body.input))
        request.slot = body.slot or request.slot
        return (yield from verbs.enqueue_one(request, actor=change.actor, own_transaction=True))
    own = change.plain.queue(body.name)
    definition: Published | None = None if own is not None else (yield definitions.newest(body.name))
    if definition is not None and definition.kind == "graph":
        if body.timeout is not None or body.slot is not None:
            raise ArgumentError(f"{body.name} is a graph, which takes neither timeout nor slot")
        asked = publishing_verbs.Asked(key, body.tags or {}, priority, delay, body.at, body.queue, body.hold)
        return (
            yield from publishing_verbs.start(
                body.name, body.input, asked, limit=limit, own=True, actor=change.actor
            )
        )  # fmt: skip
    if own is None:
        own = queue_in(definition)
        change.plain.remember(body.name, own)
    urgency = Priority.NORMAL if priority is None else priority
    spec = Spec(body.name, body.queue or own, urgency, body.timeout, hold=body.hold)
    input = _checked(lambda: encode(body.input, limit=limit))
    tags = encode(dict(body.tags)) if body.tags else None
    request = Request(spec, input, key, delay, body.at, tags, body.slot)
    return (yield from verbs.enqueue_one(request, actor=change.actor, own_transaction=True))


def _checked(make: Any) -> Any:
    """What is wrong with the input is said with its path in the body."""
    try:
        return make()
    except PayloadError as error:
        at = f"$.input{error.path.removeprefix('$')}"
        message = error.message.removeprefix(f"{error.path}: ")
        raise PayloadError(message, path=at, hint=error.hint) from None
