"""What bodies ask to be started, and the request to the engine that it makes.

What is started has the options of its code if that is at hand, else of its definition, else of a plain task; what the
body says comes before these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from pgflow.api.models import Fault, Id, Instant, Key, Model, Name, QueueName, Seconds, Text
from pgflow.api.plain import PlainNames
from pgflow.api.problems import ProblemError
from pgflow.api.targets import PriorityWord, Tag
from pgflow.backoff import MOST_ATTEMPTS, Backoff, RetryPolicy
from pgflow.codec import encode
from pgflow.duration import YEARS
from pgflow.engine import definitions
from pgflow.engine.definitions import Published
from pgflow.engine.enqueue import Request, Spec
from pgflow.errors import ArgumentError, PayloadError
from pgflow.model import Priority
from pgflow.nodes import publishing_verbs
from pgflow.sdk.registry.start import queue_in
from pgflow.sdk.task import Task, check_timing, keyed
from pgflow.sdk.verbs import Steps

T = TypeVar("T")
_USUAL = RetryPolicy()


class Retry(Model):
    """When a failed attempt is followed by another."""

    max_attempts: int = Field(
        default=_USUAL.max_attempts, ge=1, le=MOST_ATTEMPTS, description="In all, the first one included."
    )
    backoff: Backoff = Field(default=_USUAL.backoff, description="How the rests between them grow.")
    base: Seconds = Field(default=_USUAL.base, description="The first rest.")
    cap: Seconds = Field(default=_USUAL.cap, description="No rest is longer.")
    jitter: bool = Field(default=_USUAL.jitter, description="Draw each rest between nothing and what it would be.")

    @property
    def policy(self) -> RetryPolicy:
        """What it asks for."""
        return RetryPolicy(**dict(self))


def _reached(at: datetime) -> datetime:
    if at.year not in YEARS:
        raise ValueError(f"the year {at.year} is out of reach: {YEARS[0]} to {YEARS[-1]} can be waited for")
    return at


class StartOptions(Model):
    """How a run is started."""

    input: dict[str, Any] = Field(default_factory=dict, description="The arguments, by name.")
    key: Key | None = Field(default=None, description="As the header Idempotency-Key.")
    queue: QueueName | None = Field(default=None, description="The workflow's or task's own unless given.")
    priority: PriorityWord | None = None
    delay: Seconds | None = Field(default=None, description="Seconds, or as in `1h30m`: start no sooner.")
    at: Annotated[Instant, AfterValidator(_reached)] | None = Field(
        default=None, description="Start no sooner than this, in the years 2 to 9998."
    )
    tags: dict[Tag, Text] | None = Field(default=None, max_length=50, description="Words to find the run by.")
    hold: Seconds | None = Field(
        default=None, description="For how long the key stays taken; until the run has ended unless given."
    )
    debounce: Seconds | None = Field(
        default=None, description="Start only once nothing was asked for with the key for so long; the last one counts."
    )
    throttle: Seconds | None = Field(
        default=None, description="Start one with the key in so long: the first; others within that time are given it."
    )
    retry: Retry | None = Field(default=None, description="Of a task: a retry policy of its own.")
    timeout: Seconds | None = Field(default=None, gt=0, description="Of a task: how long an attempt may take.")
    slot: Key | None = Field(default=None, description="Of a task: whose share of a limited queue it takes.")

    @property
    def policy(self) -> bytes:
        """The retry policy as it is stored."""
        return b"null" if self.retry is None else encode(self.retry.policy.to_json())

    @property
    def urgency(self) -> Priority | None:
        """The priority, if there is one."""
        return None if self.priority is None else Priority[self.priority.upper()]


class StartRun(StartOptions):
    """What to start."""

    name: Name = Field(description="The workflow or task.")


class Started(Model):
    """A run that was started, now or before."""

    id: Id
    existed: bool = Field(description="The key was taken: this is the run that has it.")


class Requests:
    """Makes requests. What it looks up it looks up once.

    Args:
        tasks: those whose code is at hand.
        plain: names that are no graph's.
        limit: bytes that the arguments may have.
    """

    def __init__(self, tasks: Mapping[str, Task[..., Any]], plain: PlainNames, limit: int) -> None:
        self._tasks, self._plain, self._limit = tasks, plain, limit
        self._newest: dict[str, Published | None] = {}

    def make(self, body: StartRun, key: str | None) -> Steps[Request]:
        """What the body asks for.

        Args:
            body: what to start.
            key: the key, wherever in the request it stood.
        """
        check_timing(
            body.name, delay=body.delay, at=body.at, hold=body.hold, debounce=body.debounce, throttle=body.throttle
        )
        task = self._tasks.get(body.name)
        if task is not None:
            return _of_code(task, body, key)
        own = self._plain.queue(body.name)
        if own is None:
            definition = yield from self._definition(body.name)
            if definition is not None and definition.kind == "graph":
                request = _of_graph(definition, body, key, self._limit)
                return keyed(request, debounce=body.debounce, throttle=body.throttle)
            own = queue_in(definition)
            self._plain.remember(body.name, own)
        urgency = Priority.NORMAL if body.urgency is None else body.urgency
        spec = Spec(body.name, body.queue or own, urgency, body.timeout, body.policy, body.hold)
        input = checked(lambda: encode(body.input, limit=self._limit))
        tags = encode(dict(body.tags)) if body.tags else None
        request = Request(spec, input, key, body.delay, body.at, tags, body.slot)
        return keyed(request, debounce=body.debounce, throttle=body.throttle)

    def _definition(self, name: str) -> Steps[Published | None]:
        if name not in self._newest:
            self._newest[name] = yield definitions.newest(name)
        return self._newest[name]


def _of_code(task: Task[..., Any], body: StartRun, key: str | None) -> Request:
    given = task.options(
        queue=body.queue, priority=body.urgency, key=key, delay=body.delay, at=body.at, tags=body.tags, hold=body.hold,
        debounce=body.debounce, throttle=body.throttle, timeout=body.timeout,
        retry=None if body.retry is None else body.retry.policy,
    )  # fmt: skip
    request: Request = checked(lambda: given.request(**body.input))
    request.slot = body.slot or request.slot
    return request


def _of_graph(definition: Published, body: StartRun, key: str | None, limit: int) -> Request:
    if body.timeout is not None or body.slot is not None or body.retry is not None:
        raise ArgumentError(f"{body.name} is a graph, which takes no timeout, no slot and no retry policy")
    asked = publishing_verbs.Asked(key, body.tags or {}, body.urgency, body.delay, body.at, body.queue, body.hold)
    return checked(
        lambda: publishing_verbs.request(body.name, definition.document, body.input, asked, limit=limit)
    )  # fmt: skip


def checked(make: Callable[[], T]) -> T:
    """What is wrong with the input is said with its path in the body."""
    try:
        return make()
    except PayloadError as error:
        at = f"$.input{error.path.removeprefix('$')}"
        message = error.message.removeprefix(f"{error.path}: ")
        raise PayloadError(message, path=at, hint=error.hint) from None
    except ArgumentError as error:
        if hasattr(error, "problems"):
            raise
        raise ProblemError(
            "invalid", error.message, hint=error.hint, errors=[Fault(path="$.input", message=error.message)]
        ) from None
