"""What an expression reads, found without evaluating it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pgflow.expression.faults import Fault, suggestion
from pgflow.expression.syntax import Index, Literal, Macro, Name, Node, Select, children

SECRETS = "secrets"
_ALL = ""


class Reference(NamedTuple):
    """A path that an expression reads.

    Args:
        path: a name, and the fields of it that are known without evaluating.
        places: where in the text each of them stands.
    """

    path: tuple[str, ...]
    places: tuple[int, ...]


def references(node: Node) -> list[Reference]:
    """All paths that an expression reads, in the order of the text.

    Raises:
        Fault: a secret is used otherwise than by itself.
    """
    found = list(_walk(node, frozenset()))
    for reference in found:
        if reference.path[0] == SECRETS and not _stands_alone(node):
            raise Fault(
                "a secret has to stand alone: nothing can be done with it",
                reference.places[0],
                hint='write "${secrets.NAME}", with other text around it if need be',
            )
    return found


def _stands_alone(node: Node) -> bool:
    return isinstance(node, Select) and isinstance(node.target, Name)


def unroll(node: Node) -> tuple[Node, list[Select | Index]]:
    """What fields and elements are taken of, and these, from the first to the last."""
    steps: list[Select | Index] = []
    while isinstance(node, Select | Index):
        steps.append(node)
        node = node.target
    return node, steps[::-1]


def _walk(node: Node, bound: frozenset[str]) -> Iterator[Reference]:
    base, steps = unroll(node)
    if isinstance(base, Name):
        if base.name not in bound:
            yield _reference(base, steps)
    elif isinstance(base, Macro):
        yield from _walk(base.target, bound)
        for part in filter(None, (base.condition, base.body)):
            yield from _walk(part, bound | {base.variable})
    else:
        for child in children(base):
            yield from _walk(child, bound)
    for step in steps:
        if isinstance(step, Index):
            yield from _walk(step.index, bound)


def _reference(base: Name, steps: list[Select | Index]) -> Reference:
    path, places = [base.name], [base.at]
    for step in steps:
        if isinstance(step, Select):
            field = step.field
        elif isinstance(step.index, Literal) and isinstance(step.index.value, str):
            field = step.index.value
        else:
            break
        path.append(field)
        places.append(step.at)
    return Reference(tuple(path), tuple(places))


class Known:
    """Names that are there: a tree, so that thousands of expressions are checked against thousands of names quickly.

    Args:
        paths: names, or paths with dots: `nodes.fetch` allows all below it, and `nodes` itself, but no other node.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._tree: dict[str, dict[str, Any]] = {}
        for path in paths:
            tree = self._tree
            for part in path.split("."):
                tree = tree.setdefault(part, {})
            tree[_ALL] = {}

    def unknown(self, found: Iterable[Reference]) -> Iterator[Fault]:
        """What is wrong with these references if nothing else is there."""
        for reference in found:
            tree, above = self._tree, ""
            for part, at in zip(*reference, strict=True):
                if _ALL in tree:
                    break
                if part not in tree:
                    where = f" in {above}" if above else " here"
                    hint = suggestion(part, tree, "there is" if len(tree) == 1 else "there are")
                    yield Fault(f"there is no {'name ' if not above else ''}{part!r}{where}", at, hint=hint)
                    break
                tree, above = tree[part], f"{above}.{part}" if above else part
