"""Binding: which argument is which parameter's, on both sides of the JSON in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any

from pgflow.codec.annotations import declaration
from pgflow.errors import ArgumentError


class Binding:
    """A function's parameters. Values are not looked at here, only where they go.

    Args:
        function: the function.
        skip: how many leading parameters someone else provides.
    """

    def __init__(self, function: Callable[..., Any], *, skip: int = 0) -> None:
        declared = declaration(function, skip)
        by_name = {parameter.name: parameter for parameter in declared.parameters}
        kinds = {name: parameter.kind for name, parameter in by_name.items()}
        positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        keyword = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
        variable = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)

        self.declared = declared
        self.label = declared.label
        self._text = declared.text
        self.defaults = {name: p.default for name, p in by_name.items() if p.default is not p.empty}

        self._names = frozenset(by_name)
        self._positional = tuple(name for name, kind in kinds.items() if kind in positional)
        self._positional_only = sum(kind is Parameter.POSITIONAL_ONLY for kind in kinds.values())
        self._by_keyword = frozenset(name for name, kind in kinds.items() if kind in keyword)
        self._rest = next((name for name, kind in kinds.items() if kind is Parameter.VAR_POSITIONAL), None)
        self._options = next((name for name, kind in kinds.items() if kind is Parameter.VAR_KEYWORD), None)
        self.required = frozenset(
            name for name, kind in kinds.items() if name not in self.defaults and kind not in variable
        )
        self._all_by_keyword = self._by_keyword == self._names
        # From how many positional arguments on all that is required has been given; never, if some is by keyword only.
        enough = sum(name in self.required for name in self._positional)
        self._enough = enough if self.required <= set(self._positional) else len(self._positional) + 1

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by the names of their parameters; defaults are not filled in.

        Raises:
            ArgumentError: they do not fit the function.
        """
        positional = self._positional
        bound = dict(zip(positional, args))  # noqa: B905 - the argument would cost a third more
        if not kwargs and self._enough <= len(args) <= len(positional):
            return bound
        if len(args) > len(positional):
            if self._rest is None:
                raise self.misfit(f"at most {len(positional)} by position, not {len(args)}")
            bound[self._rest] = list(args[len(positional) :])
        if kwargs:
            self._bind_keywords(bound, kwargs)
        if not self.required <= bound.keys():
            raise self.misfit(f"missing {self._list(self.required - bound.keys())}")
        return bound

    def _bind_keywords(self, bound: dict[str, Any], kwargs: dict[str, Any]) -> None:
        named: Mapping[str, Any] = kwargs
        if not kwargs.keys() <= self._by_keyword:
            unknown = {name: value for name, value in kwargs.items() if name not in self._by_keyword}
            if self._options is None:
                raise self.misfit(f"unexpected {self._list(unknown)}")
            named = {name: value for name, value in kwargs.items() if name in self._by_keyword}
            bound[self._options] = unknown
        if bound and not bound.keys().isdisjoint(named):
            raise self.misfit(f"more than one value for {self._list(bound.keys() & named.keys())}")
        bound.update(named)

    def check_names(self, values: Mapping[str, Any]) -> None:
        """See that an object has all required names and no unknown one.

        Raises:
            ArgumentError: it has not, or is no object.
        """
        if not isinstance(values, dict):
            raise self.misfit(f"the input has to be an object by these names, not a {type(values).__name__}")
        names = values.keys()
        if names != self._names and not self.required <= names <= self._names:
            if unknown := names - self._names:
                raise self.misfit(f"unexpected {self._list(unknown)}")
            raise self.misfit(f"missing {self._list(self.required - names)}")

    def spread(self, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The positional and the keyword arguments of an object whose names fit; it may be the latter itself.

        Raises:
            ArgumentError: what should be an array or an object is none, or has a parameter's name in it.
        """
        if self._all_by_keyword:
            return [], values
        keywords = dict(values)
        rest = keywords.pop(self._rest, []) if self._rest else []
        options = keywords.pop(self._options, {}) if self._options else {}
        if not isinstance(rest, list):
            raise self.misfit(f"{self._rest!r} has to be an array")
        if not isinstance(options, dict):
            raise self.misfit(f"{self._options!r} has to be an object")
        if doubled := options.keys() & self._by_keyword:
            raise self.misfit(f"more than one value for {self._list(doubled)}")
        by_position = self._positional if rest else self._positional[: self._positional_only]
        # One that was left out has a default, and is passed all the same: others follow it.
        positional = [keywords.pop(name) if name in keywords else self.defaults[name] for name in by_position]
        return positional + rest, keywords | options

    def misfit(self, problem: str) -> ArgumentError:
        """The error for arguments that do not fit, with the parameters as their author wrote them."""
        return ArgumentError(f"{self.label}() takes {self._text}: {problem}")

    def _list(self, names: Any) -> str:
        """Names in the order of the parameters, those of none at the end."""
        order = [parameter.name for parameter in self.declared.parameters]
        ranked = sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))
        return ", ".join(map(repr, ranked))
