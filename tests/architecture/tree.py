"""The repository as the architecture tests see it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pgflow"


def modules() -> list[Path]:
    """Every Python module of the package."""
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def sql_files(under: str = "sql") -> list[Path]:
    """Every SQL file below a folder of the repository."""
    return sorted((ROOT / under).rglob("*.sql"))


def shown(path: Path) -> str:
    """The path as it is written in this repository."""
    return path.relative_to(ROOT).as_posix()


def strings(source: str) -> Iterator[tuple[int, str]]:
    """Every string of a module with its line, without docstrings; the holes of f-strings are written `{}`."""
    tree = ast.parse(source)
    passed_over: set[ast.AST] = set()
    for node in ast.walk(tree):  # parents come before their children
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed_over.add(node.value)  # a docstring, of whatever
        elif isinstance(node, ast.JoinedStr):
            passed_over.update(part for part in node.values if isinstance(part, ast.Constant))
            yield node.lineno, "".join(_text(part) for part in node.values)
        elif isinstance(node, ast.Constant) and node not in passed_over and isinstance(node.value, str | bytes):
            yield node.lineno, _text(node)


def _text(node: ast.AST) -> str:
    if not isinstance(node, ast.Constant):
        return "{}"
    return node.value.decode("latin-1") if isinstance(node.value, bytes) else str(node.value)


_QUIET = re.compile(
    r"""
      --[^\n]*                     # a comment to the end of its line
    | /\*.*?\*/                    # a comment between marks
    | '(?:[^']|'')*'               # a string
    | "(?:[^"]|"")*"               # a quoted name
    | \$(\w*)\$.*?\$\1\$           # a dollar-quoted body
    """,
    re.VERBOSE | re.DOTALL,
)


def statements(sql: str) -> list[str]:
    """The statements of a SQL text, comments taken out and quoted text emptied."""
    bare = _QUIET.sub(lambda found: "" if found[0].startswith(("--", "/*")) else "''", sql)
    return [statement.strip() for statement in bare.split(";") if statement.strip()]
