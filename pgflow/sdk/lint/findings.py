"""What the linter says, and the comments that silence it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from enum import StrEnum

_COMMENT = re.compile(r"#\s*pgflow:\s*ignore\b(?:\s*\[(?P<codes>[^\]]*)\])?(?!\s*\[)")
_LINE_END = re.compile(r"\r\n|\r|\n")


class Level(StrEnum):
    """How bad a finding is: an error breaks replay, a warning may."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place in the user's code.

    Attributes:
        path: the file, as it was given.
        line: counts from 1.
        column: in characters, counts from 1.
        code: such as `PGF101`; stable.
        level: error or warning.
        message: what is wrong, on one line.
        hint: what to do instead.
    """

    path: str
    line: int
    column: int
    code: str
    level: Level
    message: str
    hint: str


class Source:
    """A file's text: where its lines are and what its comments silence."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = _LINE_END.split(text)
        self._silenced = _silenced(text) if "pgflow:" in text else {}

    def column(self, line: int, offset: int) -> int:
        """The character's number in its line. Python counts in bytes of UTF-8."""
        if not 0 < line <= len(self._lines):
            return 1
        return len(self._lines[line - 1].encode("utf-8", "replace")[:offset].decode("utf-8", "ignore")) + 1

    def line_of_finally(self, first: ast.stmt) -> int:
        """The line of the word `finally` above its first statement; the tree does not have it."""
        for line in range(min(first.lineno, len(self._lines)), 0, -1):
            if self._lines[line - 1].lstrip().startswith("finally"):
                return line
        return first.lineno

    def is_silenced(self, code: str, *lines: int) -> bool:
        """Whether one of these lines says to pass this code over."""
        return any((codes := self._silenced.get(line)) is not None and (not codes or code in codes) for line in lines)


def _silenced(text: str) -> dict[int, frozenset[str]]:
    """By line, the codes that are silenced there; an empty set is all of them."""
    found = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and (comment := _COMMENT.search(token.string)):
                codes = comment["codes"]
                listed = frozenset(code.strip().upper() for code in (codes or "").split(",") if code.strip())
                if codes is None or listed:
                    found[token.start[0]] = listed
    except (tokenize.TokenError, SyntaxError):
        pass  # what the parser takes the tokenizer may not; the comments up to there count
    return found
