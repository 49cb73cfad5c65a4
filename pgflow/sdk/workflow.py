"""A registered workflow: a task whose function is handed a context, and whose steps are recorded."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import orjson

from pgflow.engine.workflows import Definition
from pgflow.errors import RegistrationError
from pgflow.sdk.step import Step
from pgflow.sdk.task import Task

P = ParamSpec("P")
R = TypeVar("R")

_CONTEXTS = {True: "Context", False: "SyncContext"}


@dataclass(frozen=True, slots=True)
class Workflow(Task[P, R]):
    """A durable function. Made by `App.workflow`; its parameters are those after the context.

    Called like a function with a context of one's own, such as `pgflow.testing.Inline()`, it just runs the function.

    Example:
        >>> @app.workflow(queue="signups")                                   # doctest: +SKIP
        ... async def signup(ctx: Context, user: User) -> str: ...
        >>> client.start(signup, User(email="ann@example.com"))
    """

    steps: Mapping[str, Step[..., Any]] = field(default_factory=dict, compare=False, repr=False)
    """What `ctx.step` knows by name."""

    def __call__(self, ctx: Any, /, *args: P.args, **kwargs: P.kwargs) -> Any:  # type: ignore[override]
        """Run the function itself, here, with this context; a context that knows better how to (`Inline`) does it."""
        conduct = getattr(ctx, "conduct", None)
        return self.function(ctx, *args, **kwargs) if conduct is None else conduct(self, args, kwargs)

    def definition(self) -> Definition:
        """What is stored of it: the JSON Schema of its input, for forms and checks at the door, and its words.

        Raises:
            RegistrationError: an annotation has no JSON form.
        """
        document = orjson.dumps(
            {
                "input": self.signature.json_schema(),
                "doc": inspect.getdoc(self.function) or "",
                "queue": self.queue,
                "colour": "async" if self.is_async else "sync",
            },
            option=orjson.OPT_SORT_KEYS,
        )
        return Definition(self.name, "code", hashlib.sha256(document).digest(), document)


def check(function: Callable[..., Any]) -> None:
    """That the function takes a context of its own colour first, or a RegistrationError."""
    name = getattr(function, "__qualname__", repr(function))
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in {
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    }:
        raise RegistrationError(
            f"workflow {name} takes no context",
            hint=f"def {name}(ctx: Context, ...): its first parameter is the context",
        )
    annotation = parameters[0].annotation
    given = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    given = given.rpartition(".")[2]
    is_async = inspect.iscoroutinefunction(function)
    if given in _CONTEXTS.values() and given != _CONTEXTS[is_async]:
        raise RegistrationError(
            f"workflow {name} is {'async' if is_async else 'plain'} and takes a {given}",
            hint=f"annotate it as {_CONTEXTS[is_async]}, or make the function {'plain' if is_async else 'async'}",
        )
