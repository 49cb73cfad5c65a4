"""Definitions as text: YAML or JSON, with the line of each problem."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

from pgflow import yaml
from pgflow.errors import ArgumentError
from pgflow.graph.checks import MOST_BYTES
from pgflow.graph.document import Problem
from pgflow.yaml import Path, YamlError


class Placed(NamedTuple):
    """A problem with its place in a text.

    Args:
        problem: it.
        source: what the text is called, such as a file's name.
        line: from 1 on; None: it cannot be told.
        column: from 1 on.
    """

    problem: Problem
    source: str
    line: int | None
    column: int | None

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"
        return f"{where}: {self.problem}"


class Source:
    """A definition that was read from a text.

    Attributes:
        value: what it holds.
        name: what the text is called.
    """

    def __init__(self, text: str, name: str, value: Any, document: yaml.Document | None) -> None:
        self.value = value
        self.name = name
        self._text = text
        self._read = document

    @cached_property
    def _document(self) -> yaml.Document | None:
        try:
            return self._read or yaml.load(self._text, self.name)
        except YamlError:  # too long to be looked through for places
            return None

    def place(self, problem: Problem) -> Placed:
        """Where a problem lies."""
        if self._document is None:
            return Placed(problem, self.name, None, None)
        error = self._document.error(_parts(self.value, problem.path), "")
        return Placed(problem, self.name, error.line, error.column)

    def place_all(self, problems: list[Problem]) -> list[Placed]:
        """Where each lies, by line."""
        return sorted(map(self.place, problems), key=lambda one: (one.line or 0, one.column or 0))


def read(text: str, name: str = "document") -> Source:
    """Read a definition, without looking at what it says.

    Args:
        text: YAML, or JSON. YAML may have a million characters; larger definitions go as JSON.
        name: what it is called in errors, such as a file's name.

    Raises:
        ArgumentError: it cannot be read, or has a key twice. As a `YamlError` it has line and column.

    Example:
        >>> read("name: tidy\\nnodes: {wait: {type: dealy}}").place(Problem("nodes.wait.type", "unknown")).line
        2
    """
    if len(text) > MOST_BYTES:
        raise ArgumentError(f"{name}: {len(text):,} characters are more than the {MOST_BYTES:,} that are read")
    if text.lstrip()[:1] == "{":
        try:
            return Source(text, name, _json(text), None)
        except (ValueError, RecursionError) as error:  # YAML has the better message, and more that it takes
            if len(text) > yaml.MOST_CHARACTERS:
                at = error if isinstance(error, json.JSONDecodeError) else None
                raise YamlError(str(error), name, at.lineno if at else 1, at.colno if at else 1) from None
    document = yaml.load(text, name)
    return Source(text, name, document.value, document)


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _parts(value: Any, path: str) -> Path:
    """The keys and positions of a path. A key may hold dots, so what is there decides."""
    if not path:
        return ()
    if path.startswith("["):
        number, _, rest = path[1:].partition("]")
        if isinstance(value, list) and number.isdigit() and int(number) < len(value):
            return (int(number), *_parts(value[int(number)], rest.removeprefix(".")))
        return ()
    if not isinstance(value, Mapping):
        return ()
    longest: Path = ()
    for key in value:
        if isinstance(key, str) and path.startswith(key) and path[len(key) : len(key) + 1] in {"", ".", "["}:
            found = (key, *_parts(value[key], path[len(key) :].removeprefix(".")))
            longest = max(longest, found, key=lambda parts: len(".".join(map(str, parts))))
    return longest
