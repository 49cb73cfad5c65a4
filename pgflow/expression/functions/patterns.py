"""Regular expressions that never backtrack: of the engine that checks patterns in JSON Schemas."""

from __future__ import annotations

import re
from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

from pgflow.expression.faults import Fault
from pgflow.expression.functions.declaring import Kind

_LENGTH = 500
_STATES = 5_000
_PIECE = re.compile(
    r"\\[pP](?:\{[^}]*\}|.)|\\[wWdDsSbB]|\\x\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{([0-9]*),?([0-9]*)\}|.",
    re.DOTALL,
)


class Pattern:
    """A regular expression.

    Args:
        text: it, in the syntax of RE2.

    Attributes:
        states: about how many states it has, which is what a match costs per character at worst: counted repetitions
            are written out, and a class of Unicode is many of its bytes.

    Raises:
        Fault: it is none, or too large.
    """

    __slots__ = ("_validator", "states")

    def __init__(self, text: str) -> None:
        self.states = _states(text) if len(text) <= _LENGTH else _STATES + 1
        if self.states > _STATES:
            raise Fault("this regular expression is too large", hint="repeat fewer times: .{1,20} and not .{1,1000}")
        try:
            self._validator = SchemaValidator(
                core_schema.str_schema(pattern=text, strict=True, regex_engine="rust-regex")
            )
        except SchemaError:
            hint = "the syntax is RE2's: no lookaround, no backreferences"
            raise Fault("this is no regular expression", hint=hint) from None

    def matches(self, text: str) -> bool:
        """Whether it is found anywhere in a text."""
        return self._validator.isinstance_python(text)


PATTERN = Kind("a regular expression", (str, Pattern))

compiled = lru_cache(64)(Pattern)
"""The pattern of a text that is known only when it is used."""


def _states(pattern: str) -> int:
    groups, last = [0], 0
    for piece in _PIECE.finditer(pattern):
        text = piece[0]
        if text == "(":
            groups.append(0)
            last = 0
        elif text == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif text[0] == "{" and (piece[1] or piece[2]):
            count = max(int(number[:6]) for number in piece.groups() if number)
            groups[-1] += last * (count - 1)
            last *= count
        elif text not in {"*", "+", "?", "|"}:
            last = _weight(text)
            groups[-1] += last
    return sum(groups) + 1


def _weight(piece: str) -> int:
    wide = len(re.findall(r"\\[pPwWdDsSbB]|[^\x00-\x7f]", piece))
    return 1 + 40 * wide + (20 if piece == "." or piece.startswith("[^") else 0)
