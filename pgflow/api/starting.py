"""Starting runs, by whichever door: who may, under which key, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pgflow.api.asked import Asked, Change
from pgflow.api.backend import Backend
from pgflow.api.models import Fault
from pgflow.api.operation import Reply
from pgflow.api.problems import ProblemError, problem_of
from pgflow.api.start_request import Requests, Started, StartOptions, StartRun
from pgflow.api.targets import refuse_own
from pgflow.codec import encode
from pgflow.engine.audit_entries import Entry
from pgflow.engine.enqueue import Request, is_plain
from pgflow.errors import IdempotencyConflict, PgflowError
from pgflow.sdk import verbs
from pgflow.sdk.task import Task
from pgflow.sdk.verbs import Handle, Steps


async def start(change: Change, tasks: Mapping[str, Task[..., Any]], body: StartRun) -> Reply[Started]:
    """Start it, within the change's transaction, which is short: idle workers are woken, limited queues admitted."""
    key = key_of(change, body)
    allow(change, body, key)
    request = await change.drive(Requests(tasks, change.plain, change.payload_limit).make(body, key))
    (handle,) = await change.drive(_write([request], change.actor))
    target = f"run:{handle.id}"
    if handle.existed:
        change.nothing_changed()
    change.tell(target, after={"name": body.name, "key": key})
    location = {"Location": f"/api/v1/runs/{handle.id}"}
    return Reply(Started(id=handle.id, existed=handle.existed), 200 if handle.existed else 201, location)


async def start_many(
    change: Change, tasks: Mapping[str, Task[..., Any]], bodies: Sequence[StartRun], *, wake: bool = True
) -> list[Started]:
    """Start all of them or none, in a single statement as a rule. What is wrong with one is told with its place."""
    if change.req.get_header("Idempotency-Key") is not None:
        raise ProblemError("invalid", "Idempotency-Key is for one run", hint="give each of many a `key` of its own")
    made = Requests(tasks, change.plain, change.payload_limit)
    requests: list[Request] = []
    for body in bodies:
        with _placed(lambda _: len(requests)):
            allow(change, body, body.key)
            requests.append(await change.drive(made.make(body, body.key)))
    with _placed(lambda error: _conflicting(requests, error)):
        handles = await change.drive(_write(requests, change.actor, wake=wake))
    return [Started(id=one.id, existed=one.existed) for one in handles]


def _write(requests: Sequence[Request], actor: str, *, wake: bool = True) -> Steps[list[Handle[Any]]]:
    if len(requests) == 1 and not requests[0].supersede and wake:
        return [(yield from verbs.enqueue_one(requests[0], actor=actor, own_transaction=True))]
    asked = verbs.asked(requests)
    handles: list[Handle[Any]] = []
    for call in verbs.enqueue_all(asked.parts, actor=actor, own_transaction=True, short=asked.short, wake=wake):
        handles += yield call
    return handles


@contextmanager
def _placed(where: Callable[[Exception], int | None]) -> Iterator[None]:
    """What is wrong with one of many is said with its place among them."""
    try:
        yield
    except (PgflowError, ProblemError) as error:
        problem, at = problem_of(error), where(error)
        if at is None or problem.status >= 500:
            raise
        place = f"$.items[{at}]"
        faults = [one.model_copy(update={"path": _below(place, one.path)}) for one in problem.errors]
        raise ProblemError(
            problem.code, f"{place}: {problem.detail}", hint=problem.hint,
            errors=faults or [Fault(path=place, message=problem.detail)],
        ) from None  # fmt: skip


def _below(place: str, path: str) -> str:
    """A path in one of many as a path in the body."""
    rest = path.removeprefix("$")
    return f"{place}{rest}" if not rest or rest[0] in ".[" else f"{place}.{rest}"


def _conflicting(requests: Sequence[Request], error: Exception) -> int | None:
    """Which one's key was used with something else; of those that take several statements it is not known."""
    if not isinstance(error, IdempotencyConflict) or not verbs.asked(requests).short:
        return None
    return error.position


def allow(asked: Asked, body: StartRun, key: str | None) -> None:
    """Raise `forbidden` unless they may start this.

    Whatever goes into a queue of theirs is theirs, and so is a workflow of theirs in whichever queue. Keys are of the
    workflow, whatever the queue: with one they would reach runs of it in queues of others, to be told of them, to take
    their keys, and with `debounce` to end them. So it takes the workflow.
    """
    refuse_own(body.name)
    if asked.reaches(workflow=body.name):
        return
    if body.queue is None:
        asked.require(workflow=body.name)
    elif not asked.reaches(queue=body.queue):
        raise ProblemError("forbidden", f"neither workflow {body.name} nor queue {body.queue} is in your scopes")
    elif key is not None or body.debounce is not None or body.throttle is not None:
        raise ProblemError(
            "forbidden", f"workflow {body.name} is not in your scopes, and keys are a workflow's, in all queues",
            hint="start it without key, Idempotency-Key, debounce and throttle",
        )  # fmt: skip


async def start_plainly(asked: Asked, backend: Backend, body: StartRun) -> Reply[Started] | None:
    """Start it in a single statement, with what others start; None: it is not plain enough."""
    allow(asked, body, key_of(asked, body))
    if asked.req.get_header("Idempotency-Key") is not None:
        return None
    try:
        next(Requests(backend.tasks, backend.plain, asked.payload_limit).make(body, body.key))
    except StopIteration as made:
        request: Request = made.value
    else:  # it has to be looked up
        return None
    if not is_plain(request):
        return None
    after = encode({"name": body.name, "key": None})
    entry = Entry(asked.actor, "run.start", None, None, after, asked.address, asked.request_id)
    id = await backend.starts.start(request, entry)
    return None if id is None else Reply(Started(id=id, existed=False), 201, {"Location": f"/api/v1/runs/{id}"})


def key_of(asked: Asked, body: StartOptions) -> str | None:
    """The key that it is started with."""
    header = asked.req.get_header("Idempotency-Key")
    if header is None:
        return body.key
    if not 0 < len(header) <= 500:
        raise ProblemError("invalid", "Idempotency-Key has from 1 to 500 characters")
    if body.key is not None and body.key != header:
        raise ProblemError("invalid", "the key of the body is another than Idempotency-Key")
    return header
