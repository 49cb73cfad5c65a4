"""Workflow bodies: what runs again at every replay.

A body is a function that is decorated as a workflow or takes a context, with the functions and lambdas inside it. Those
that are handed to a step run once and are recorded, so they are no part of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pgflow.sdk.lint.contexts import METHODS, Contexts, is_decorated
from pgflow.sdk.lint.names import Names
from pgflow.sdk.lint.scopes import Body, Function, Tree, own, within

RECORDED = {"step", "tx", "compensate", "on_cancel"}
"""Methods whose function runs once."""
_SENT = {"run", "start", "map"}
"""Methods whose function runs once, unless it uses the context of the workflow around it."""
_DECORATORS = RECORDED | {"task", "workflow"}
"""Decorators whose function, when called, is no part of the body."""


class Bodies:
    """Finds the bodies of a module and goes through them."""

    def __init__(self, tree: Tree, names: Names, contexts: Contexts) -> None:
        self._tree = tree
        self._names = names
        self._contexts = contexts

    def roots(self) -> list[Function]:
        """The functions that are bodies by what they say of themselves."""
        return [
            node
            for node, scope in self._tree.inner.items()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (scope.contexts or is_decorated(node, {"workflow"}))
        ]

    def nodes(self, root: Function) -> Iterator[ast.AST]:
        """What is run again with a body, in the order of the text. Annotations are not."""
        stack: list[ast.AST] = list(reversed(root.body))
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(list(self._run_again(node))))

    def helper(self, call: ast.Call) -> Function | None:
        """The function of this module that a call leads into, if it is a plain one."""
        scope = self._tree.scopes[call]
        found = self._names.function(call.func, scope)
        if found is None or found[1].parent is not None:
            return None
        function = found[0]
        return None if is_decorated(function, _DECORATORS) or _is_step_itself(function) else function

    def is_step_made(self, call: ast.Call) -> bool:
        """Whether it is `pgflow.step(...)`, which makes a step of a function."""
        return self._names.dotted(call.func, self._tree.scopes[call]) in {"pgflow.step", "pgflow.sdk.step.step"}

    def _run_again(self, node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from getattr(node, "decorator_list", ())
            yield from node.args.defaults
            yield from (default for default in node.args.kw_defaults if default is not None)
            if not self._is_recorded(node):
                yield from [node.body] if isinstance(node, ast.Lambda) else node.body
        elif isinstance(node, ast.AnnAssign):
            yield from (part for part in (node.target, node.value) if part is not None)
        else:
            yield from ast.iter_child_nodes(node)

    def _is_recorded(self, function: Body) -> bool:
        """Whether a nested function only runs as a step."""
        if isinstance(function, ast.Lambda):
            if self._is_handed_over(function, function):
                return True
            parent = self._tree.parents[function]
            if not (isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name)):
                return False
            name = parent.targets[0].id
        else:
            if is_decorated(function, _DECORATORS) or _is_step_itself(function):
                return True
            name = function.name
        scope = self._tree.scopes[function]
        inside = set(ast.walk(function))
        uses = [
            node
            for node in ast.walk(scope.node)
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load) and node not in inside
            and self._tree.scopes[node].home(name) is scope
        ]  # fmt: skip
        called = any(isinstance(p := self._tree.parents[use], ast.Call) and p.func is use for use in uses)
        return not called and any(self._is_handed_over(use, function) for use in uses)

    def _is_handed_over(self, node: ast.expr, function: Body) -> bool:
        """Whether this mention of a function is an argument of what runs it as a step."""
        given = self._tree.parents[node]
        if isinstance(given, ast.keyword):
            given = self._tree.parents[given]
        if not isinstance(given, ast.Call) or given.func is node:
            return False
        scope = self._tree.scopes[given]
        if self._names.dotted(given.func, scope) == "functools.partial":
            return self._is_handed_over(given, function)
        method = self._contexts.method(given, scope)
        if method in RECORDED or self.is_step_made(given):
            return True
        return method in _SENT and not self._contexts.reaches(own(within(function)), METHODS)


def _is_step_itself(function: Function) -> bool:
    """Whether it is decorated with an imported `step` or `task`."""
    bare = (d.func if isinstance(d, ast.Call) else d for d in function.decorator_list)
    return any(isinstance(decorator, ast.Name) and decorator.id in {"step", "task"} for decorator in bare)
