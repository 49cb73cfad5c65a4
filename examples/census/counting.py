"""What the census counts in a module. Pure: no engine, no database."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NOT_THE_LIBRARY = {"site-packages", "dist-packages", "__pycache__"}

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


@dataclass(frozen=True, slots=True)
class Counts:
    """What one module holds.

    Attributes:
        lines: lines of text, empty ones included.
        functions: `def` and `async def`, methods included.
        classes: `class`.
        branches: `if`, `elif`, `for`, `while`, `except` and `case`.
    """

    lines: int
    functions: int
    classes: int
    branches: int


def modules(root: Path) -> list[str]:
    """The Python files below `root`, as paths relative to it, without what was installed besides the library."""
    paths = (path.relative_to(root) for path in root.rglob("*.py"))
    return sorted(path.as_posix() for path in paths if NOT_THE_LIBRARY.isdisjoint(path.parts))


def count(source: bytes, name: str) -> Counts:
    """Parse a module and count.

    Raises:
        SyntaxError: it does not parse. ValueError: it holds a null byte.
    """
    kinds = [type(node) for node in _statements(ast.parse(source, name))]
    return Counts(
        lines=len(source.splitlines()),
        functions=sum(kind in _FUNCTIONS for kind in kinds),
        classes=kinds.count(ast.ClassDef),
        branches=sum(kind in _BRANCHES for kind in kinds),
    )


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement, handler and case; expressions are passed over, which is ten times less to walk."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for field in _BODIES:
            inner = getattr(node, field, ())
            if isinstance(inner, list):  # a lambda's or a conditional expression's body is one expression
                waiting.extend(inner)
