"""Every error pgflow raises on purpose. Each says what is wrong, where, and what to do.

`str(error)` is the whole message for a person: the problem, then the hint when there is one. The CLI prints
it after `error:`, without a traceback; the API turns it into a problem document.
"""

from __future__ import annotations

from typing import Any


class PgflowError(Exception):
    """Base of all of pgflow's own errors.

    Args:
        message: what is wrong, and where.
        hint: what to do about it, if there is one thing to do.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n  -> {hint}")
        self.message = message
        self.hint = hint


class ConfigError(PgflowError):
    """A setting is missing or makes no sense."""


class DatabaseUnavailable(PgflowError):
    """The database could not be reached, or was lost midway."""


class ApiUnavailable(PgflowError):
    """The REST API could not be reached, or could not answer now. Raised by the remote clients."""


class SchemaError(PgflowError):
    """The schema is missing, behind, or newer than this version of pgflow."""


class PermissionDenied(PgflowError):
    """The database role may not do this."""


class EmbeddedError(PgflowError):
    """The embedded Postgres or Valkey could not be found or started."""


class AppLoadError(PgflowError):
    """A user's module could not be imported, or holds no app."""


class RegistrationError(PgflowError):
    """A task is declared wrongly: a bad name, queue, retry policy, signature or a name taken twice."""


class UnknownTask(PgflowError):
    """No task of that name is registered."""


class NotFound(PgflowError):
    """There is no such run, task, queue, worker or secret."""


class SealBroken(PgflowError):
    """A secret cannot be opened: its key is not at hand, or what is stored is not what was sealed."""


class ArgumentError(PgflowError):
    """The arguments do not fit the task's signature, or do not decode to its annotations."""


class NameTaken(ArgumentError):
    """What was to be made has the name of one that is there already."""


class IdempotencyConflict(PgflowError):
    """A key that was used before came again with other arguments.

    Attributes:
        task_id: the task that was started with the key first.
        position: which one of a batch it is, counted from 0.
    """

    def __init__(self, key: str, task_id: int, position: int = 0) -> None:
        super().__init__(
            f"key {key!r} was already used with other arguments, by task {task_id}",
            hint="use a new key for a new request, or send the same arguments to get the first task back",
        )
        self.task_id = task_id
        self.position = position


class PayloadError(PgflowError):
    """A value cannot be stored as JSON.

    Args:
        message: what is wrong with the value.
        path: where it is, as in `$.order.lines[3].price`.
    """

    def __init__(self, message: str, *, path: str = "$", hint: str | None = None) -> None:
        super().__init__(f"{path}: {message}", hint=hint)
        self.path = path


class ResultTimeout(PgflowError):
    """The run had no outcome yet when the time to wait for it was over. The run goes on."""


class TaskFailed(PgflowError):
    """The run whose result was asked for failed.

    Attributes:
        task_id: the failed task.
        error: the stored error: `type`, `message`, `traceback`, `reason`.
    """

    def __init__(self, task_id: int, error: dict[str, object]) -> None:
        super().__init__(f"task {task_id} failed: {error.get('type')}: {error.get('message')}")
        self.task_id = task_id
        self.error = error


class TaskCancelled(PgflowError):
    """The run whose result was asked for was cancelled."""


class LeaseLost(PgflowError):
    """This worker's lease on the task is gone; whatever it still writes is refused."""


class StepFailed(PgflowError):
    """A step of a workflow has used up its tries. Raised by `ctx.step`, at first and at every replay.

    Attributes:
        step: the step's key.
        error: the stored error of the last try: `type`, `module`, `message`, `traceback`.
    """

    def __init__(self, step: str, error: dict[str, Any]) -> None:
        super().__init__(f"step {step} failed: {error.get('type')}: {error.get('message')}")
        self.step = step
        self.error = error

    def is_a(self, kind: type[BaseException]) -> bool:
        """Whether the last try raised this type of exception, or a subclass of it.

        Example:
            >>> try:                                                         # doctest: +SKIP
            ...     await ctx.step(charge, card)
            ... except StepFailed as failed:
            ...     if not failed.is_a(CardDeclined):
            ...         raise
        """
        return f"{kind.__module__}.{kind.__qualname__}" in self.error.get("kinds", ())


class WorkflowError(PgflowError):
    """A workflow's code asks for something that cannot be. The run is parked for attention, and goes on once the code
    is mended."""


class HistoryMismatch(WorkflowError):
    """What a workflow's code asks for does not fit what its history holds.

    Attributes:
        diff: recorded (-) against asked for (+), if that tells more than the message.
    """

    def __init__(self, message: str, *, hint: str | None = None, diff: list[str] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.diff = diff or []


class DuplicateStep(WorkflowError):
    """Two steps of one run ask for the same key."""


class SwallowedSuspension(WorkflowError):
    """A workflow's code caught the exception that suspends it, and went on."""


class NotRecordable(WorkflowError):
    """A workflow's code asks for something that a history cannot hold: a nameless step, a foreign coroutine."""


class HistoryLimit(WorkflowError):
    """A run has recorded as many steps, or spawned as many children, as it may."""


class Suspension(BaseException):
    """Takes a workflow off its worker until what it waits for has come. Not to be caught: its code runs again from the
    top, and what was recorded answers at once."""


class ContinuedAsNew(BaseException):
    """Takes a workflow out of its function to start over. Raised by `ctx.continue_as_new`; not to be caught.

    Attributes:
        input: the new arguments as JSON text.
    """

    def __init__(self, input: bytes) -> None:
        super().__init__()
        self.input = input


class WorkflowCancelled(BaseException):
    """Raised in the code of a workflow that is being cancelled, where it stands. Not to be caught: what was registered
    with `ctx.compensate` and `ctx.on_cancel` runs when it has left the function."""


class RetryLater(Exception):
    """Raised by a handler to be tried again.

    It counts as an attempt, so the retry policy's `max_attempts` still ends it.

    Args:
        after: seconds until the next attempt, a hundred years at most; the retry policy's backoff if not given.

    Example:
        >>> raise RetryLater("rate limited", after=30)  # doctest: +SKIP
    """

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        super().__init__(message or "to be retried")
        self.after = after


class Fatal(Exception):
    """Raised by a handler whose task must not be retried: it fails at once, whatever the retry policy says.

    Example:
        >>> raise Fatal("no such customer")  # doctest: +SKIP
    """
