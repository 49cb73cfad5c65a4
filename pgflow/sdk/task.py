"""A registered task: a function with a name, and how it is queued, retried and bounded."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

import orjson

from pgflow import duration, redaction
from pgflow.backoff import RetryPolicy
from pgflow.codec import DEFAULT_PAYLOAD_LIMIT, Signature, encode
from pgflow.codec.disclosure import refuse_text
from pgflow.engine.enqueue import Request, Spec
from pgflow.engine.schedules import Schedule
from pgflow.errors import ArgumentError, RegistrationError
from pgflow.model import Priority

P = ParamSpec("P")
R = TypeVar("R")

Duration = float | str | timedelta
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,199}")
_QUEUE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}")


def is_name(name: str) -> bool:
    """Whether a task, a workflow or a step may be called so."""
    return _NAME.fullmatch(name) is not None


def check_queue(queue: str, where: str) -> str:
    """The queue's name, or a RegistrationError."""
    if not _QUEUE.fullmatch(queue):
        raise RegistrationError(
            f"{where}: {queue!r} is no name for a queue", hint="letters, digits and _ . : -, at most 100"
        )
    return queue


def check_priority(priority: Priority | int | str, where: str) -> Priority:
    """The priority, given by name or number, or a RegistrationError."""
    try:
        return Priority[priority.upper()] if isinstance(priority, str) else Priority(priority)
    except (KeyError, ValueError):
        choices = ", ".join(p.name.lower() for p in Priority)
        raise RegistrationError(f"{where}: no priority {priority!r}", hint=f"choose one of: {choices}") from None


def check_timing(
    where: str, *, delay: object = None, at: object = None, hold: object = None, debounce: object = None,
    throttle: object = None,
) -> None:  # fmt: skip
    """Raise a RegistrationError if what says when something is started contradicts itself, or is out of reach; None:
    it is not said."""
    if isinstance(at, datetime) and at.year not in duration.YEARS:
        raise RegistrationError(f"{where}: the year {at.year} is out of reach", hint="2 to 9998 can be waited for")
    if delay is not None and at is not None:
        raise RegistrationError(f"{where}: delay and at exclude each other")
    if debounce is not None and (delay is not None or at is not None or hold is not None):
        raise RegistrationError(f"{where}: debounce excludes delay, at and hold")
    if throttle is not None and (debounce is not None or hold is not None):
        raise RegistrationError(f"{where}: throttle excludes debounce and hold")


def keyed(request: Request, *, debounce: float | None, throttle: float | None) -> Request:
    """The request with what is said of others that have its key; in seconds, None: nothing is said.

    Raises:
        ArgumentError: something is, and it has none.
    """
    if debounce is None and throttle is None:
        return request
    if request.key is None:
        option = "throttle" if debounce is None else "debounce"
        raise ArgumentError(
            f"{request.spec.name}: {option} needs a key", hint="give key= beside it, or unique= to the task"
        )
    if debounce is not None:
        request.delay, request.supersede = debounce, True
    if throttle is not None:
        request.spec, request.throttle = request.spec._replace(hold=throttle), True
    return request


@dataclass(frozen=True, slots=True)
class Key:
    """A run by the key it was started with. Made by `Task.by_key`, or of a name where the code is not at hand.

    Should several unfinished runs have it, because it was not held until their end, the newest is meant.

    Args:
        name: the workflow's or task's name.
        key: the key.
    """

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Task(Generic[P, R]):
    """A function that can be enqueued. Made by `App.task`; called like a function, it just runs the function.

    Example:
        >>> @app.task(queue="mail")                                          # doctest: +SKIP
        ... def send_email(to: str, template: str) -> str: ...
        >>> send_email("ann@example.com", "welcome")        # runs here and now
        >>> client.enqueue(send_email, "ann@example.com", "welcome")         # runs in a worker
        >>> client.enqueue(send_email.options(delay="1h"), "ann@example.com", "welcome")
    """

    name: str
    function: Callable[P, Any]
    signature: Signature
    queue: str = "default"
    priority: Priority = Priority.NORMAL
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: float | None = None
    unique: Callable[P, str] | None = None
    slot: Callable[P, object] | None = None
    retry_is_own: bool = False
    """Whether `retry` was given for this enqueue and so travels with it, instead of being the worker's to know."""
    key: str | None = None
    hold: float | None = None
    debounce: float | None = None
    throttle: float | None = None
    delay: float | None = None
    at: datetime | None = None
    tags: Mapping[str, str] | None = None
    payload_limit: int = DEFAULT_PAYLOAD_LIMIT
    schedules: tuple[Schedule, ...] = ()
    """When it is started by the clock: see `App.schedule`."""

    @property
    def module(self) -> str:
        """The module its function is in."""
        return _module(self.function)

    def by_key(self, key: str) -> Key:
        """The run of it that was started with this key, for `client.signal` and `ctx.send_signal`."""
        return Key(self.name, key)

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the function itself, here."""
        return self.function(*args, **kwargs)

    def options(
        self, *, queue: str | None = None, priority: Priority | int | str | None = None,
        retry: RetryPolicy | None = None, timeout: Duration | None = None, key: str | None = None,
        hold: Duration | None = None, debounce: Duration | None = None, throttle: Duration | None = None,
        delay: Duration | None = None, at: datetime | None = None, tags: Mapping[str, str] | None = None,
    ) -> Task[P, R]:  # fmt: skip
        """The same task with other options for what is enqueued through it.

        Args:
            queue: another queue.
            priority: `critical`, `high`, `normal` or `low`.
            retry: a retry policy that travels with the task.
            timeout: how long one attempt may take.
            key: starts at most one: a second enqueue with the key gets the first one's id back, and one with the key
                and other arguments is refused.
            hold: how long the key stays taken; by default until the task has its outcome.
            debounce: start only once nobody has enqueued this task with the same key for so long; the last one's
                arguments count, those before it are skipped.
            throttle: start one with the same key in so long: the first at once; those that come within that time get
                its id back, whatever their arguments.
            delay: start no sooner than this from now (seconds, `timedelta` or text such as "1h30m").
            at: start no sooner than this instant (with a time zone).
            tags: words to find it by.

        Raises:
            RegistrationError: an option makes no sense.
        """
        where = f"options of task {self.name}"
        check_timing(where, delay=delay, at=at, hold=hold, debounce=debounce, throttle=throttle)
        if at is not None and at.tzinfo is None:
            raise RegistrationError(f"{where}: at={at.isoformat()} has no time zone", hint="use datetime.now(UTC)")
        if key is not None and not 0 < len(key) <= 500:
            raise RegistrationError(f"{where}: a key is 1 to 500 characters long")
        return replace(
            self,
            queue=self.queue if queue is None else check_queue(queue, where),
            priority=self.priority if priority is None else check_priority(priority, where),
            retry=self.retry if retry is None else retry,
            retry_is_own=self.retry_is_own or retry is not None,
            timeout=self.timeout if timeout is None else duration.parse(timeout),
            key=self.key if key is None else key,
            hold=self.hold if hold is None else duration.parse(hold),
            debounce=self.debounce if debounce is None else duration.parse(debounce),
            throttle=self.throttle if throttle is None else duration.parse(throttle),
            delay=self.delay if delay is None else duration.parse(delay),
            at=self.at if at is None else at,
            tags=self.tags if tags is None else tags,
        )

    def spec(self) -> Spec:
        """What all tasks enqueued through this have in common."""
        retry = orjson.dumps(self.retry.to_json()) if self.retry_is_own else b"null"
        return Spec(self.name, self.queue, int(self.priority), self.timeout, retry, self.hold)

    def request(self, *args: P.args, **kwargs: P.kwargs) -> Request:
        """One task to be enqueued, checked and encoded, for `Client.enqueue_many`.

        Raises:
            ArgumentError: the arguments do not fit the function.
            PayloadError: an argument cannot be stored as JSON; the text has its path.
        """
        payload = self.signature.encode_arguments(args, kwargs, limit=self.payload_limit)
        key = self.key
        if key is None and self.unique is not None:
            key = self.unique(*args, **kwargs)
            if not 0 < len(str(key)) <= 500:
                raise ArgumentError(f"{self.name}: unique= gave {key!r}, not a text of 1 to 500 characters")
        tags = None if self.tags is None else encode(dict(self.tags))
        slot = None if self.slot is None else str(self.slot(*args, **kwargs))
        if redaction.known:
            refuse_text(key, f"the key of {self.name}")
            refuse_text(slot, f"the slot of {self.name}")
        request = Request(self.spec(), payload, key, self.delay, self.at, tags, slot)
        return keyed(request, debounce=self.debounce, throttle=self.throttle)


def _module(function: Callable[..., Any]) -> str:
    """The name under which a worker will import the function's module; of a script that is run itself, its file's."""
    if function.__module__ != "__main__":
        return function.__module__
    file = getattr(sys.modules["__main__"], "__file__", None)
    return "__main__" if file is None else Path(file).stem


def make(
    function: Callable[P, Any], *, name: str | None, queue: str, priority: Priority | int | str,
    retry: RetryPolicy | int | None, timeout: Duration | None, unique: Callable[P, str] | None,
    slot: Callable[P, object] | None, payload_limit: int, kind: type[Task[P, Any]] = Task, skip: int = 0,
) -> Task[P, Any]:  # fmt: skip
    """Check a declaration and make the task, of a kind whose functions are handed `skip` parameters by us."""
    name = name or f"{_module(function)}.{function.__qualname__}"
    word = kind.__name__.lower()
    where = f"{word} {name}"
    if not is_name(name):
        raise RegistrationError(
            f"{name!r} is no name for a {word}",
            hint="give name= with letters, digits and _ . : -; a lambda or local function needs one",
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise RegistrationError(f"{where}: a generator cannot be a {word}", hint="return a list, or enqueue more tasks")
    if isinstance(retry, int):
        retry = RetryPolicy(max_attempts=retry)
    return kind(
        name=name,
        function=function,
        signature=Signature(function, skip=skip),
        queue=check_queue(queue, where),
        priority=check_priority(priority, where),
        retry=RetryPolicy() if retry is None else retry,
        timeout=None if timeout is None else duration.parse(timeout),
        unique=unique,
        slot=slot,
        payload_limit=payload_limit,
    )
