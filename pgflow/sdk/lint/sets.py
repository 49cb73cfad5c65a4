"""Going through sets, whose order is another one in every process."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pgflow.sdk.lint import rules
from pgflow.sdk.lint.scopes import Binding, Kind, Scope
from pgflow.sdk.lint.view import Problem, View, shown

_ORDERLESS = {"sorted", "set", "frozenset", "len", "min", "max", "any", "all", "sum"}
"""Builtins whose answer does not depend on the order."""
_ORDERED = {"list", "tuple", "enumerate", "iter", "reversed", "zip", "map", "filter", "next"}
"""Builtins that hand the order on."""
_COMBINING = {"union", "intersection", "difference", "symmetric_difference", "copy"}
_TYPES = {
    "builtins.set", "builtins.frozenset", "typing.Set", "typing.FrozenSet", "typing.AbstractSet", "typing.MutableSet",
    "collections.abc.Set", "collections.abc.MutableSet",
}  # fmt: skip
_DEPTH = 40


def iteration(node: ast.AST, view: View) -> Iterator[Problem]:
    """Whatever goes through a set in its order."""
    for source in _sources(node, view):
        if _is_set(source, view.scope(source), view, {}, _DEPTH) and not _is_ordered_later(node, view):
            yield Problem(rules.SET_ORDER, source, shown(source))


def _sources(node: ast.AST, view: View) -> list[ast.expr]:
    """The expressions whose parts a node takes in their order."""
    match node:
        case ast.For(iter=source) | ast.comprehension(iter=source) | ast.Starred(value=source, ctx=ast.Load()):
            return [source]
        case ast.Assign(targets=[ast.Tuple() | ast.List(), *_], value=source) | ast.YieldFrom(value=source):
            return [source]
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr="join"), args=[source]):
            return [source]
        case ast.Call(func=ast.Attribute(value=source, attr="pop"), args=[]):
            return [source]
        case ast.Call(func=ast.Attribute(attr="extend"), args=[source]):
            return [source]
        case ast.Call(func=ast.Name(id=name), args=given) if view.scope(node).home(name) is None and name in _ORDERED:
            return given
        case ast.Call(args=given) if view.contexts.method(node, view.scope(node)) == "map":
            return given[1:]
        case _:
            return []


def _is_ordered_later(node: ast.AST, view: View) -> bool:
    """Whether it stands in a call such as `sorted(...)`, perhaps within `list(...)` or a generator."""
    if isinstance(node, ast.comprehension):
        node = view.tree.parents[node]
        if isinstance(node, ast.SetComp):
            return True
        if isinstance(node, ast.DictComp):
            return False
    if isinstance(node, ast.Starred | ast.GeneratorExp | ast.ListComp) or _called(node, view) in _ORDERED - {
        "next",
        "iter",
    }:
        parent = view.tree.parents[node]
        if isinstance(parent, ast.Set):
            return True
        if isinstance(parent, ast.Call) and node in parent.args:
            name = _called(parent, view)
            return name in _ORDERLESS or (name in _ORDERED and _is_ordered_later(parent, view))
        if isinstance(parent, ast.comprehension):
            return _is_ordered_later(parent, view)
    return False


def _called(node: ast.AST, view: View) -> str | None:
    """The name of the builtin that is called, if it is one."""
    match node:
        case ast.Call(func=ast.Name(id=name)) if view.scope(node).home(name) is None:
            return name
        case _:
            return None


def _is_set(node: ast.expr | None, scope: Scope, view: View, seen: dict[tuple[Scope, str], bool], depth: int) -> bool:
    if depth == 0:
        return False
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset" as name)):
            return scope.home(name) is None
        case ast.Call(func=ast.Attribute(value=base, attr=method)) if method in _COMBINING:
            return _is_set(base, scope, view, seen, depth - 1)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return any(
                _is_set(side, scope, view, seen, depth - 1) or (_is_keys(side) and not isinstance(node.op, ast.BitOr))
                for side in (left, right)
            )
        case ast.IfExp(body=one, orelse=other):
            return any(_is_set(part, scope, view, seen, depth - 1) for part in (one, other))
        case ast.NamedExpr(value=value):
            return _is_set(value, scope, view, seen, depth - 1)
        case ast.Name(id=name):
            home = scope.home(name)
            if home is None:
                return False
            if (home, name) not in seen:
                seen[home, name] = True  # `found = found | more` is a set if its other bindings are
                bindings = home.bindings[name]
                seen[home, name] = all(_binds_set(binding, home, view, seen, depth - 1) for binding in bindings)
            return seen[home, name]
        case _:
            return False


def _is_keys(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "keys"


def _binds_set(binding: Binding, home: Scope, view: View, seen: dict[tuple[Scope, str], bool], depth: int) -> bool:
    if binding.kind is Kind.VALUE and _is_set(binding.value, home, view, seen, depth):
        return True
    if binding.annotation is None or (binding.kind is Kind.VALUE and binding.value is not None):
        return False
    outside = home.parent if binding.kind is Kind.PARAMETER and home.parent is not None else home
    types = view.names.annotated(binding.annotation, outside)
    return bool(types) and set(types) <= _TYPES
