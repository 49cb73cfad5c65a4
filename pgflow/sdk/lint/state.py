"""Changing what belongs to the module."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pgflow.sdk.lint import rules
from pgflow.sdk.lint.scopes import Kind
from pgflow.sdk.lint.view import Problem, View, shown

_CHANGING = {
    "append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "remove", "discard", "clear", "sort",
    "reverse", "appendleft", "popleft", "extendleft", "subtract",
}  # fmt: skip
_CONTAINERS = {
    "builtins.list()", "builtins.dict()", "builtins.set()", "collections.defaultdict()", "collections.OrderedDict()",
    "collections.Counter()", "collections.deque()",
}  # fmt: skip


def changes(node: ast.AST, view: View) -> Iterator[Problem]:
    """Assignments to module-level things, and calls that change a module's own container."""
    match node:
        case ast.Global(names=names):
            yield Problem(rules.GLOBALS, node, f"global {', '.join(names)}")
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            yield from (problem for target in targets for problem in _target(target, view))
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target, value=ast.expr()):
            yield from _target(target, view)
        case ast.Call(func=ast.Attribute(value=ast.Name() as base, attr=method)) if method in _CHANGING:
            if _is_container(base, view):
                yield Problem(rules.GLOBALS, node, f"{shown(node.func)}(...)")
        case _:
            pass


def _target(node: ast.expr, view: View) -> Iterator[Problem]:
    match node:
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            yield from (problem for part in parts for problem in _target(part, view))
        case ast.Starred(value=inner):
            yield from _target(inner, view)
        case ast.Attribute() | ast.Subscript():
            if view.is_shared(node):
                yield Problem(rules.GLOBALS, node, shown(node))
        case _:
            pass


def _is_container(node: ast.Name, view: View) -> bool:
    home = view.scope(node).home(node.id)
    if home is None or home.parent is not None:
        return False
    return any(
        isinstance(binding.value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
        or view.names.dotted(binding.value, home) in _CONTAINERS
        for binding in home.bindings[node.id]
        if binding.kind is Kind.VALUE
    )
