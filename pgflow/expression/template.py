"""JSON values with expressions in their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from pgflow.expression import bounds
from pgflow.expression.bounds import Frame
from pgflow.expression.expression import Expression
from pgflow.expression.faults import ExpressionError, Fault
from pgflow.expression.references import Known
from pgflow.expression.tokens import tokens
from pgflow.expression.values import plain, text_of, too_deep

_OPEN = "${"
_ESCAPED = "$${"


class _Text(NamedTuple):
    """A text with expressions: what stands between them, and they."""

    parts: tuple[str | Expression, ...]


class Template:
    """Any JSON value whose texts may hold expressions as `${...}`.

    A text that is one `${...}` and nothing else becomes the value itself, of whatever type. In any other text,
    expressions become text: numbers and booleans as in JSON, null as nothing, lists and maps as JSON, timestamps in
    RFC 3339, durations in seconds with an `s`. `$${` stands for `${`. Keys are no templates.

    Render once, with all names at hand: what comes out may hold anybody's text, and rendering that again would evaluate
    it. Secrets are names as any other, so only who renders last can give them; `secrets` tells which are wanted.

    Args:
        value: the value. It is not changed, and not referred to afterwards.
        macros: as in `Expression`, for each.

    Attributes:
        names: the names that its expressions read.
        references: the paths that they read.
        secrets: the names of the secrets that it wants: `TOKEN` of `${secrets.TOKEN}`.
        expressions: where there are expressions, as in `$.config.url`, and which, in the order of the text.
        verbatim: whether rendering gives the value as it is: there are no expressions in it, and no `$${`.

    Raises:
        ExpressionError: a text holds something that is no expression. Its `path` says which.

    Example:
        >>> mail = Template({"to": "${input.to}", "text": "Hello ${input.name}, that is ${input.sum} $"})
        >>> mail.render({"input": {"to": ["ann"], "name": "Ann", "sum": 7}})
        {'to': ['ann'], 'text': 'Hello Ann, that is 7 $'}
    """

    __slots__ = ("_value", "expressions", "names", "references", "secrets", "verbatim")

    def __init__(self, value: Any, macros: int = bounds.MACROS) -> None:
        reading = _Reading(macros)
        self._value = reading.whole(value)
        if reading.errors:
            raise reading.errors[0]
        self.verbatim = not reading.escaped and not reading.found
        self.expressions: Mapping[str, tuple[Expression, ...]] = reading.found
        every = {expression for found in reading.found.values() for expression in found}
        self.names = frozenset(name for expression in every for name in expression.names)
        self.references = frozenset(path for expression in every for path in expression.references)
        self.secrets = frozenset(expression.secret for expression in every if expression.secret is not None)

    @staticmethod
    def problems(
        value: Any, known: Iterable[str] | Known | None = None, macros: int = bounds.MACROS
    ) -> list[ExpressionError]:
        """Everything that is wrong with the expressions of a value, in its order. Nothing is evaluated.

        Args:
            value: as in `Template`.
            known: the names that will be there, as in `Expression.check`; any if None.
            macros: as in `Expression`.
        """
        reading = _Reading(macros)
        reading.whole(value)
        if known is None:
            return reading.errors
        return reading.errors + _unknown(reading.found, known)

    def check(self, known: Iterable[str] | Known) -> list[ExpressionError]:
        """What is wrong with it if only these names are there, as `Expression.check`, with paths."""
        return _unknown(self.expressions, known)

    def render(
        self, names: Mapping[str, Any], *, clock: Callable[[], datetime] | None = None, times: bool = False
    ) -> Any:
        """The value, with what its expressions come to in their places. All of them share one bound of work.

        Args:
            names: what they may read.
            clock: what `now()` is, as in `Expression.evaluate`; the same for all.
            times: leave timestamps and durations that are whole values as `datetime` and `timedelta`.

        Raises:
            ExpressionError: an expression cannot be evaluated. Its `path` says which.
        """
        return _render(self._value, "$", Frame(names, clock), times)


def _unknown(expressions: Mapping[str, tuple[Expression, ...]], known: Iterable[str] | Known) -> list[ExpressionError]:
    there = known if isinstance(known, Known) else Known(known)
    return [error.placed(path) for path, found in expressions.items() for each in found for error in each.check(there)]


class _Reading:
    """Takes a value apart. What is wrong is kept, so that all of it can be told at once."""

    def __init__(self, macros: int) -> None:
        self.errors: list[ExpressionError] = []
        self.found: dict[str, tuple[Expression, ...]] = {}
        self.escaped = False
        self._macros = macros

    def whole(self, value: Any) -> Any:
        try:
            return self.value(value, "$", 0)
        except RecursionError:
            self.errors.append(ExpressionError.of(too_deep(), "", "$"))

    def value(self, value: Any, path: str, depth: int) -> Any:
        if depth > bounds.DEPTH:
            self.errors.append(ExpressionError.of(too_deep(), "", path))
            return None
        if isinstance(value, str):
            return self._text(value, path) if _OPEN in value else value
        if isinstance(value, Mapping):
            return {key: self._field(key, one, path, depth) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(one, f"{path}[{place}]", depth + 1) for place, one in enumerate(value)]
        return value

    def _field(self, key: Any, value: Any, path: str, depth: int) -> Any:
        if _OPEN in str(key):
            fault = Fault(
                "a key cannot hold an expression", str(key).index(_OPEN), hint="make the whole map: ${{'key': value}}"
            )
            self.errors.append(ExpressionError.of(fault, str(key), path))
        return self.value(value, f"{path}.{key}", depth + 1)

    def _text(self, text: str, path: str) -> str | _Text:
        try:
            parts = tuple(self._parts(text))
        except ExpressionError as error:
            self.errors.append(error.placed(path))
            return text
        expressions = tuple(part for part in parts if isinstance(part, Expression))
        if not expressions:
            self.escaped = True
            return "".join(str(part) for part in parts)
        self.found[path] = expressions
        return _Text(parts)

    def _parts(self, text: str) -> Iterator[str | Expression]:
        done = 0
        while (place := text.find(_OPEN, done)) >= 0:
            if text.startswith(_ESCAPED, place - 1):
                yield text[done : place - 1] + _OPEN
                done = place + len(_OPEN)
                continue
            if place > done:
                yield text[done:place]
            end = _closing(text, place)
            yield Expression(text[place + len(_OPEN) : end], self._macros)
            done = end + 1
        if done < len(text):
            yield text[done:]


def _closing(text: str, place: int) -> int:
    """Where the brace is that closes the one at a place. Braces in texts and around maps are no such."""
    start = place + len(_OPEN)
    depth = 0
    piece = text[start : start + bounds.LENGTH + 2]
    try:
        for token in tokens(piece):
            if token.kind == "mark" and token.value in "{}":
                depth += 1 if token.value == "{" else -1
                if depth < 0:
                    return start + token.at
    except Fault as fault:
        if len(piece) <= bounds.LENGTH:
            fault.at = start + (fault.at or 0)
            raise ExpressionError.of(fault, text) from None
    if len(piece) > bounds.LENGTH:
        reason = f"an expression has at most {bounds.LENGTH:,} characters, and this is not closed within them"
    else:
        reason = "this ${ is not closed"
    raise ExpressionError(reason, text=text, offset=place, hint="it has to end with }; a plain ${ is written $${")


def _render(value: Any, path: str, frame: Frame, times: bool) -> Any:
    match value:
        case _Text(parts=parts):
            try:
                return _rendered(parts, frame, times)
            except ExpressionError as error:
                raise error.placed(path) from None
        case dict():
            return {key: _render(one, f"{path}.{key}", frame, times) for key, one in value.items()}
        case list():
            return [_render(one, f"{path}[{place}]", frame, times) for place, one in enumerate(value)]
    return value


def _rendered(parts: tuple[str | Expression, ...], frame: Frame, times: bool) -> Any:
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return parts[0].within(frame, lambda value, frame: plain(value, frame, times=times))
    return "".join(part if isinstance(part, str) else part.within(frame, _as_text) for part in parts)


def _as_text(value: Any, frame: Frame) -> str:
    text = text_of(value, frame)
    frame.fill(len(text))
    return text
