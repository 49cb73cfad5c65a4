"""Batch handlers: one call of the function for up to n tasks or t milliseconds, whichever comes first.

Each task stays a task of its own, with its own lease, retries, outcome and cancellation: its attempt hands its argument
to a gatherer and waits for its result there. So a batch is at most as large as the executor's concurrency, all of a
batch are blamed when it kills its worker, and a suspect, which runs alone, comes in a batch of one.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pgflow.errors import Fatal, RegistrationError
from pgflow.sdk.attempt import CELL

Entry = tuple[Any, "asyncio.Future[Any]"]


class Gatherer:
    """Gathers the arguments of attempts that run at the same time, and gives each its result.

    Args:
        function: takes a list of arguments; returns a list of results of the same length, an exception in the place of
            one that failed, or None.
        size: how many at most.
        wait: seconds after the first at which a batch is full enough.
    """

    def __init__(self, function: Callable[[list[Any]], Any], size: int, wait: float) -> None:
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function)
        self._size = size
        self._wait = wait
        self._entries: list[Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def one(self, argument: Any) -> Any:
        """The result for this argument, once its batch was called."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._entries.append((argument, future))
        if len(self._entries) >= self._size:
            self._flush()
        elif len(self._entries) == 1:
            self._timer = loop.call_later(self._wait, self._flush)
        return await future

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Whoever was cancelled or timed out while it waited is not in the batch any more.
        entries = [entry for entry in self._entries if not entry[1].done()]
        self._entries = []
        if entries:
            call = asyncio.get_running_loop().create_task(self._call(entries), name="pgflow-batch")
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self, entries: list[Entry]) -> None:
        CELL.set(None)  # a batch is nobody's attempt in particular
        arguments = [argument for argument, _ in entries]
        try:
            if self._is_async:
                results = await self._function(arguments)
            else:
                results = await asyncio.to_thread(self._function, arguments)
            if results is None:
                results = [None] * len(entries)
            if not isinstance(results, Sequence) or len(results) != len(entries):
                raise Fatal(f"a batch of {len(entries)} must give as many results, or None")
        except BaseException as error:  # noqa: BLE001 (each task of the batch is judged by it)
            results = [error] * len(entries)
        for (_, future), result in zip(entries, results, strict=True):
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(_for_one(result))
            else:
                future.set_result(result)


def _for_one(error: BaseException) -> BaseException:
    """The error as one task's. A future takes no StopIteration, and a cancelled batch is no cancelled task."""
    if isinstance(error, StopIteration | asyncio.CancelledError | KeyboardInterrupt | SystemExit):
        return RuntimeError(f"the batch ended with {type(error).__name__}: {error}")
    return error


def for_each(function: Callable[[list[Any]], Any], size: int, wait: float) -> Callable[..., Any]:
    """A function of one argument that runs `function` in batches, annotated with the types of its elements.

    Raises:
        RegistrationError: the function does not take exactly one list, or size or wait make no sense.
    """
    where = f"batch {function.__module__}.{function.__qualname__}"
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 1 or parameters[0].kind not in {
        inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    }:  # fmt: skip
        raise RegistrationError(f"{where}: takes exactly one parameter, a list of arguments")
    if not 1 <= size <= 10_000:
        raise RegistrationError(f"{where}: size={size} is not between 1 and 10,000")
    if not 0 <= wait <= 60:
        raise RegistrationError(f"{where}: wait={wait:g} s is not between 0 and a minute")
    hints = get_type_hints(function)
    name = parameters[0].name
    gatherer = Gatherer(function, size, wait)

    async def each(*args: Any, **kwargs: Any) -> Any:
        (argument,) = (*args, *kwargs.values())
        return await gatherer.one(argument)

    argument, result = _element(hints.get(name, Any)), _without_errors(_element(hints.get("return", Any)))
    each.__module__, each.__qualname__, each.__doc__ = function.__module__, function.__qualname__, function.__doc__
    each.__annotations__ = {name: argument, "return": result}
    each.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=argument)],
        return_annotation=result,
    )
    return each


def _without_errors(annotation: Any) -> Any:
    """The annotation of a result without the exceptions that may stand in its place."""
    if get_origin(annotation) not in {Union, UnionType}:
        return annotation
    kept = [a for a in get_args(annotation) if not (isinstance(a, type) and issubclass(a, BaseException))]
    return Union[tuple(kept)] if kept else Any  # noqa: UP007 (put together at run time)


def _element(annotation: Any) -> Any:
    """What a list of this annotation holds; Any when it does not say."""
    if annotation is None or annotation is type(None):
        return None
    origin, args = get_origin(annotation), get_args(annotation)
    return args[0] if isinstance(origin, type) and issubclass(origin, Sequence) and len(args) == 1 else Any
