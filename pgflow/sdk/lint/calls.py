"""Checks of single expressions: what is called, read, awaited, and what is not."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pgflow.sdk.lint import rules
from pgflow.sdk.lint.contexts import AWAITED
from pgflow.sdk.lint.scopes import Kind
from pgflow.sdk.lint.view import Problem, View, shown

_NAMING = {"step", "map", "compensate", "on_cancel"}
"""Methods that record what they are given under its own name."""


def forbidden(node: ast.AST, view: View) -> Iterator[Problem]:
    """Calls and reads of what is another thing at a replay."""
    if isinstance(node, ast.Call):
        if (rule := _rule_against(node, view)) is not None:
            what = shown(node.func)
            yield Problem(rule, node, f"{what}()" if rule is rules.PROCESS else what)
    elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
        name = view.names.dotted(node, view.scope(node))
        if name is not None and (rule := rules.reading(name)) is not None:
            yield Problem(rule, node, shown(node))


def _rule_against(call: ast.Call, view: View) -> rules.Rule | None:
    match call.func:
        case ast.Attribute(value=ast.Attribute(value=base, attr="client")) if view.contexts.is_context(
            base, view.scope(call)
        ):
            return rules.NETWORK
        case _:
            pass
    name = view.names.dotted(call.func, view.scope(call))
    if name is None:
        return None
    shared = view.is_shared(call.func, imported=False)
    return rules.calling(name, len(call.args) + len(call.keywords), shared=shared)


def nameless_steps(node: ast.AST, view: View) -> Iterator[Problem]:
    """Lambdas as steps. What a call of the context is given beside the function goes to the function, a `name=` too."""
    if not isinstance(node, ast.Call) or not node.args:
        return
    if view.bodies.is_step_made(node):
        if any(keyword.arg in {None, "name"} for keyword in node.keywords):
            return
    elif view.contexts.method(node, view.scope(node)) not in _NAMING:
        return
    if _is_lambda(node.args[0], view):
        yield Problem(rules.NAMELESS, node, shown(node.args[0]))


def _is_lambda(node: ast.expr, view: View) -> bool:
    if (
        isinstance(node, ast.Call)
        and node.args
        and view.names.dotted(node.func, view.scope(node)) == "functools.partial"
    ):
        return _is_lambda(node.args[0], view)
    if isinstance(node, ast.Name) and (home := view.scope(node).home(node.id)) is not None:
        return any(b.kind is Kind.VALUE and isinstance(b.value, ast.Lambda) for b in home.bindings[node.id])
    return isinstance(node, ast.Lambda)


def not_awaited(node: ast.AST, view: View) -> Iterator[Problem]:
    """Statements that make an awaitable and drop it."""
    if not isinstance(node, ast.Expr) or not isinstance(call := node.value, ast.Call):
        return
    scope = view.scope(node)
    if not isinstance(scope.function.node, ast.AsyncFunctionDef):
        return
    local = view.names.function(call.func, scope)
    is_coroutine = local is not None and isinstance(local[0], ast.AsyncFunctionDef) and view.contexts.gives(call, scope)
    if view.contexts.method(call, scope) in AWAITED or is_coroutine:
        yield Problem(rules.NOT_AWAITED, call, shown(call.func))


def unrecorded(node: ast.AST, view: View) -> Iterator[Problem]:
    """Awaiting what the context knows nothing of."""
    match node:
        case ast.Await(value=value):
            parts, prefix = _alternatives(value), "await "
        case ast.AsyncFor(iter=value):
            parts, prefix = [value], "async for ... in "
        case ast.AsyncWith(items=entered):
            parts, prefix = [item.context_expr for item in entered], "async with "
        case ast.comprehension(iter=value, is_async=1):
            parts, prefix = [value], "async for ... in "
        case _:
            return
    for part in parts:
        known = isinstance(part, ast.Call) and _rule_against(part, view) is not None  # then it is told already
        if not known and not view.contexts.gives(part, view.scope(part)):
            yield Problem(rules.UNRECORDED, part, prefix + shown(part))


def _alternatives(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.IfExp):
        return [*_alternatives(node.body), *_alternatives(node.orelse)]
    return [node]
