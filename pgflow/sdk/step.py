"""A step: a function whose result a workflow records, with the options that one call of it has."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any, Generic, ParamSpec, TypeVar, overload

from pgflow import duration
from pgflow.backoff import RetryPolicy
from pgflow.codec import Signature
from pgflow.errors import NotRecordable, RegistrationError
from pgflow.sdk.task import Duration, Task, is_name

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Step(Generic[P, R]):
    """A function to be called as a step. Made by `App.step` or `step`; called like a function, it just runs it.

    Example:
        >>> await ctx.step(charge.options(retry=RetryPolicy(3), key=f"charge-{item.id}"), item)   # doctest: +SKIP
    """

    name: str
    function: Callable[P, Any]
    result: Signature | None
    is_async: bool
    retry: RetryPolicy | None = None
    timeout: float | None = None
    key: str | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the function itself, here."""
        return self.function(*args, **kwargs)

    def options(
        self, *, key: str | None = None, retry: RetryPolicy | int | None = None, timeout: Duration | None = None
    ) -> Step[P, R]:
        """The same step with other options.

        Args:
            key: what it is recorded under, in place of its name and a running number.
            retry: how often it is tried; the workflow's policy unless given.
            timeout: how long one try may take.

        Raises:
            RegistrationError: an option makes no sense.
        """
        if key is not None:
            check_key(key, self.name)
        return replace(
            self,
            key=self.key if key is None else key,
            retry=self.retry if retry is None else RetryPolicy(retry) if isinstance(retry, int) else retry,
            timeout=self.timeout if timeout is None else duration.parse(timeout),
        )


def check_key(key: str, where: str) -> str:
    """The key, or a RegistrationError."""
    if not 0 < len(key) <= 200 or key[0] == "$" or "#" in key or "/" in key or "\0" in key:
        raise RegistrationError(
            f"step {where}: {key!r} is no key", hint="1 to 200 characters, not beginning with $, without # and /"
        )
    return key


@overload
def step(
    function: Callable[P, Awaitable[R]], /, *, name: str | None = None, key: str | None = None,
    retry: RetryPolicy | int | None = None, timeout: Duration | None = None,
) -> Step[P, R]: ...  # fmt: skip
@overload
def step(
    function: Callable[P, R], /, *, name: str | None = None, key: str | None = None,
    retry: RetryPolicy | int | None = None, timeout: Duration | None = None,
) -> Step[P, R]: ...  # fmt: skip
def step(
    function: Callable[P, Any], /, *, name: str | None = None, key: str | None = None,
    retry: RetryPolicy | int | None = None, timeout: Duration | None = None,
) -> Step[..., Any]:  # fmt: skip
    """A function as a step with options, for a call of its own.

    Args:
        function: plain or async.
        name: what it is recorded as; the function's own name unless given. A lambda needs one.
        key: what this call is recorded under, in place of the name and a running number.
        retry: how often it is tried; the workflow's policy unless given.
        timeout: how long one try may take.

    Raises:
        RegistrationError: an option makes no sense.
        NotRecordable: there is no name.

    Example:
        >>> await ctx.step(step(lambda: rates["EUR"], name="rate"))          # doctest: +SKIP
    """
    made: Step[..., Any] = of(function) if name is None else _make(function, name)
    return made.options(key=key, retry=retry, timeout=timeout)


def of(work: Any) -> Step[..., Any]:
    """What `ctx.step` was given, as a step.

    Raises:
        NotRecordable: it has no name, or is no function.
    """
    if type(work) is Step:
        return work
    if isinstance(work, functools.partial) and isinstance(work.func, Step):
        return replace(work.func, function=functools.partial(work.func.function, *work.args, **work.keywords))
    if isinstance(work, Task):
        return Step(work.name, work.function, work.signature, work.is_async, work.retry, work.timeout)
    code = getattr(work, "__code__", None)
    if code is None:
        return _make(work, _name_of(work))
    known = _KNOWN.get(code)
    if known is None:
        known = _KNOWN[code] = _make(work, _name_of(work))
    return known if known.function is work else replace(known, function=work)


_KNOWN: dict[CodeType, Step[..., Any]] = {}
"""By code, because a local function is a new object at every replay."""


def _name_of(work: Any) -> str:
    if inspect.iscoroutine(work) or inspect.isawaitable(work):
        if inspect.iscoroutine(work):
            work.close()
        raise NotRecordable(
            "ctx.step was given a coroutine", hint="hand it the function and its arguments: ctx.step(charge, card)"
        )
    if not callable(work):
        raise NotRecordable(f"ctx.step was given a {type(work).__name__}, not a function")
    inner = work
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(inner, "__name__", None) or type(inner).__name__
    if name == "<lambda>":
        raise NotRecordable("a lambda has no name to be recorded under", hint='ctx.step(step(lambda: ..., name="..."))')
    return str(name)


def _make(function: Callable[..., Any], name: str) -> Step[..., Any]:
    if not is_name(name):
        raise RegistrationError(f"{name!r} is no name for a step", hint="give name= with letters, digits and _ . : -")
    inner: Any = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    is_async = inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None))  # noqa: B004
    try:
        result = Signature(inner if inspect.isroutine(inner) else type(inner).__call__)
    except (RegistrationError, ValueError, TypeError):
        result = None  # a builtin, say: its result is taken as it is
    return Step(name, function, result, is_async)
