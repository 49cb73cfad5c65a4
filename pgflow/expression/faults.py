"""What can go wrong in an expression, told with the place where it did.

No error quotes a value: what an expression reads may be anybody's data. Errors name types, names that stand in the
expression itself, and the keys of maps that were read from a name by a plain path.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

from pgflow.errors import PgflowError

_WIDTH = 100


class Fault(Exception):
    """Something wrong at an offset; becomes an ExpressionError where the text of the expression is known.

    Args:
        reason: what is wrong.
        at: the offset in the text; whoever calls fills it in if the raiser does not know.
        hint: what to do about it; a function if finding that out is dear, since most faults of `default()` and `||` are
            never told.
        missing: a key or an element is not there, which `default()` and `has()` answer.
        spent: a bound is reached, which nothing may answer.
    """

    def __init__(
        self,
        reason: str,
        at: int | None = None,
        *,
        hint: str | Callable[[], str | None] | None = None,
        missing: bool = False,
        spent: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at
        self.hint = hint
        self.missing = missing
        self.spent = spent


class ExpressionError(PgflowError):
    """An expression cannot be read or evaluated. Its message has the line with a caret below the place.

    Attributes:
        reason: what is wrong, in one sentence.
        text: the expression.
        line: the line of the place, from 1.
        column: its column in characters, from 1.
        path: where the expression stands in a template, as in `$.config.url`; None outside of templates.

    Example:
        >>> print(ExpressionError("there is no name 'imput' here", text="1 + imput", offset=4, hint="input?"))
        there is no name 'imput' here (line 1, column 5)
            1 + imput
                ^
          -> input?
    """

    def __init__(
        self, reason: str, *, text: str, offset: int, hint: str | None = None, path: str | None = None
    ) -> None:
        offset = min(max(offset, 0), len(text))
        start = text.rfind("\n", 0, offset) + 1
        end = text.find("\n", offset)
        self.reason = reason
        self.text = text
        self.line = text.count("\n", 0, offset) + 1
        self.column = offset - start + 1
        self.path = path
        self._given = (reason, text, offset, hint, path)
        shown, indent = _window(text[start : end if end >= 0 else len(text)].rstrip("\r"), self.column - 1)
        where = f"(line {self.line}, column {self.column})"
        before = "" if path is None else f"{path}: "
        super().__init__(f"{before}{reason} {where}\n    {shown}\n    {' ' * indent}^", hint=hint)

    @classmethod
    def of(cls, fault: Fault, text: str, path: str | None = None) -> ExpressionError:
        """The error for a fault in this text."""
        hint = fault.hint() if callable(fault.hint) else fault.hint
        return cls(fault.reason, text=text, offset=fault.at or 0, hint=hint, path=path)

    def placed(self, path: str) -> ExpressionError:
        """The same error, at this path of a template."""
        reason, text, offset, hint, _ = self._given
        return type(self)(reason, text=text, offset=offset, hint=hint, path=path)

    def __reduce__(self) -> tuple[object, ...]:
        return _again, self._given


def _again(reason: str, text: str, offset: int, hint: str | None, path: str | None) -> ExpressionError:
    return ExpressionError(reason, text=text, offset=offset, hint=hint, path=path)


def _window(line: str, place: int) -> tuple[str, int]:
    """The part of a line around a place, and where the place is in it."""
    start = max(0, min(place - _WIDTH // 2, len(line) - _WIDTH))
    before = "..." if start else ""
    after = "..." if start + _WIDTH < len(line) else ""
    shown = "".join(character if character.isprintable() else " " for character in line[start : start + _WIDTH])
    return f"{before}{shown}{after}", place - start + len(before)


def suggestion(wrong: str, known: Iterable[str], others: str = "") -> str | None:
    """A hint: the known name that is nearest to the wrong one, and which there are.

    Args:
        wrong: what was written.
        known: what could have been.
        others: how to introduce the list of what there is, as in "it has"; without it there is no list.
    """
    names = [str(name) for _, name in zip(range(1_000), known, strict=False)]
    near = difflib.get_close_matches(wrong, names, 1, 0.6) or [n for n in names if n.lower() == wrong.lower()][:1]
    said = [f"did you mean {near[0]}?"] if near and len(near[0]) <= 60 else []
    if others and names:
        shown = [name if len(name) <= 40 else f"{name[:40]}..." for name in sorted(names)[:10]]
        said.append(f"{others}: {', '.join(shown)}{', ...' if len(names) > 10 else ''}")
    return "; ".join(said) or None
