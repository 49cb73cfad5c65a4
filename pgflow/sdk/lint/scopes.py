"""Which name is bound where: the scopes of a module, by Python's rules, without running it.

Comprehensions count as part of the function they stand in. Every pass over a tree here keeps its own stack, for a
generated module may nest deeper than Python's does.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Body: TypeAlias = Function | ast.Lambda


class Kind(StrEnum):
    """How a name came to be."""

    IMPORT = "import"
    VALUE = "value"
    PART = "part"
    """It is one of what the value holds: a loop's variable, one of several targets."""
    DEFINITION = "definition"
    PARAMETER = "parameter"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Binding:
    """One way in which a name gets its value."""

    kind: Kind
    origin: str = ""
    value: ast.expr | None = None
    annotation: ast.expr | None = None
    definition: Function | ast.ClassDef | None = None


@dataclass(eq=False)
class Scope:
    """A module, class, function or lambda with the names that are bound in it."""

    node: ast.Module | ast.ClassDef | Body
    parent: Scope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    global_names: set[str] = field(default_factory=set)
    nonlocal_names: set[str] = field(default_factory=set)
    stars: list[str] = field(default_factory=list)
    """Modules from which all names are imported."""
    contexts: set[str] = field(default_factory=set)
    """Parameters that are given a workflow's context."""

    @property
    def module(self) -> Scope:
        """The outermost scope."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    @property
    def function(self) -> Scope:
        """The innermost scope around that is no class."""
        scope = self
        while isinstance(scope.node, ast.ClassDef) and scope.parent is not None:
            scope = scope.parent
        return scope

    def home(self, name: str) -> Scope | None:
        """The scope that binds a name as it is read here; None for what only Python itself may know."""
        scope: Scope | None = self.module if name in self.global_names else self
        while scope is not None:
            readable = scope is self or not isinstance(scope.node, ast.ClassDef)
            if readable and name in scope.bindings:
                return scope
            scope = scope.parent
        return None

    def bind(self, name: str, binding: Binding) -> None:
        """Note one more way in which a name gets its value."""
        if name in self.nonlocal_names:
            home = self.parent.home(name) if self.parent is not None else None
        else:
            home = self.module if name in self.global_names else self
        if home is not None:
            home.bindings.setdefault(name, []).append(binding)


class Tree:
    """A module's tree with the scope and the parent of every node."""

    def __init__(self, module: ast.Module) -> None:
        self.module = Scope(module, None)
        self.parents: dict[ast.AST, ast.AST] = {}
        self.inner: dict[ast.AST, Scope] = {module: self.module}
        """By class, function or lambda, the scope that it opens."""
        self.scopes: dict[ast.AST, Scope] = {}
        """By node, in the order of the text, the scope it stands in."""
        self._read(module)

    def _read(self, module: ast.Module) -> None:
        stack: list[tuple[ast.AST, Scope]] = [(module, self.module)]
        while stack:
            node, scope = stack.pop()
            self.scopes[node] = scope
            _bind(node, scope)
            below = scope
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                below = self.inner[node] = Scope(node, scope)
                if not isinstance(node, ast.ClassDef):
                    _bind_parameters(node, below)
            inside = within(node)
            for child in reversed(list(ast.iter_child_nodes(node))):
                self.parents[child] = node
                stack.append((child, below if child in inside else scope))


def within(node: ast.AST) -> set[ast.AST]:
    """The children of a node that stand in the scope which it opens; its decorators and defaults stand outside."""
    if isinstance(node, ast.Lambda):
        return {node.body}
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return set(node.body)
    return set()


def own(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """These nodes and all below them, without the insides of the functions that are only defined there."""
    stack = list(nodes)[::-1]
    while stack:
        node = stack.pop()
        yield node
        inside = within(node)
        stack.extend(child for child in reversed(list(ast.iter_child_nodes(node))) if child not in inside)


def parameters(function: Body) -> Iterator[ast.arg]:
    """All parameters of a function, those by position first."""
    given = function.args
    yield from (*given.posonlyargs, *given.args, *given.kwonlyargs)
    yield from (arg for arg in (given.vararg, given.kwarg) if arg is not None)


def _bind_parameters(function: Body, scope: Scope) -> None:
    collecting = {function.args.vararg, function.args.kwarg}
    for parameter in parameters(function):
        annotation = None if parameter in collecting else parameter.annotation
        scope.bind(parameter.arg, Binding(Kind.PARAMETER, annotation=annotation))


def _bind(node: ast.AST, scope: Scope) -> None:  # noqa: C901, PLR0912 (one case for each statement that binds)
    match node:
        case ast.Import(names=names):
            for alias in names:
                origin = alias.name if alias.asname else alias.name.partition(".")[0]
                scope.bind(alias.asname or origin, Binding(Kind.IMPORT, origin=origin))
        case ast.ImportFrom(module=module, names=names, level=level):
            home = "." * level + (module or "")
            for alias in names:
                if alias.name == "*":
                    scope.stars.append(home)
                else:
                    scope.bind(alias.asname or alias.name, Binding(Kind.IMPORT, origin=f"{home}.{alias.name}"))
        case ast.Global(names=declared):
            scope.global_names.update(declared)
        case ast.Nonlocal(names=declared):
            scope.nonlocal_names.update(declared)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            scope.bind(name, Binding(Kind.DEFINITION, definition=node))
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                _bind_target(target, value, Kind.VALUE, scope)
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=given):
            scope.bind(name, Binding(Kind.VALUE, value=given, annotation=annotation))
        case ast.NamedExpr(target=target, value=value):
            _bind_target(target, value, Kind.VALUE, scope)
        case ast.For(target=target, iter=source) | ast.AsyncFor(target=target, iter=source):
            _bind_target(target, source, Kind.PART, scope)
        case ast.comprehension(target=target, iter=source):
            _bind_target(target, source, Kind.PART, scope)
        case ast.withitem(context_expr=source, optional_vars=ast.expr() as target):
            _bind_target(target, source, Kind.VALUE, scope)
        case (
            ast.ExceptHandler(name=str() as name) | ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name)
        ):
            scope.bind(name, Binding(Kind.OTHER))
        case _:
            pass


def _bind_target(target: ast.expr, value: ast.expr, kind: Kind, scope: Scope) -> None:
    match target:
        case ast.Name(id=name):
            scope.bind(name, Binding(kind, value=value))
        case ast.Starred(value=starred):
            _bind_target(starred, value, Kind.PART, scope)
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) and kind is Kind.VALUE else []
            paired = len(values) == len(targets) and not any(isinstance(e, ast.Starred) for e in (*targets, *values))
            for position, part in enumerate(targets):
                _bind_target(part, values[position] if paired else value, kind if paired else Kind.PART, scope)
        case _:
            pass
