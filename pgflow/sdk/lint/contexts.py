"""Which expressions are a workflow's context, and which calls reach it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from pgflow.sdk.lint.names import Names
from pgflow.sdk.lint.scopes import Body, Kind, Scope, Tree, own, parameters, within

AWAITED = frozenset({
    "step", "run", "start", "map", "gather", "sleep", "wait", "sleep_until", "signal", "event", "send_signal",
    "tx",
})  # fmt: skip
"""Methods that an async workflow awaits. Any of them may suspend."""

PLAIN = frozenset({
    "now", "random", "uuid", "version", "continue_as_new", "log", "heartbeat", "idempotency_key", "set_state",
    "compensate", "on_cancel",
})  # fmt: skip
METHODS = AWAITED | PLAIN

_CONTEXT = re.compile(r"pgflow(\.\w+)*\.(Sync)?Context")


class Contexts:
    """Knows the parameters that are contexts: by their type, by the decorator, and by what is passed to a helper."""

    def __init__(self, tree: Tree, names: Names) -> None:
        self._tree = tree
        self._names = names
        for node, inner in tree.inner.items():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                outside = tree.scopes[node]
                inner.contexts = {p.arg for p in parameters(node) if self._is_typed(p, outside)}
                if not inner.contexts and is_decorated(node, {"workflow"}):
                    inner.contexts = _first_parameter(node, outside)

    def _is_typed(self, parameter: ast.arg, scope: Scope) -> bool:
        types = self._names.annotated(parameter.annotation, scope)
        return any(_CONTEXT.fullmatch(name) for name in types)

    def is_context(self, node: ast.expr, scope: Scope) -> bool:
        """Whether an expression is the context: the parameter, or another name for it."""
        for _ in range(10):
            if not isinstance(node, ast.Name) or (home := scope.home(node.id)) is None:
                return False
            if node.id in home.contexts:
                return True
            binding = home.bindings[node.id][0]
            if binding.kind is not Kind.VALUE or binding.value is None:
                return False
            node, scope = binding.value, home
        return False

    def method(self, call: ast.AST, scope: Scope) -> str | None:
        """The name of the context's method that is called, if it is one."""
        if not isinstance(call, ast.Call):
            return None
        called: ast.expr | None = call.func
        if isinstance(called, ast.Name) and (home := scope.home(called.id)) is not None:
            called, scope = home.bindings[called.id][0].value, home  # perhaps `step = ctx.step`
        if isinstance(called, ast.Attribute) and called.attr in METHODS and self.is_context(called.value, scope):
            return called.attr
        return None

    def passed(self, call: ast.Call, scope: Scope) -> list[int | str]:
        """Where a call hands the context on: positions and keywords."""
        found: list[int | str] = [i for i, given in enumerate(call.args) if self.is_context(given, scope)]
        found += [k.arg for k in call.keywords if k.arg is not None and self.is_context(k.value, scope)]
        return found

    def receive(self, function: Body, passed: Iterable[int | str]) -> None:
        """Take these parameters of a helper for contexts."""
        by_position = [*function.args.posonlyargs, *function.args.args]
        known = {parameter.arg for parameter in parameters(function)}
        for place in passed:
            if isinstance(place, str) and place in known:
                self._tree.inner[function].contexts.add(place)
            elif isinstance(place, int) and place < len(by_position):
                self._tree.inner[function].contexts.add(by_position[place].arg)

    def reaches(
        self, nodes: Iterable[ast.AST], methods: frozenset[str], seen: frozenset[ast.AST] = frozenset()
    ) -> bool:
        """Whether running these nodes calls one of the context's methods, itself or through a function given it."""
        for node in own(nodes):
            if not isinstance(node, ast.Call):
                continue
            scope = self._tree.scopes[node]
            if self.method(node, scope) in methods:
                return True
            if self.method(node, scope) is None and self.passed(node, scope):
                return True
            nested = self._names.function(node.func, scope)
            if nested and nested[0] not in seen and self.reaches(within(nested[0]), methods, seen | {nested[0]}):
                return True
        return False

    def gives(self, node: ast.expr | None, scope: Scope) -> bool:
        """Whether what an expression stands for came out of the context: an awaitable, a handle, a list of them."""
        return self._gives(node, scope, set())

    def _gives(self, node: ast.expr | None, scope: Scope, seen: set[tuple[Scope, str]]) -> bool:
        match node:
            case ast.Call(func=called):
                if self.passed(node, scope) or self._gives(called, scope, seen):
                    return True
                local = self._names.function(called, scope)
                return local is not None and (local[1].parent is not None or bool(self._tree.inner[local[0]].contexts))
            case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.Await(value=inner):
                return self._gives(inner, scope, seen)
            case ast.Starred(value=inner) | ast.NamedExpr(value=inner):
                return self._gives(inner, scope, seen)
            case ast.ListComp(elt=inner) | ast.GeneratorExp(elt=inner) | ast.DictComp(value=inner):
                return self._gives(inner, scope, seen)
            case ast.IfExp(body=one, orelse=other):
                return self._gives(one, scope, seen) and self._gives(other, scope, seen)
            case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
                return any(self._gives(part, scope, seen) for part in parts)
            case ast.Name(id=name):
                return self.is_context(node, scope) or self._is_given(name, scope, seen)
            case _:
                return False

    def _is_given(self, name: str, scope: Scope, seen: set[tuple[Scope, str]]) -> bool:
        home = scope.home(name)
        if home is None or (home, name) in seen:
            return False
        seen.add((home, name))
        return any(self._gives(binding.value, home, seen) for binding in home.bindings[name])


def is_decorated(function: ast.FunctionDef | ast.AsyncFunctionDef, names: set[str]) -> bool:
    """Whether it has a decorator such as `@app.workflow` or `@app.workflow(...)`."""
    for decorator in function.decorator_list:
        bare = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(bare, ast.Attribute) and bare.attr in names:
            return True
    return False


def _first_parameter(function: Body, outside: Scope) -> set[str]:
    given = [*function.args.posonlyargs, *function.args.args]
    if isinstance(outside.node, ast.ClassDef) and given and given[0].arg in {"self", "cls"}:
        given = given[1:]
    return {given[0].arg} if given else set()
