"""Reads a file and says what in its workflow bodies breaks replay. Nothing of it is imported or run."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from pgflow.sdk.lint import calls, sets, state, suspension
from pgflow.sdk.lint.findings import Finding, Source
from pgflow.sdk.lint.rules import UNREADABLE
from pgflow.sdk.lint.scopes import Function
from pgflow.sdk.lint.view import Problem, View

_CHECKS: tuple[Callable[[ast.AST, View], Iterator[Problem]], ...] = (
    calls.forbidden,
    calls.nameless_steps,
    calls.not_awaited,
    calls.unrecorded,
    sets.iteration,
    suspension.guards,
    state.changes,
)

_SIGNS = ("workflow", "Context")
"""A file with none of these words has no bodies."""


def lint_file(path: Path) -> list[Finding]:
    """The findings of a file, in the order of its lines. One that cannot be read or parsed is a finding itself."""
    try:
        data = path.read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except OSError as error:
        return [_unreadable(str(path), 1, 1, f"cannot be read: {error.strerror or error}")]
    except (SyntaxError, UnicodeDecodeError) as error:
        return [_unreadable(str(path), 1, 1, f"does not decode: {str(error).splitlines()[0]}")]
    return lint_source(text, str(path))


def lint_source(text: str, path: str = "<string>") -> list[Finding]:
    """The findings of a module's text, in the order of its lines.

    Args:
        text: Python.
        path: what the findings call it.

    Example:
        >>> found = lint_source(
        ...     "import time\\n@app.workflow\\ndef slow(ctx):\\n    time.sleep(60)\\n"
        ... )
        >>> [(finding.line, finding.code) for finding in found]
        [(4, 'PGF102')]
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser's remarks on the user's code are not ours to make
            module = ast.parse(text.removeprefix("\ufeff"))
        if not any(word in text for word in _SIGNS):
            return []
        source = Source(text.removeprefix("\ufeff"))
        return sorted(_findings(View(module, source), path))
    except SyntaxError as error:
        line, column = error.lineno or 1, error.offset or 1
        return [_unreadable(path, max(line, 1), max(column, 1), f"does not parse: {error.msg}")]
    except ValueError as error:
        return [_unreadable(path, 1, 1, f"does not parse: {error}")]
    except (RecursionError, MemoryError):
        return [_unreadable(path, 1, 1, "does not parse: it nests too deeply")]


def _unreadable(path: str, line: int, column: int, what: str) -> Finding:
    return Finding(path, line, column, UNREADABLE.code, UNREADABLE.level, what, UNREADABLE.instead)


def _findings(view: View, path: str) -> Iterator[Finding]:
    told: set[tuple[int, int, str]] = set()
    for problem, caller in _problems(view):
        node, rule = problem.node, problem.rule
        line = problem.line or node.lineno
        # At another line than its node's it is about a clause, which begins where the statement does.
        column = view.source.column(node.lineno, node.col_offset)
        lines = [line, node.end_lineno or line] if isinstance(node, ast.expr) else [line]
        if (line, column, rule.code) in told or view.source.is_silenced(rule.code, *lines):
            continue
        told.add((line, column, rule.code))
        message = rule.message.format(what=problem.what)
        if caller is not None:
            message += f" (called from workflow {caller})"
        yield Finding(path, line, column, rule.code, rule.level, message, rule.instead)


def _problems(view: View) -> Iterator[tuple[Problem, str | None]]:
    """All problems; those in helper functions with the workflow that leads there."""
    roots = view.bodies.roots()
    known = set(roots)
    waiting: list[tuple[Function, str | None]] = [(root, None) for root in roots]
    visited: set[tuple[Function, frozenset[str]]] = set()
    for function, caller in waiting:  # grows on the way: helpers come after all bodies
        contexts = frozenset(view.tree.inner[function].contexts)
        if (function, contexts) in visited:
            continue
        visited.add((function, contexts))
        for node in view.bodies.nodes(function):
            for check in _CHECKS:
                yield from ((problem, caller) for problem in check(node, view))
            if isinstance(node, ast.Call) and (helper := view.bodies.helper(node)) and helper not in known:
                view.contexts.receive(helper, view.contexts.passed(node, view.scope(node)))
                waiting.append((helper, caller or function.name))
