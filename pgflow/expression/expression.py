"""One expression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from pgflow.errors import ArgumentError
from pgflow.expression import bounds
from pgflow.expression.bounds import Frame
from pgflow.expression.compiler import build
from pgflow.expression.faults import ExpressionError, Fault
from pgflow.expression.parser import parse
from pgflow.expression.reading import Step
from pgflow.expression.references import SECRETS, Known, Reference, references
from pgflow.expression.values import plain, too_deep, word


@dataclass(frozen=True, slots=True)
class _Compiled:
    step: Step
    references: tuple[Reference, ...]


@lru_cache(256)
def _compiled(text: str, macros: int) -> _Compiled:
    node = parse(text, macros)
    return _Compiled(build(node), tuple(references(node)))


class Expression:
    """An expression that is read once, and evaluated as often as need be, from any thread.

    Args:
        text: the expression, in CEL; at most 2,000 characters.
        macros: how many macros over lists (`all`, `exists`, `exists_one`, `filter`, `map`, `sort_by`) may stand within
            each other, 0 to 8. With 0 there may be none.

    Attributes:
        text: the expression as it was given.
        names: the names that it reads: `nodes` of `nodes.fetch.output`.
        references: the paths that it reads, as far as they are known without evaluating, as in
            `("nodes", "fetch", "output")`.

    Raises:
        ExpressionError: it is no expression, calls an unknown function, does more with a secret than naming it, or goes
            past a bound.

    Example:
        >>> small = Expression("size(orders.filter(o, o.total > limit)) > 0")
        >>> sorted(small.names)
        ['limit', 'orders']
        >>> small.evaluate({"orders": [{"total": 7}], "limit": 5})
        True
    """

    __slots__ = ("_found", "_step", "macros", "names", "references", "text")

    def __init__(self, text: str, macros: int = bounds.MACROS) -> None:
        if not isinstance(text, str):
            raise ArgumentError(f"an expression is a text, not {word(text)}")
        if type(macros) is not int or not 0 <= macros <= bounds.MOST_MACROS:
            raise ArgumentError(f"macros has to be an integer from 0 to {bounds.MOST_MACROS}")
        try:
            compiled = _compiled(text, macros)
        except Fault as fault:
            raise ExpressionError.of(fault, text) from None
        self.text = text
        self.macros = macros
        self._step = compiled.step
        self._found = compiled.references
        self.names = frozenset(reference.path[0] for reference in compiled.references)
        self.references = frozenset(reference.path for reference in compiled.references)

    def evaluate(
        self, names: Mapping[str, Any], *, clock: Callable[[], datetime] | None = None, times: bool = False
    ) -> Any:
        """What it comes to.

        Args:
            names: what it may read: JSON values, timestamps (`datetime` with a zone) and durations (`timedelta`). Only
                what it comes to is looked at, so a mapping may load its values when they are asked for.
            clock: what `now()` is; asked at most once. Without it, `now()` is the name `now`, if there is one.
            times: leave timestamps and durations in the result as `datetime` and `timedelta`; else they become text in
                RFC 3339, and seconds.

        Returns:
            A JSON value that shares nothing with what was given.

        Raises:
            ExpressionError: it cannot be evaluated with these names, or takes more work than it may.
        """
        return self.within(Frame(names, clock), lambda value, frame: plain(value, frame, times=times))

    def holds(self, names: Mapping[str, Any], *, clock: Callable[[], datetime] | None = None) -> bool:
        """Whether a condition is true.

        Raises:
            ExpressionError: it cannot be evaluated with these names, or is neither true nor false.
        """
        value = self.evaluate(names, clock=clock)
        if value is True or value is False:
            return bool(value)
        hint = "compare it with something: a > 0, a != '', a != null"
        raise ExpressionError(f"a condition is true or false, not {word(value)}", text=self.text, offset=0, hint=hint)

    def check(self, known: Iterable[str] | Known) -> list[ExpressionError]:
        """What is wrong with it if only these names are there: one error for each unknown name.

        Args:
            known: names, or paths with dots: `nodes.fetch` allows all that is below it, and no other of `nodes`. Made a
                `Known` beforehand, it serves many expressions.

        Example:
            >>> [error.hint for error in Expression("imput.day").check(["input", "trigger"])]
            ['did you mean input?; there are: input, trigger']
        """
        there = known if isinstance(known, Known) else Known(known)
        return [ExpressionError.of(fault, self.text) for fault in there.unknown(self._found)]

    @property
    def secret(self) -> str | None:
        """The name of the secret that it stands for, if it is one."""
        return next((path[1] for path in self.references if path[0] == SECRETS), None)

    def within(self, frame: Frame, finish: Callable[[Any, Frame], Any]) -> Any:
        """What it comes to in a frame that may be shared."""
        try:
            return finish(self._step(frame), frame)
        except Fault as fault:
            raise ExpressionError.of(fault, self.text) from None
        except RecursionError:
            raise ExpressionError.of(too_deep(), self.text) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and (self.text, self.macros) == (other.text, other.macros)

    def __hash__(self) -> int:
        return hash((self.text, self.macros))

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __reduce__(self) -> tuple[type[Expression], tuple[str, int]]:
        return type(self), (self.text, self.macros)
