"""What an expression is made of, as the parser leaves it. Every node knows where it stands in the text.

Nodes are neither compared nor printed: what dataclasses make for that is most of what importing them takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """A part of an expression.

    Args:
        at: the offset to point at when something is wrong with it.
    """

    at: int


@dataclass(slots=True, eq=False, repr=False)
class Literal(Node):
    """A number, a text, bytes, true, false or null."""

    value: Any


@dataclass(slots=True, eq=False, repr=False)
class Name(Node):
    """A name that was given, or the variable of a macro."""

    name: str


@dataclass(slots=True, eq=False, repr=False)
class Select(Node):
    """`target.field`"""

    target: Node
    field: str


@dataclass(slots=True, eq=False, repr=False)
class Index(Node):
    """`target[index]`"""

    target: Node
    index: Node


@dataclass(slots=True, eq=False, repr=False)
class Call(Node):
    """`name(...)`, or `target.name(...)` with the target as its first argument."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(slots=True, eq=False, repr=False)
class Macro(Node):
    """`target.kind(variable, body)`, or `target.map(variable, condition, body)`.

    Args:
        weight: how many nodes are evaluated for each element.
    """

    kind: str
    target: Node
    variable: str
    condition: Node | None
    body: Node
    weight: int


@dataclass(slots=True, eq=False, repr=False)
class Has(Node):
    """`has(target.field)`"""

    select: Select


@dataclass(slots=True, eq=False, repr=False)
class Default(Node):
    """`default(value, fallback)`"""

    value: Node
    fallback: Node


@dataclass(slots=True, eq=False, repr=False)
class Elements(Node):
    """`[a, b]`"""

    elements: tuple[Node, ...]


@dataclass(slots=True, eq=False, repr=False)
class Entries(Node):
    """`{key: value}`"""

    entries: tuple[tuple[Node, Node], ...]


@dataclass(slots=True, eq=False, repr=False)
class Not(Node):
    """`!operand`"""

    operand: Node


@dataclass(slots=True, eq=False, repr=False)
class Negate(Node):
    """`-operand`"""

    operand: Node


@dataclass(slots=True, eq=False, repr=False)
class Arithmetic(Node):
    """`first + a - b`, from left to right: each operator with its offset and its right side."""

    first: Node
    rest: tuple[tuple[str, int, Node], ...]


@dataclass(slots=True, eq=False, repr=False)
class Compare(Node):
    """`left < right`, and the like."""

    operator: str
    left: Node
    right: Node


@dataclass(slots=True, eq=False, repr=False)
class Logic(Node):
    """`a && b && c`, or the same with `||`.

    Args:
        decisive: the value of an operand that decides the whole: false of `&&`, true of `||`.
    """

    decisive: bool
    operands: tuple[Node, ...]


@dataclass(slots=True, eq=False, repr=False)
class Conditional(Node):
    """`condition ? yes : no`"""

    condition: Node
    yes: Node
    no: Node


def children(node: Node) -> Iterator[Node]:
    """The parts of a node, in the order of the text."""
    match node:
        case Call(arguments=parts) | Elements(elements=parts) | Logic(operands=parts):
            yield from parts
        case Entries(entries=entries):
            for key, value in entries:
                yield key
                yield value
        case Arithmetic(first=first, rest=rest):
            yield first
            yield from (operand for _, _, operand in rest)
        case (
            Compare(left=first, right=second)
            | Default(value=first, fallback=second)
            | Index(target=first, index=second)
        ):
            yield first
            yield second
        case Conditional(condition=condition, yes=first, no=second):
            yield condition
            yield first
            yield second
        case Macro(target=target, condition=condition, body=body):
            yield target
            if condition is not None:
                yield condition
            yield body
        case Not(operand=operand) | Negate(operand=operand) | Select(target=operand) | Has(select=operand):
            yield operand
        case _:
            return
