"""The app: where a user's tasks are registered. An instance, never a global."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, overload

from pgflow import config, duration
from pgflow.backoff import RetryPolicy
from pgflow.errors import RegistrationError
from pgflow.model import Priority
from pgflow.sdk.batch import for_each
from pgflow.sdk.context import Context
from pgflow.sdk.step import Step
from pgflow.sdk.step import step as as_step
from pgflow.sdk.sync_context import SyncContext
from pgflow.sdk.task import Duration, Task, make
from pgflow.sdk.workflow import Workflow, check

if TYPE_CHECKING:
    from pgflow.sdk.async_client import AsyncClient
    from pgflow.sdk.client import Client
    from pgflow.sdk.registry.schedules import Timing

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class _Decorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class _WorkflowDecorator(Protocol):
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], Awaitable[R]], /) -> Workflow[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[SyncContext, P], R], /) -> Workflow[P, R]: ...


class _StepDecorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Step[P, R]: ...


class _BatchDecorator(Protocol):
    @overload
    def __call__(self, function: Callable[[list[T]], Awaitable[None]], /) -> Task[[T], None]: ...
    @overload
    def __call__(self, function: Callable[[list[T]], Awaitable[Sequence[R | BaseException]]], /) -> Task[[T], R]: ...
    @overload
    def __call__(self, function: Callable[[list[T]], None], /) -> Task[[T], None]: ...
    @overload
    def __call__(self, function: Callable[[list[T]], Sequence[R | BaseException]], /) -> Task[[T], R]: ...


class App:
    """A set of tasks and the database they live in.

    Args:
        database_url: where; `PGFLOW_DATABASE_URL` or `DATABASE_URL` unless given.
        schema: which engine in that database; `PGFLOW_SCHEMA` or `pgflow` unless given.

    Example:
        >>> app = App()
        >>> @app.task(queue="mail", retry=RetryPolicy(5, base=1), timeout="30s")
        ... def send_email(to: str, template: str) -> str:
        ...     return "sent"
    """

    def __init__(
        self, database_url: str | None = None, *, schema: str | None = None, settings: config.Settings | None = None
    ) -> None:
        self._given = {"database_url": database_url, "schema_name": schema}
        self._settings = settings
        self.tasks: dict[str, Task[..., Any]] = {}
        self.steps: dict[str, Step[..., Any]] = {}

    def settings(self) -> config.Settings:
        """The settings in force: the environment's, overridden by what this app was given."""
        if self._settings is None:
            self._settings = config.load(**self._given)
        return self._settings

    @overload
    def task(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self, /, *, name: str | None = None, queue: str = "default", priority: Priority | int | str = Priority.NORMAL,
        retry: RetryPolicy | int | None = None, timeout: Duration | None = None,
        unique: Callable[..., str] | None = None, slot: Callable[..., object] | None = None,
    ) -> _Decorator: ...  # fmt: skip

    def task(
        self, function: Any = None, /, *, name: str | None = None, queue: str = "default",
        priority: Priority | int | str = Priority.NORMAL, retry: RetryPolicy | int | None = None,
        timeout: Duration | None = None, unique: Callable[..., str] | None = None,
        slot: Callable[..., object] | None = None,
    ) -> Any:  # fmt: skip
        """Register a function, plain or async, as a task. Used bare or with options.

        Args:
            name: what it is called in the database, for ever; the function's dotted name unless given.
            queue: where it waits.
            priority: `critical`, `high`, `normal` or `low`.
            retry: its retry policy, or just how many attempts in all; five with exponential backoff unless given.
            timeout: how long one attempt may take (seconds, `timedelta` or text such as "30s").
            unique: makes a key of the arguments; while a task with that key has no outcome, another enqueue of it
                gets that task back instead.
            slot: makes the name of a slot of the arguments, such as the customer's: when the queue is limited, slots
                take turns and may be limited each by itself.

        Raises:
            RegistrationError: the declaration makes no sense, or the name is taken.
        """

        def register(function: Callable[..., Any]) -> Task[..., Any]:
            made = make(
                function, name=name, queue=queue, priority=priority, retry=retry, timeout=timeout, unique=unique,
                slot=slot, payload_limit=self.settings().payload_limit,
            )  # fmt: skip
            return _entered(self.tasks, made, "tasks")

        return register if function is None else register(function)

    @overload
    def workflow(self, function: Callable[Concatenate[Context, P], Awaitable[R]], /) -> Workflow[P, R]: ...
    @overload
    def workflow(self, function: Callable[Concatenate[SyncContext, P], R], /) -> Workflow[P, R]: ...
    @overload
    def workflow(
        self, /, *, name: str | None = None, queue: str = "default", priority: Priority | int | str = Priority.NORMAL,
        retry: RetryPolicy | int | None = None, timeout: Duration | None = None,
        unique: Callable[..., str] | None = None, slot: Callable[..., object] | None = None,
    ) -> _WorkflowDecorator: ...  # fmt: skip

    def workflow(
        self, function: Any = None, /, *, name: str | None = None, queue: str = "default",
        priority: Priority | int | str = Priority.NORMAL, retry: RetryPolicy | int | None = None,
        timeout: Duration | None = None, unique: Callable[..., str] | None = None,
        slot: Callable[..., object] | None = None,
    ) -> Any:  # fmt: skip
        """Register a durable function. Its first parameter is a `Context` when it is async, else a `SyncContext`.

        Args:
            name, queue, priority, unique, slot: as for `task`.
            retry: what its steps are tried by that have no policy of their own, and the code between them.
            timeout: how long it may run without suspending.

        Raises:
            RegistrationError: the declaration makes no sense, or the name is taken.

        Example:
            >>> @app.workflow(queue="signups")                               # doctest: +SKIP
            ... async def signup(ctx: Context, email: str) -> str:
            ...     await ctx.step(create_account, email)
            ...     await ctx.sleep("1d")
            ...     return await ctx.run(send_email, email, "how-is-it-going")
        """

        def register(function: Callable[..., Any]) -> Any:
            check(function)
            made = make(
                function, name=name, queue=queue, priority=priority, retry=retry, timeout=timeout, unique=unique,
                slot=slot, payload_limit=self.settings().payload_limit, kind=Workflow, skip=1,
            )  # fmt: skip
            assert isinstance(made, Workflow)
            return _entered(self.tasks, replace(made, steps=self.steps), "tasks")

        return register if function is None else register(function)

    @overload
    def step(self, function: Callable[P, Awaitable[R]], /) -> Step[P, R]: ...
    @overload
    def step(self, function: Callable[P, R], /) -> Step[P, R]: ...
    @overload
    def step(
        self, /, *, name: str | None = None, retry: RetryPolicy | int | None = None, timeout: Duration | None = None
    ) -> _StepDecorator: ...

    def step(
        self, function: Any = None, /, *, name: str | None = None, retry: RetryPolicy | int | None = None,
        timeout: Duration | None = None,
    ) -> Any:  # fmt: skip
        """Register a function as a step, with options that hold for every call of it, and for `ctx.step` by its name.

        Args:
            name: what it is recorded as; the function's own name unless given.
            retry: how often it is tried; the workflow's policy unless given.
            timeout: how long one try may take.

        Raises:
            RegistrationError: the declaration makes no sense, or the name is taken.
        """

        def register(function: Callable[..., Any]) -> Step[..., Any]:
            return _entered(self.steps, as_step(function, name=name, retry=retry, timeout=timeout), "steps")

        return register if function is None else register(function)

    def schedule(self, *, name: str | None = None, **timing: Unpack[Timing]) -> Callable[[Task[P, R]], Task[P, R]]:
        """Have the clock start a task or a workflow. Workers bring the schedule to the database when they start.

        Args:
            name: of the schedule; the task's unless given. A task with several schedules needs one for each.
            **timing: `cron=`, `every=` or `at=`, with `timezone=`, `input=`, `overlap=`, `catch_up=`, `jitter=`,
                `starts_at=` and `ends_at=`, as for `client.schedules.create`.

        Raises:
            RegistrationError: the name is taken, or what is decorated is no task.
            CronError: the timetable makes no sense.
            ArgumentError: something else makes none.

        Example:
            >>> @app.schedule(cron="0 6 * * 1-5", timezone="Europe/Berlin")  # doctest: +SKIP
            ... @app.task
            ... def daily_report() -> None: ...
        """

        def declare(task: Task[P, R]) -> Task[P, R]:
            from pgflow.sdk.registry.schedules import schedule_of

            if not isinstance(task, Task):
                raise RegistrationError(
                    "app.schedule is for a task or a workflow", hint="put @app.schedule(...) above @app.task"
                )
            chosen = name or task.name
            if any(one.name == chosen for known in self.tasks.values() for one in known.schedules):
                raise RegistrationError(f"two schedules are named {chosen}", hint="give one of them another name=")
            schedule = schedule_of(chosen, task, **timing, source=f"code:{task.module}")
            scheduled = replace(task, schedules=(*task.schedules, schedule))
            self.tasks[task.name] = scheduled
            return scheduled

        return declare

    def batch(
        self, *, size: int, wait: Duration = "50ms", name: str | None = None, queue: str = "default",
        priority: Priority | int | str = Priority.NORMAL, retry: RetryPolicy | int | None = None,
        timeout: Duration | None = None, unique: Callable[..., str] | None = None,
        slot: Callable[..., object] | None = None,
    ) -> _BatchDecorator:  # fmt: skip
        """Register a function that takes a list: one call for up to `size` tasks.

        Each task is enqueued with one argument and has an outcome of its own. The function returns a list of as many
        results, an exception in the place of one that failed, or None; if it raises, all of the batch are retried.

        Args:
            size: how many tasks at most; no more than the executor's concurrency come together.
            wait: how long the first of a batch waits for others.
            name, queue, priority, retry, timeout, unique, slot: as for `task`.

        Example:
            >>> @app.batch(size=100, wait="20ms")                            # doctest: +SKIP
            ... async def index(documents: list[str]) -> None: ...
            >>> client.enqueue(index, "one document")                        # doctest: +SKIP
        """

        def register(function: Callable[[list[Any]], Any]) -> Any:
            return self.task(
                name=name, queue=queue, priority=priority, retry=retry, timeout=timeout, unique=unique, slot=slot
            )(for_each(function, size, duration.parse(wait)))

        return register

    def client(self) -> Client:
        """A client for this app's engine, for sync code. Close it, or use it with `with`."""
        from pgflow.sdk.client import Client

        return Client(self.settings(), self.tasks)

    def async_client(self) -> AsyncClient:
        """A client for this app's engine, for async code. Close it, or use it with `async with`."""
        from pgflow.sdk.async_client import AsyncClient

        return AsyncClient(self.settings(), self.tasks)


Entry = TypeVar("Entry", Task[..., Any], Step[..., Any])


def _entered(registry: dict[str, Entry], entry: Entry, what: str) -> Entry:
    """The entry, now known by its name; a RegistrationError if another function has it."""
    taken = registry.get(entry.name)
    if taken is not None and taken.function.__qualname__ != entry.function.__qualname__:
        raise RegistrationError(f"two {what} are named {entry.name}", hint="give one of them another name=")
    registry[entry.name] = entry
    return entry
