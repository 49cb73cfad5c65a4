"""What a name or an expression stands for, as a dotted name that `import` would understand.

`dt.now` after `from datetime import datetime as dt` is `datetime.datetime.now`; what a call gives is written with `()`,
so `Path("a").parent.read_text` is `pathlib.Path().parent.read_text`. Names that were given another meaning here stand
for nothing known, and so do those with several meanings.
"""

from __future__ import annotations

import ast
import builtins

from pgflow.sdk.lint.scopes import Binding, Function, Kind, Scope

_BUILTINS = frozenset(dir(builtins))
_WRAPPERS = {"typing.Optional", "typing.Union", "typing.Annotated", "typing.Final", "typing_extensions.Annotated"}
_DEPTH = 40


class Names:
    """Looks names up, and remembers."""

    def __init__(self) -> None:
        self._known: dict[tuple[Scope, str], str | None] = {}

    def dotted(self, node: ast.expr | None, scope: Scope, depth: int = _DEPTH) -> str | None:
        """The dotted name of an expression read in a scope; None when it is not known."""
        if depth == 0:
            return None
        match node:
            case ast.Name(id=name):
                return self._name(name, scope, depth)
            case ast.Attribute(value=value, attr=attribute):
                base = self.dotted(value, scope, depth - 1)
                return None if base is None else f"{base}.{attribute}"
            case ast.Call(func=called):
                base = self.dotted(called, scope, depth - 1)
                return None if base is None else f"{base}()"
            case ast.BinOp(left=left, op=ast.Div()):
                base = self.dotted(left, scope, depth - 1)
                return base if base is not None and base.startswith("pathlib.") else None
            case ast.Await(value=value) | ast.NamedExpr(value=value):
                return self.dotted(value, scope, depth - 1)
            case _:
                return None

    def function(self, node: ast.expr, scope: Scope) -> tuple[Function, Scope] | None:
        """The function of this module that a name stands for, with the scope it is defined in."""
        if not isinstance(node, ast.Name) or (home := scope.home(node.id)) is None:
            return None
        match home.bindings[node.id]:
            case [Binding(definition=ast.FunctionDef() | ast.AsyncFunctionDef() as function)]:
                return function, home
            case _:
                return None

    def annotated(self, annotation: ast.expr | None, scope: Scope) -> list[str]:
        """The dotted names of the types that an annotation says it may be."""
        match annotation:
            case ast.Constant(value=str() as text):
                try:
                    return self.annotated(ast.parse(text.strip(), mode="eval").body, scope)
                except (SyntaxError, ValueError, RecursionError, MemoryError):
                    return []
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self.annotated(left, scope) + self.annotated(right, scope)
            case ast.Subscript(value=base, slice=inside):
                if self.dotted(base, scope) not in _WRAPPERS:
                    return self.annotated(base, scope)
                parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
                return [name for part in parts for name in self.annotated(part, scope)]
            case ast.Name() | ast.Attribute():
                name = self.dotted(annotation, scope)
                return [] if name is None else [name]
            case _:
                return []

    def _name(self, name: str, scope: Scope, depth: int) -> str | None:
        home = scope.home(name)
        if home is None:
            if name in _BUILTINS:
                return f"builtins.{name}"
            stars = scope.module.stars
            return f"{stars[0]}.{name}" if len(stars) == 1 else None
        if (home, name) not in self._known:
            self._known[home, name] = None  # what is defined by itself is not known
            self._known[home, name] = self._agreed(home.bindings[name], home, depth)
        return self._known[home, name]

    def _agreed(self, bindings: list[Binding], home: Scope, depth: int) -> str | None:
        """What all bindings of a name stand for. An import that may fail has the first word."""
        found: set[str | None] = set()
        for binding in bindings:
            if binding.kind is Kind.IMPORT:
                return binding.origin
            if binding.kind is Kind.VALUE and isinstance(binding.value, ast.Constant) and binding.value.value is None:
                continue
            found.add(self._bound(binding, home, depth - 1))
        return found.pop() if len(found) == 1 else None

    def _bound(self, binding: Binding, home: Scope, depth: int) -> str | None:
        given = self.dotted(binding.value, home, depth) if binding.kind is Kind.VALUE else None
        if given is None and binding.annotation is not None:
            # A parameter may have its type's name: `date: date`.
            outside = home.parent if binding.kind is Kind.PARAMETER and home.parent is not None else home
            types = self.annotated(binding.annotation, outside)
            return f"{types[0]}()" if len(types) == 1 else None
        return given
