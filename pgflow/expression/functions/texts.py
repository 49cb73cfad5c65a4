"""Functions of texts."""

from __future__ import annotations

import re
from typing import Any

from pgflow.expression.bounds import Frame
from pgflow.expression.faults import Fault
from pgflow.expression.functions.declaring import ANY, INTEGER, LIST, LIST_OR_TEXT, TEXT, Library
from pgflow.expression.functions.patterns import PATTERN, Pattern, compiled
from pgflow.expression.values import NUMBERS, equal, text_of, word

LIBRARY = Library()

_VERB = re.compile(r"%(?:%|([-+ 0]{0,3})([0-9]{0,3})(?:\.([0-9]{1,2}))?([a-zA-Z]))?")


@LIBRARY.takes("lower(text)", TEXT)
def _lower(frame: Frame, text: str) -> str:
    frame.spend_text(len(text))
    return text.lower()


@LIBRARY.takes("upper(text)", TEXT)
def _upper(frame: Frame, text: str) -> str:
    frame.spend_text(len(text))
    return text.upper()


@LIBRARY.takes("trim(text)", TEXT)
def _trim(frame: Frame, text: str) -> str:
    frame.spend_text(len(text))
    return text.strip()


@LIBRARY.takes("contains(text or list, part)", LIST_OR_TEXT, ANY)
def _contains(frame: Frame, container: Any, part: Any) -> bool:
    if isinstance(container, list):
        frame.spend(len(container))
        return any(equal(part, element, frame) for element in container)
    if type(part) is not str:
        raise Fault(f"a text contains texts, not {word(part)}", hint="string(value) makes a text of a value")
    frame.spend_text(len(container))
    return part in container


@LIBRARY.takes("startsWith(text, beginning)", TEXT, TEXT)
def _starts_with(frame: Frame, text: str, part: str) -> bool:
    frame.spend_text(len(part))
    return text.startswith(part)


@LIBRARY.takes("endsWith(text, ending)", TEXT, TEXT)
def _ends_with(frame: Frame, text: str, part: str) -> bool:
    frame.spend_text(len(part))
    return text.endswith(part)


@LIBRARY.takes("matches(text, pattern)", TEXT, PATTERN, prepare=Pattern)
def _matches(frame: Frame, text: str, pattern: str | Pattern) -> bool:
    if isinstance(pattern, str):
        pattern = compiled(pattern)
        frame.spend(100 + 8 * pattern.states)
    frame.spend((len(text) * pattern.states >> 9) + 1)
    return pattern.matches(text)


@LIBRARY.takes("split(text, separator, most)", TEXT, TEXT, INTEGER, optional=1)
def _split(frame: Frame, text: str, separator: str, most: int = 0) -> list[str]:
    frame.spend_text(len(text))
    if not separator:
        frame.spend(len(text))
        return list(text) if most <= 0 else [*text[: most - 1], *filter(None, [text[most - 1 :]])]
    found = text.split(separator, most - 1 if most > 0 else -1)
    frame.spend(len(found))
    return found


@LIBRARY.takes("join(list, separator)", LIST, TEXT, optional=1)
def _join(frame: Frame, parts: list[Any], separator: str = "") -> str:
    frame.spend(len(parts))
    texts = [part if type(part) is str else text_of(part, frame) for part in parts]
    frame.spend_text(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


@LIBRARY.takes("replace(text, old, new)", TEXT, TEXT, TEXT)
def _replace(frame: Frame, text: str, old: str, new: str) -> str:
    frame.spend_text(len(text))
    frame.spend_text(max(0, text.count(old) * (len(new) - len(old))) + len(text))
    return text.replace(old, new)


@LIBRARY.takes("substring(text, start, end)", TEXT, INTEGER, INTEGER, optional=1)
def _substring(frame: Frame, text: str, start: int, end: int | None = None) -> str:
    if start < 0 or (end is not None and end < start):
        raise Fault("substring() counts from 0, and the end is not before the start")
    part = text[start:end]
    frame.spend_text(len(part))
    return part


@LIBRARY.takes("index_of(text or list, part)", LIST_OR_TEXT, ANY)
def _index_of(frame: Frame, container: Any, part: Any) -> int:
    if isinstance(container, list):
        frame.spend(len(container))
        return next((n for n, element in enumerate(container) if equal(part, element, frame)), -1)
    if type(part) is not str:
        raise Fault(f"a text contains texts, not {word(part)}", hint="string(value) makes a text of a value")
    frame.spend_text(len(container))
    return int(container.find(part))


@LIBRARY.takes("format(text, [values])", TEXT, LIST)
def _format(frame: Frame, pattern: str, values: list[Any]) -> str:
    left, parts, done = iter(values), [], 0
    frame.spend(len(values))
    for verb in _VERB.finditer(pattern):
        parts.append(pattern[done : verb.start()])
        parts.append("%" if verb[0] == "%%" else _formatted(frame, verb, left))
        done = verb.end()
    if next(left, left) is not left:
        raise Fault("format() is given more values than there are places for them", hint="a place is %s, %d or %.2f")
    text = "".join([*parts, pattern[done:]])
    frame.spend_text(len(text))
    return text


def _formatted(frame: Frame, verb: re.Match[str], left: Any) -> str:
    flags, width, digits, letter = verb.groups()
    if letter not in {"s", "d", "f", "e", "x", "X", "o", "b"}:
        raise Fault(
            f"format() knows no {verb[0]}",
            hint="%s takes any value, %d an integer, %.2f a number; %% is a percent sign",
        )
    value = next(left, left)
    if value is left:
        raise Fault(f"format() has no value left for {verb[0]}")
    if letter == "s":
        text = text_of(value, frame)
        return str(f"%{flags}{width}s" % (text if digits is None else text[: int(digits)]))
    if type(value) not in NUMBERS:
        raise Fault(f"{verb[0]} takes a number, not {word(value)}", hint="%s takes any value")
    if letter in {"f", "e"}:
        return str(f"%{flags}{width}.{6 if digits is None else digits}{letter}" % value)
    if type(value) is float:
        if not value.is_integer():
            raise Fault(f"{verb[0]} takes an integer", hint="%.2f takes a number")
        value = int(value)
    if letter == "b":
        return str(f"%{flags}{width}s" % format(value, "b"))
    return str(f"%{flags}{width}{letter}" % value)
