"""What a check is given to see of a module."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from pgflow.sdk.lint.bodies import Bodies
from pgflow.sdk.lint.contexts import Contexts
from pgflow.sdk.lint.findings import Source
from pgflow.sdk.lint.names import Names
from pgflow.sdk.lint.rules import Rule
from pgflow.sdk.lint.scopes import Kind, Scope, Tree


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that is broken at a node.

    Attributes:
        what: the code in question, for the rule's message.
        line: where it is, if not at the node's own line.
    """

    rule: Rule
    node: ast.expr | ast.stmt
    what: str
    line: int | None = None


class View:
    """A module with all that is known of its names."""

    def __init__(self, module: ast.Module, source: Source) -> None:
        self.source = source
        self.tree = Tree(module)
        self.names = Names()
        self.contexts = Contexts(self.tree, self.names)
        self.bodies = Bodies(self.tree, self.names, self.contexts)

    def scope(self, node: ast.AST) -> Scope:
        """The scope that a node stands in."""
        return self.tree.scopes[node]

    def is_shared(self, node: ast.expr, *, imported: bool = True) -> bool:
        """Whether an expression starts at a name that the module holds, or also one that it imported."""
        while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
            node = node.func if isinstance(node, ast.Call) else node.value
        if not isinstance(node, ast.Name):
            return False
        home = self.scope(node).home(node.id)
        if home is None or home.parent is not None:
            return False
        return imported or not any(binding.kind is Kind.IMPORT for binding in home.bindings[node.id])


def shown(node: ast.AST, limit: int = 50) -> str:
    """The code of a node on one line, shortened."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
