"""What a function says of its parameters and its result, with annotations resolved."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Never, NewType, NoReturn, ParamSpecArgs, ParamSpecKwargs, TypeVar, Union

from pgflow.errors import RegistrationError

_PLAIN = {str, int, float, bool, dict, list, object, None, types.NoneType, Any, Never, NoReturn}
_ARRAYS = {list, Sequence, MutableSequence, Collection, Iterable}
_OBJECTS = {dict, Mapping, MutableMapping}


@dataclass(frozen=True, slots=True)
class Declaration:
    """A function's name, parameters and result. Annotations are resolved; what has none is `Any`."""

    label: str
    parameters: list[inspect.Parameter]
    result: Any
    text: str
    """The parameters as their author wrote them, for people."""


class _Verbatim:
    """Shows itself in a signature as just this text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def declaration(function: Callable[..., Any], skip: int) -> Declaration:
    """Look at a function, without its first `skip` parameters.

    Raises:
        RegistrationError: it has fewer parameters, or an annotation names nothing.
    """
    label = getattr(function, "__name__", type(function).__name__)
    signature = inspect.signature(function)
    parameters = _without_first(list(signature.parameters.values()), skip, label)
    inner = _inner_function(function)
    resolved = [
        parameter.replace(annotation=_resolved(parameter.annotation, inner, f"{label}(): parameter {parameter.name!r}"))
        for parameter in parameters
    ]
    result = _resolved(signature.return_annotation, inner, f"{label}(): the result")
    shown = [
        parameter.replace(
            annotation=_shown(parameter.annotation),
            default=parameter.empty if parameter.default is parameter.empty else _Verbatim("..."),
        )
        for parameter in parameters
    ]
    return Declaration(label, resolved, result, str(inspect.Signature(shown)))


def is_plain(annotation: Any) -> bool:
    """Whether values of the annotation are JSON as they are, and JSON's values are values of it."""
    if isinstance(annotation, TypeVar):
        return annotation.__bound__ is None or is_plain(annotation.__bound__)
    if isinstance(annotation, NewType):
        return is_plain(annotation.__supertype__)
    if isinstance(annotation, (ParamSpecArgs, ParamSpecKwargs)):
        return True
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        try:
            return annotation in _PLAIN
        except TypeError:  # not hashable
            return False
    if origin in (Union, types.UnionType) or origin in _ARRAYS:
        return all(map(is_plain, arguments))
    if origin in _OBJECTS:
        return not arguments or (arguments[0] in (str, Any) and is_plain(arguments[1]))
    if origin is Literal:
        return all(type(choice) in _PLAIN for choice in arguments)
    return False


def name_of(annotation: Any) -> str:
    """An annotation as text, for people."""
    return inspect.formatannotation(annotation)


def _shown(annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return annotation
    return _Verbatim(annotation if isinstance(annotation, str) else name_of(annotation))


def _without_first(parameters: list[inspect.Parameter], skip: int, label: str) -> list[inspect.Parameter]:
    for _ in range(skip):
        if not parameters or parameters[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
            raise RegistrationError(
                f"{label}() takes too few parameters", hint="a workflow's first parameter is its context"
            )
        if parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            parameters = parameters[1:]
    return parameters


def _inner_function(function: Any) -> types.FunctionType | None:
    """The function within decorators, partials, methods and callable objects: the one that was written down."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif isinstance(function, types.FunctionType):
            return function
        else:
            method = getattr(type(function), "__call__", None)  # noqa: B004 - it is looked into, not called
            return method if isinstance(method, types.FunctionType) else None


def _resolved(annotation: Any, function: types.FunctionType | None, where: str) -> Any:
    if annotation is inspect.Parameter.empty:
        return Any
    local_names: Mapping[str, Any] = {}
    try:
        try:
            return _evaluated(annotation, function, local_names)
        except NameError:
            local_names = _local_names(function)
            return _evaluated(annotation, function, local_names)
    except NameError as error:
        if function is not None and error.name in _names_for_type_checkers(function.__module__):
            return Any
        raise RegistrationError(
            f"{where} is annotated {annotation!r}, and {error.name!r} names nothing", hint="import or define it first"
        ) from None
    except (AttributeError, SyntaxError, TypeError) as error:
        raise RegistrationError(f"{where} is annotated {annotation!r}, which makes no sense: {error}") from None


def _evaluated(annotation: Any, function: types.FunctionType | None, local_names: Mapping[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    global_names = {} if function is None else function.__globals__
    return typing.get_type_hints(holder, global_names, dict(local_names), include_extras=True)["it"]


def _local_names(function: types.FunctionType | None) -> dict[str, Any]:
    """The names around a function that was defined within another: what it closes over, and its maker's locals."""
    if function is None:
        return {}
    frame = inspect.currentframe()
    while frame is not None and function.__code__ not in frame.f_code.co_consts:
        frame = frame.f_back
    names = {} if frame is None else dict(frame.f_locals)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return names


@functools.cache
def _names_for_type_checkers(module: str) -> frozenset[str]:
    """What a module imports or defines under `if TYPE_CHECKING:` only. It is meant, but it is not there."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError, SyntaxError):
        return frozenset()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
            for inner in (inner for statement in node.body for inner in ast.walk(statement)):
                if isinstance(inner, (ast.Import, ast.ImportFrom)):
                    names.update(alias.asname or alias.name.split(".")[0] for alias in inner.names)
                elif isinstance(inner, ast.ClassDef):
                    names.add(inner.name)
                elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    names.add(inner.id)
    return frozenset(names)
