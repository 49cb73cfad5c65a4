"""How a function says what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pgflow.expression.faults import Fault
from pgflow.expression.values import word


class Kind(NamedTuple):
    """What an argument may be.

    Args:
        words: what to call it in an error.
        types: the types of Python that it may have; any if there are none.
        hint: what to do when it is something else.
    """

    words: str
    types: tuple[type, ...]
    hint: str | None = None


ANY = Kind("anything", ())
BYTES = Kind("bytes", (bytes,))
INTEGER = Kind("an integer", (int,), "int(value) makes one of a number or a text")
LIST = Kind("a list", (list,), "default(list, []) answers for null")
LIST_OR_MAP = Kind("a list or a map", (list, dict, Mapping))
LIST_OR_TEXT = Kind("a list or a text", (list, str))
MAP = Kind("a map", (dict, Mapping))
NUMBER = Kind("a number", (int, float), "double(text) reads a number")
TEXT = Kind("a text", (str,), "string(value) makes a text of a value")
TEXT_OR_BYTES = Kind("a text or bytes", (str, bytes), "string(value) makes a text of a value")
TIME = Kind("a timestamp", (datetime,), "timestamp(text) reads a timestamp")
TIME_OR_SPAN = Kind("a timestamp or a duration", (datetime, timedelta), "timestamp(text) reads a timestamp")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the language.

    Args:
        name: what it is called by.
        apply: what it does with the frame and its arguments.
        kinds: what each argument may be; the last goes for all that follow.
        least: how many arguments it needs, the target of a method included.
        most: how many it takes; any number if None.
        usage: how it is called.
        prepare: what to make of its last argument beforehand if that is a text in the expression itself.
    """

    name: str
    apply: Callable[..., Any]
    kinds: tuple[Kind, ...]
    least: int
    most: int | None
    usage: str
    prepare: Callable[[Any], Any] | None = None

    def counts(self) -> str:
        """How many arguments it takes, in words."""
        if self.most is None:
            return f"at least {self.least} argument{'' if self.least == 1 else 's'}"
        if self.most == 0:
            return "no arguments"
        numbers = " or ".join(str(n) for n in range(self.least, self.most + 1))
        return f"{numbers} argument{'' if numbers == '1' else 's'}"

    def check(self, values: list[Any]) -> None:
        """Raise a fault if an argument is of a type that the function does not take."""
        kinds, last = self.kinds, len(self.kinds) - 1
        for place, value in enumerate(values):
            kind = kinds[min(place, last)]
            if not kind.types or type(value) in kind.types:
                continue
            if isinstance(value, bool) or not isinstance(value, kind.types):
                hint = kind.hint or self.usage
                raise Fault(f"{self.name}() takes {kind.words} here, not {word(value)}", hint=hint)


@dataclass(frozen=True, slots=True)
class Library:
    """A group of functions, as they declare themselves."""

    functions: list[Function] = field(default_factory=list)

    def takes(
        self,
        usage: str,
        *kinds: Kind,
        optional: int = 0,
        more: bool = False,
        prepare: Callable[[Any], Any] | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare the decorated function, which is given the frame and the arguments.

        Args:
            usage: how it is called, its name first: `split(text, separator)`.
            kinds: what each argument may be.
            optional: how many of them, from the end, may be left out.
            more: whether the last may be given more than once.
            prepare: what to make of its last argument beforehand if that is a text in the expression itself.
        """

        def declare(apply: Callable[..., Any]) -> Callable[..., Any]:
            name = usage.partition("(")[0]
            most = None if more else len(kinds)
            self.functions.append(Function(name, apply, kinds, len(kinds) - optional, most, usage, prepare))
            return apply

        return declare
