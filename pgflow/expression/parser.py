"""Text to nodes: the grammar of CEL, read by descent.

Chains of `+`, `&&` and the like become one node, and everything else that nests is counted against `NESTING`, so that
neither reading nor evaluating goes deeper than the interpreter's own stack allows.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pgflow.expression.bounds import LENGTH, NESTING
from pgflow.expression.faults import Fault
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
from pgflow.expression.tokens import Token, tokens

MACROS = {"all": (2,), "exists": (2,), "exists_one": (2,), "filter": (2,), "map": (2, 3), "sort_by": (2,)}
"""What is evaluated once per element, and how many arguments it takes: the variable, and one or two expressions."""

_HALF = re.compile("[\ud800-\udfff]")
_LARGEST = 2**63 - 1
_MAKING = 3
"""What making a list or a map, or calling a function, takes above what another node does."""
_CONSTANTS = {"true": True, "false": False, "null": None}
_TYPES = {"bool", "bytes", "double", "duration", "int", "list", "map", "null_type", "string", "timestamp"}
_COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}
_RESERVED = {
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop", "namespace",
    "package", "return", "var", "void", "while",
}  # fmt: skip
_HINTS = {
    "and": "write &&", "or": "write ||", "not": "write !", "is": "compare with ==", "if": "write condition ? yes : no",
    "else": "write condition ? yes : no", "for": "write list.map(x, ...) or list.filter(x, ...)",
    "?.": "write default(a.b, fallback)", "??": "write default(a.b, fallback)", "**": "there is no power operator",
    "=>": "write list.map(x, ...)", "->": "write list.map(x, ...)",
}  # fmt: skip


def parse(text: str, macros: int) -> Node:
    """The expression that a text is.

    Args:
        text: the expression.
        macros: how many macros may stand within each other; none may be used if 0.

    Raises:
        Fault: the text is no expression, or goes past a bound.
    """
    if len(text) > LENGTH:
        raise Fault(f"an expression has at most {LENGTH:,} characters, not {len(text):,}", LENGTH)
    if (half := _HALF.search(text)) is not None:
        raise Fault("this is half a character (a lone surrogate)", half.start())
    return _Parser(text, macros).whole()


class _Parser:
    def __init__(self, text: str, macros: int) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._place = 0
        self._depth = 0
        self._macros = macros
        self._within = 0
        self._nodes = 0

    def whole(self) -> Node:
        if len(self._tokens) == 1:
            raise Fault("the expression is empty", 0)
        node = self._expression()
        if self._place < len(self._tokens) - 1:
            raise self._unexpected("an operator or the end")
        return node

    # Words.

    @property
    def _peek(self) -> Token:
        return self._tokens[self._place]

    def _next(self) -> Token:
        token = self._tokens[self._place]
        self._place += 1
        return token

    def _is(self, *marks: str) -> bool:
        token = self._tokens[self._place]
        return token.kind == "mark" and token.value in marks

    def _take(self, *marks: str) -> Token | None:
        return self._next() if self._is(*marks) else None

    def _expect(self, mark: str, opened: Token) -> Token:
        token = self._take(mark)
        if token is None:
            if self._peek.kind == "end":
                raise Fault(f"this {opened.value} is not closed", opened.at, hint=f"it has to end with {mark}")
            raise self._unexpected(f"{mark} or an operator")
        return token

    def _unexpected(self, wanted: str) -> Fault:
        token, after = self._peek, self._tokens[min(self._place + 1, len(self._tokens) - 1)]
        if token.kind == "end":
            return Fault(f"the expression ends where {wanted} should follow", token.at)
        shown = self._text[token.at : token.end]
        shown = repr(shown) if len(shown) <= 30 else f"a {token.kind}"
        pair = self._text[token.at : after.end] if after.at == token.end else ""
        before = self._text[self._tokens[self._place - 1].at : token.end] if self._place else ""
        words = (str(token.value), pair, before, "not" if before.startswith("not ") else "")
        hint = next((_HINTS[word] for word in words if word in _HINTS), None)
        return Fault(f"{wanted} should stand here, not {shown}", token.at, hint=hint)

    # Nesting.

    def _down(self, at: int) -> None:
        self._depth += 1
        if self._depth > NESTING:
            raise Fault(f"more than {NESTING} levels within each other", at, hint="take the expression apart")

    def _deeper(self, at: int, read: Callable[[], Node]) -> Node:
        self._down(at)
        node = read()
        self._depth -= 1
        return node

    # Operators, from the loosest to the tightest.

    def _expression(self) -> Node:
        node = self._either()
        self._nodes += 1
        if mark := self._take("?"):
            yes = self._deeper(mark.at, self._expression)
            if not self._take(":"):
                raise self._unexpected("':' and what holds otherwise")
            no = self._deeper(mark.at, self._expression)
            return Conditional(mark.at, node, yes, no)
        return node

    def _either(self) -> Node:
        return self._logic("||", True, self._both)

    def _both(self) -> Node:
        return self._logic("&&", False, self._relation)

    def _logic(self, mark: str, decisive: bool, read: Callable[[], Node]) -> Node:
        first = read()
        if not self._is(mark):
            return first
        at, operands = self._peek.at, [first]
        while self._take(mark):
            operands.append(read())
            self._nodes += 1
        return Logic(at, decisive, tuple(operands))

    def _relation(self) -> Node:
        node, chained = self._sum(), 0
        while self._is(*_COMPARISONS) or (self._peek.kind == "name" and self._peek.value == "in"):
            sign = self._next()
            chained += 1
            if chained > NESTING:
                raise Fault("so many comparisons cannot be chained", sign.at)
            node = _comparison(sign, node, self._sum())
            self._nodes += 1
        return node

    def _sum(self) -> Node:
        return self._arithmetic(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._arithmetic(("*", "/", "%"), self._unary)

    def _arithmetic(self, marks: tuple[str, ...], read: Callable[[], Node]) -> Node:
        first = read()
        rest = []
        while sign := self._take(*marks):
            rest.append((sign.value, sign.at, read()))
            self._nodes += 1
        return Arithmetic(rest[0][1], first, tuple(rest)) if rest else first

    def _unary(self) -> Node:
        self._nodes += self._is("!", "-")
        if sign := self._take("!"):
            return Not(sign.at, self._deeper(sign.at, self._unary))
        if sign := self._take("-"):
            if self._peek.kind in {"int", "double"}:
                self._tokens[self._place] = self._peek._replace(value=-self._peek.value, at=sign.at)
                return self._member()
            return Negate(sign.at, self._deeper(sign.at, self._unary))
        return self._member()

    # Values.

    def _member(self) -> Node:
        node, chained = self._primary(), 0
        while mark := self._take(".", "["):
            self._nodes += 1
            chained += 1
            if chained > NESTING:
                raise Fault(f"more than {NESTING} fields of each other", mark.at, hint="take the expression apart")
            if mark.value == "[":
                index = self._deeper(mark.at, self._expression)
                self._expect("]", mark)
                node = Index(mark.at, node, index)
            else:
                node = self._field(node)
        if self._is("{"):
            raise Fault("messages of a type cannot be made", self._peek.at, hint="write a map: {'key': value}")
        return node

    def _field(self, target: Node) -> Node:
        if self._peek.kind not in {"name", "quoted"}:
            raise self._unexpected("the name of a field")
        field = self._next()
        if field.kind == "name" and self._is("("):
            return self._call(field, target)
        return Select(field.at, target, field.value)

    def _primary(self) -> Node:
        self._nodes += 1
        token = self._peek
        match token.kind, token.value:
            case (("int" | "double" | "text" | "bytes"), value):
                self._next()
                if token.kind == "int" and not -_LARGEST - 1 <= value <= _LARGEST:
                    raise Fault("this integer does not fit in 64 bits", token.at, hint="write it as text, or as 1e20")
                return Literal(token.at, value)
            case "name", word if word in _CONSTANTS:
                self._next()
                return Literal(token.at, _CONSTANTS[word])
            case "name", word if word not in _RESERVED:
                self._next()
                return self._call(token, None) if self._is("(") else Name(token.at, word)
            case "mark", "(":
                self._next()
                node = self._deeper(token.at, self._expression)
                self._expect(")", token)
                return node
            case "mark", "[":
                return Elements(token.at, self._list("]"))
            case "mark", "{":
                return self._entries()
        raise self._unexpected("a value")

    def _list(self, closing: str) -> tuple[Node, ...]:
        """What stands between two brackets, with commas; one may be left at the end."""
        opened, found = self._next(), []
        self._nodes += _MAKING
        while not self._is(closing):
            found.append(self._deeper(opened.at, self._expression))
            if not self._take(","):
                break
        self._expect(closing, opened)
        return tuple(found)

    def _entries(self) -> Node:
        opened, found = self._next(), []
        self._nodes += _MAKING
        while not self._is("}"):
            key = self._deeper(opened.at, self._expression)
            if not self._take(":"):
                hint = "keys are texts: {'key': value}"
                raise Fault("a ':' and a value should follow this key", self._peek.at, hint=hint)
            found.append((key, self._deeper(opened.at, self._expression)))
            if not self._take(","):
                break
        self._expect("}", opened)
        return Entries(opened.at, tuple(found))

    def _call(self, name: Token, target: Node | None) -> Node:
        if target is not None and name.value in MACROS:
            return self._macro(name, target)
        arguments = self._list(")")
        if name.value in {"has", "default"}:
            return _special(name, arguments if target is None else (target, *arguments))
        return Call(name.at, name.value, arguments if target is None else (target, *arguments))

    def _macro(self, name: Token, target: Node) -> Node:
        self._within += 1
        if self._macros == 0:
            raise Fault(f"{name.value}() may not be used here, nor any other macro over a list", name.at)
        if self._within > self._macros:
            hint = "bring the inner list into shape in a step before"
            raise Fault(f"more than {self._macros} macros within each other", name.at, hint=hint)
        before = self._nodes
        arguments = self._list(")")
        self._within -= 1
        usage = f"{name.value}(x, ...): a name for the element, and what to do with it"
        if len(arguments) not in MACROS[name.value]:
            raise Fault(
                f"{name.value}() takes {' or '.join(map(str, MACROS[name.value]))} arguments", name.at, hint=usage
            )
        variable = arguments[0]
        if not isinstance(variable, Name) or variable.name == "secrets":
            raise Fault("this should be a name for the element", variable.at, hint=usage)
        condition = arguments[1] if len(arguments) == 3 else None
        return Macro(name.at, name.value, target, variable.name, condition, arguments[-1], self._nodes - before)


def _comparison(sign: Token, left: Node, right: Node) -> Node:
    """A comparison. Beside `type(...)`, `int` and the like are types; anywhere else they are names as any other."""
    if isinstance(left, Call) and left.name == "type":
        right = _as_type(right)
    elif isinstance(right, Call) and right.name == "type":
        left = _as_type(left)
    return Compare(sign.at, sign.value, left, right)


def _as_type(node: Node) -> Node:
    if isinstance(node, Name) and node.name in _TYPES:
        return Literal(node.at, node.name)
    if isinstance(node, Elements):
        return Elements(node.at, tuple(map(_as_type, node.elements)))
    return node


def _special(name: Token, arguments: tuple[Node, ...]) -> Node:
    if name.value == "has":
        if len(arguments) == 1 and isinstance(arguments[0], Select):
            return Has(name.at, arguments[0])
        raise Fault("has() takes one field, as in has(input.customer)", name.at)
    if len(arguments) != 2:
        raise Fault(
            "default() takes a value and what to take in its place, as in default(input.name, 'nobody')", name.at
        )
    return Default(name.at, arguments[0], arguments[1])
