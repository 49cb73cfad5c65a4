"""The words of an expression: names, numbers, texts and marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from pgflow.expression.faults import Fault

Kind = Literal["name", "quoted", "int", "double", "text", "bytes", "mark", "end"]

_SPACE = re.compile(r"(?:[ \t\r\n\f]|//[^\n]*)*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOUBLE = re.compile(r"(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+")
_INTEGER = re.compile(r"0[xX]([0-9a-fA-F]+)[uU]?|([0-9]+)[uU]?")
_MARK = re.compile(r"==|!=|<=|>=|&&|\|\||[()\[\]{}.,:?<>!+\-*/%]")
_QUOTE = re.compile(r"""([rR]?[bB]?|[bB][rR])(\"{3}|'{3}|"|')""")
_FIELD = re.compile(r"`([A-Za-z0-9_.\-/ ]{1,200})`")
_ESCAPE = re.compile(
    r"""\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([abfnrtv\\?"'`]))"""
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_HINTS = {
    "=": "compare with ==",
    "&": "write &&",
    "|": "write ||",
    "$": "names stand bare: input.name",
    ";": "one expression only",
    "`": "only letters, digits, spaces and _ . - / stand between backticks; m['any key'] takes all",
} | dict.fromkeys("\u201c\u201d\u2018\u2019", "use plain quotes: ' or \"")


class Token(NamedTuple):
    """A word, and where it stands.

    Args:
        kind: what it is.
        value: a name, a mark, or the value of a literal.
        at: where it begins.
        end: where it ends.
    """

    kind: Kind
    value: Any
    at: int
    end: int


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """The words from an offset on; the last is of the kind `end`.

    Raises:
        Fault: no word of the language begins at an offset.
    """
    at = start
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if at >= len(text):
            yield Token("end", "", len(text), len(text))
            return
        token = _token(text, at)
        yield token
        at = token.end


def _token(text: str, at: int) -> Token:
    if quote := _QUOTE.match(text, at):
        return _text(text, at, quote)
    if name := _NAME.match(text, at):
        return Token("name", name[0], at, name.end())
    if number := _DOUBLE.match(text, at):
        value = float(number[0])
        if value == float("inf"):
            raise Fault("this number is too large", at)
        return _apart(text, Token("double", value, at, number.end()))
    if number := _INTEGER.match(text, at):
        return _apart(text, Token("int", int(number[1], 16) if number[1] else int(number[2]), at, number.end()))
    if mark := _MARK.match(text, at):
        return Token("mark", mark[0], at, mark.end())
    if field := _FIELD.match(text, at):
        return Token("quoted", field[1], at, field.end())
    character = text[at]
    shown = repr(character) if character.isprintable() else f"the character U+{ord(character):04X}"
    raise Fault(f"{shown} has no meaning here", at, hint=_HINTS.get(character))


def _apart(text: str, token: Token) -> Token:
    if _NAME.match(text, token.end):
        raise Fault("a number runs into a name", token.end, hint="put an operator or a space between the two")
    return token


def _text(text: str, at: int, quote: re.Match[str]) -> Token:
    prefix, mark = quote[1].lower(), quote[2]
    begin = place = quote.end()
    while True:
        if place >= len(text) or (len(mark) == 1 and text[place] == "\n"):
            raise Fault("this text is not closed", at, hint=f"it has to end with {mark}")
        if text.startswith(mark, place):
            break
        place += 2 if text[place] == "\\" and "r" not in prefix else 1
    body, end = text[begin:place], place + len(mark)
    if "r" not in prefix:
        body = _unescaped(body, begin, octets="b" in prefix)
    elif "b" in prefix:
        body = body.encode("utf-8", "surrogatepass").decode("latin-1")
    if "b" in prefix:
        return Token("bytes", body.encode("latin-1"), at, end)
    return Token("text", body, at, end)


def _unescaped(body: str, begin: int, *, octets: bool) -> str:
    """A text with its escapes resolved; of octets, as the text that has their values as characters."""
    if "\\" not in body and not octets:
        return body
    parts, done = [], 0
    while done < len(body):
        place = body.find("\\", done)
        plain = body[done : place if place >= 0 else len(body)]
        parts.append(plain.encode("utf-8", "surrogatepass").decode("latin-1") if octets else plain)
        if place < 0:
            break
        escape = _ESCAPE.match(body, place)
        if escape is None or (octets and (escape[2] or escape[3])):
            raise Fault("no such escape in a text", begin + place, hint=r"write \\ for a backslash, or r'...'")
        parts.append(_character(escape, begin + place))
        done = escape.end()
    return "".join(parts)


def _character(escape: re.Match[str], at: int) -> str:
    short, long, longer, octal, letter = escape.groups()
    if letter:
        return _PLAIN.get(letter, letter)
    code = int(octal, 8) if octal else int(short or long or longer, 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise Fault("there is no such character", at)
    return chr(code)
