"""Nodes to functions.

Each node becomes one function of the frame, made once; evaluating is calling the outermost. Nothing is converted
before: names are looked up when the expression comes to them, so an evaluation costs the same whatever else is there.

Variables of macros live in slots of the frame, one for each level of nesting. An operator that fails raises a fault
with its own place; `&&` and `||` hold it back while another operand may still decide, as CEL has it, and so do the
macros `all` and `exists`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgflow.expression import functions, operators, reading
from pgflow.expression.arithmetic import BINARY
from pgflow.expression.bounds import Frame, exhausted
from pgflow.expression.faults import Fault
from pgflow.expression.looping import LOOPS
from pgflow.expression.reading import Step
from pgflow.expression.references import SECRETS, unroll
from pgflow.expression.syntax import (
    Arithmetic,
    Call,
    Compare,
    Conditional,
    Default,
    Elements,
    Entries,
    Has,
    Index,
    Literal,
    Logic,
    Macro,
    Name,
    Negate,
    Node,
    Not,
    Select,
)
from pgflow.expression.values import PLAIN, as_map, word


@dataclass(frozen=True, slots=True)
class Variable:
    """The variable of a macro.

    Args:
        slot: where its value is.
        told: whether the keys of its value may be told in an error: it comes from a name by a plain path.
    """

    slot: int
    told: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """The variables of the macros around a node, and how many macros these are."""

    variables: Mapping[str, Variable] = field(default_factory=dict)
    depth: int = 0

    def within(self, name: str, told: bool) -> Scope:
        """What is inside of one more macro."""
        return Scope({**self.variables, name: Variable(self.depth, told)}, self.depth + 1)


_OUTSIDE = Scope()


def build(node: Node, scope: Scope = _OUTSIDE) -> Step:
    """The function of a node.

    Args:
        node: what to evaluate.
        scope: the variables of the macros around it.

    Raises:
        Fault: it calls an unknown function, or one with the wrong number of arguments.
    """
    match node:
        case Literal(value=value):
            return lambda _: value
        case Name():
            return _name(node, scope)
        case Select(at=at, target=target, field=key):
            return reading.field(build(target, scope), key, at, _told(target, scope))
        case Index(at=at, target=target, index=index):
            shown = isinstance(index, Literal)
            return reading.element(build(target, scope), build(index, scope), at, _told(target, scope), shown)
        case Call():
            return _call(node, scope)
        case Macro():
            return _macro(node, scope)
        case Elements(elements=elements):
            steps = tuple(build(element, scope) for element in elements)
            return lambda frame: [step(frame) for step in steps]
        case Entries(entries=entries):
            return reading.entries(tuple((build(key, scope), key.at, build(value, scope)) for key, value in entries))
    return _operator(node, scope)


def _operator(node: Node, scope: Scope) -> Step:
    match node:
        case Has(select=select):
            return reading.has(build(select.target, scope), select.field)
        case Default(value=value, fallback=fallback):
            return reading.default(build(value, scope), build(fallback, scope))
        case Not(at=at, operand=operand):
            return operators.negation(build(operand, scope), at)
        case Negate(at=at, operand=operand):
            return operators.minus(build(operand, scope), at)
        case Arithmetic(first=first, rest=rest):
            others = tuple((BINARY[sign], at, build(operand, scope)) for sign, at, operand in rest)
            return operators.arithmetic(build(first, scope), others)
        case Compare(at=at, operator=sign, left=left, right=right):
            return operators.compare(sign, build(left, scope), build(right, scope), at)
        case Logic(at=at, decisive=decisive, operands=operands):
            return operators.logic(decisive, tuple(build(operand, scope) for operand in operands), at)
        case Conditional(at=at, condition=condition, yes=yes, no=no):
            return operators.conditional(build(condition, scope), build(yes, scope), build(no, scope), at)
    raise TypeError(f"no such node: {type(node).__name__}")


def _name(node: Name, scope: Scope) -> Step:
    name = node.name
    if name in scope.variables:
        slot = scope.variables[name].slot
        return lambda frame: frame.slots[slot]
    return reading.name(name, node.at)


def _told(node: Node, scope: Scope) -> str | None:
    """A plain path as it is written, if the keys of what it leads to may be told."""
    base, steps = unroll(node)
    if not isinstance(base, Name) or base.name == SECRETS:
        return None
    if base.name in scope.variables and not scope.variables[base.name].told:
        return None
    path = base.name
    for step in steps:
        if isinstance(step, Select):
            path += f".{step.field}"
        elif isinstance(step.index, Literal):
            path += f"[{step.index.value!r}]"
        else:
            return None
    return path


def _call(node: Call, scope: Scope) -> Step:
    function = functions.find(node.name, len(node.arguments), node.at)
    steps = [build(argument, scope) for argument in node.arguments]
    at, apply, check, last = node.at, function.apply, function.check, node.arguments[-1:]
    if function.prepare is not None and isinstance(last[0], Literal) and isinstance(last[0].value, str):
        steps[-1] = _prepared(function.prepare, last[0])

    def call(frame: Frame) -> Any:
        values = [step(frame) for step in steps]
        try:
            check(values)
            return apply(frame, *values)
        except Fault as fault:
            if fault.at is None:
                fault.at = at
            raise

    return call


def _prepared(prepare: Callable[[Any], Any], literal: Literal) -> Step:
    try:
        made = prepare(literal.value)
    except Fault as fault:
        fault.at = literal.at
        raise
    return lambda _: made


def _macro(node: Macro, scope: Scope) -> Step:
    target, at, kind, weight, slot = build(node.target, scope), node.at, node.kind, node.weight, scope.depth
    inner = scope.within(node.variable, told=_told(node.target, scope) is not None)
    condition = build(node.condition, inner) if node.condition is not None else None
    body, loop = build(node.body, inner), LOOPS[kind]

    def each(frame: Frame, elements: list[Any]) -> Iterator[Any]:
        slots = frame.slots
        for element in elements:
            frame.left -= weight
            if frame.left < 0:
                raise exhausted(at)
            slots[slot] = element if type(element) in PLAIN else reading.adopted(element, at)
            yield slots[slot]

    def iterate(frame: Frame) -> Any:
        value = target(frame)
        if type(value) is not list:
            fields = as_map(value)
            if fields is None:
                hint = f"default(list, []).{kind}(...)" if value is None else None
                raise Fault(f"{kind}() goes through a list or the keys of a map, not {word(value)}", at, hint=hint)
            value = list(fields)
        return loop(frame, each(frame, value), condition, body, at)

    return iterate
