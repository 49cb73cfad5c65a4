"""What stands in the way of a suspension, which leaves the function as a `BaseException`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from pgflow.sdk.lint import rules
from pgflow.sdk.lint.contexts import AWAITED, METHODS
from pgflow.sdk.lint.scopes import Scope, own
from pgflow.sdk.lint.view import Problem, View, shown

_BASE = {"builtins.BaseException", "builtins.BaseExceptionGroup"}
_HOLDS_NOTHING = {
    "contextlib.suppress()",
    "contextlib.nullcontext()",
    "decimal.localcontext()",
    "warnings.catch_warnings()",
}


def guards(node: ast.AST, view: View) -> Iterator[Problem]:
    """`try` and `with` around calls of the context."""
    if isinstance(node, ast.Try | ast.TryStar):
        yield from _handlers(node, view)
        yield from _finally(node, view)
    elif isinstance(node, ast.With | ast.AsyncWith):
        yield from _with(node, view)


def _handlers(node: ast.Try | ast.TryStar, view: View) -> Iterator[Problem]:
    if not view.contexts.reaches(node.body, METHODS):
        return
    for handler in node.handlers:
        if _catches_all(handler.type, view) and not _raises_again(handler):
            what = "except:" if handler.type is None else f"except {shown(handler.type)}"
            yield Problem(rules.SWALLOWED, node, what, line=handler.lineno)
        if _catches_all(handler.type, view):
            return  # the handlers below it never see a suspension


def _catches_all(node: ast.expr | None, view: View) -> bool:
    if isinstance(node, ast.Tuple):
        return any(_catches_all(part, view) for part in node.elts)
    return node is None or view.names.dotted(node, view.scope(node)) in _BASE


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether it raises what it caught, by `raise` alone or by its name."""
    # Within another handler a bare `raise` means what that one caught.
    inner = {part for node in own(handler.body) if isinstance(node, ast.ExceptHandler) for part in own(node.body)}
    for node in own(handler.body):
        match node:
            case ast.Raise(exc=None) if node not in inner:
                return True
            case ast.Raise(exc=ast.Name(id=name)) if name == handler.name:
                return True
            case _:
                pass
    return False


def _finally(node: ast.Try | ast.TryStar, view: View) -> Iterator[Problem]:
    guarded: list[ast.AST] = [*node.body, *node.handlers, *node.orelse]
    if not node.finalbody or not view.contexts.reaches(guarded, METHODS):
        return
    yield from _departures(node.finalbody)
    if view.contexts.reaches(guarded, AWAITED):
        line = view.source.line_of_finally(node.finalbody[0])
        yield Problem(rules.CLEAN_UP, node, "finally", line=line)


def _departures(statements: Sequence[ast.AST]) -> Iterator[Problem]:
    """What leaves these statements for somewhere else than their end."""
    within_loops = {
        part
        for node in own(statements)
        if isinstance(node, ast.For | ast.AsyncFor | ast.While)
        for part in own(node.body)
    }
    for node in own(statements):
        if isinstance(node, ast.Return):
            yield Problem(rules.LEFT_IN_FINALLY, node, "return")
        elif isinstance(node, ast.Break | ast.Continue) and node not in within_loops:
            yield Problem(rules.LEFT_IN_FINALLY, node, "break" if isinstance(node, ast.Break) else "continue")


def _with(node: ast.With | ast.AsyncWith, view: View) -> Iterator[Problem]:
    scope = view.scope(node)
    for item in node.items:
        call = item.context_expr
        if _suppresses_all(call, scope, view) and view.contexts.reaches(node.body, METHODS):
            yield Problem(rules.SWALLOWED, call, shown(call))
    entered = [item.context_expr for item in node.items if not _holds_nothing(item.context_expr, scope, view)]
    if entered and view.contexts.reaches(node.body, AWAITED):
        word = "async with" if isinstance(node, ast.AsyncWith) else "with"
        yield Problem(rules.CLEAN_UP, node, f"{word} {shown(entered[0])}")


def _suppresses_all(node: ast.expr, scope: Scope, view: View) -> bool:
    return (
        isinstance(node, ast.Call)
        and view.names.dotted(node, scope) == "contextlib.suppress()"
        and any(_catches_all(given, view) for given in node.args)
    )


def _holds_nothing(node: ast.expr, scope: Scope, view: View) -> bool:
    return view.names.dotted(node, scope) in _HOLDS_NOTHING or view.contexts.gives(node, scope)
