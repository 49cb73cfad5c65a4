"""What an expression is made of, as the parser leaves it. Every node knows where it stands in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    Args:
        at: the offset to point at when something is wrong with it.
    """

    at: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, a text, bytes, true, false or null."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A name that was given, or the variable of a macro."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    """`target.field`"""

    target: Node
    field: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`target[index]`"""

    target: Node
    index: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`name(...)`, or `target.name(...)` with the target as its first argument."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Has(Node):
    """`has(target.field)`"""

    select: Select


@dataclass(frozen=True, slots=True)
class Default(Node):
    """`default(value, fallback)`"""

    value: Node
    fallback: Node


@dataclass(frozen=True, slots=True)
class Elements(Node):
    """`[a, b]`"""

    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entries(Node):
    """`{key: value}`"""

    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`!operand`"""

    operand: Node


@dataclass(frozen=True, slots=True)
class Negate(Node):
    """`-operand`"""

    operand: Node


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """`first + a - b`, from left to right: each operator with its offset and its right side."""

    first: Node
    rest: tuple[tuple[str, int, Node], ...]


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """`left < right`, and the like."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """`a && b && c`, or the same with `||`.

    Args:
        decisive: the value of an operand that decides the whole: false of `&&`, true of `||`.
    """

    decisive: bool
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
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
