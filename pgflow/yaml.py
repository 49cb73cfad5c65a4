"""YAML for people's files: what JSON can hold, and where each part of it stands.

YAML's older rules turn `on`, `12:30` and `2026-05-01` into something that its author did not write. Here plain words
mean what they mean in JSON: true, false, null, numbers; everything else is text. A key that is there twice is an error,
not the last of the two. Anchors and `<<` work; a document that contains itself does not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pgflow.errors import ArgumentError

Path = tuple[str | int, ...]

MOST_CHARACTERS = 1_000_000
_MOST_PARTS = 100_000
_MOST_BRACKETS = 300


class YamlError(ArgumentError):
    """A document is no YAML, or is not what was asked for.

    Attributes:
        line: where, from 1 on.
        column: where, from 1 on.
    """

    def __init__(self, message: str, source: str, line: int, column: int, *, hint: str | None = None) -> None:
        super().__init__(f"{source}:{line}:{column}: {message}", hint=hint)
        self.line = line
        self.column = column


class Document:
    """A document that was read.

    Attributes:
        value: what it holds: dicts, lists, text, numbers, booleans and None.
    """

    def __init__(self, source: str, value: Any, places: dict[Path, tuple[int, int]]) -> None:
        self.value = value
        self._source = source
        self._places = places

    def error(self, path: Sequence[str | int], message: str, *, hint: str | None = None) -> YamlError:
        """An error about the part at this path; where there is none, about what should hold it.

        Args:
            path: keys and positions from the top. With a key the error stands at the key, not at its value.
            message: what is wrong.
            hint: what to do about it.
        """
        at = tuple(path)
        while at not in self._places:
            at = at[:-1]
        line, column = self._places[at]
        return YamlError(message, self._source, line, column, hint=hint)


def load(text: str, source: str = "document") -> Document:
    """Read one document.

    Args:
        text: YAML, or JSON, which is YAML too.
        source: what it is called in errors, such as a file's name.

    Raises:
        YamlError: it is no YAML, has a key twice, or holds what JSON could not.

    Example:
        >>> load("nightly: {cron: '0 3 * * *', notify: [ops, 12:30]}").value
        {'nightly': {'cron': '0 3 * * *', 'notify': ['ops', '12:30']}}
    """
    if len(text) > MOST_CHARACTERS:
        raise YamlError(f"{len(text):,} characters are more than the {MOST_CHARACTERS:,} that are read", source, 1, 1)
    places: dict[Path, tuple[int, int]] = {(): (1, 1)}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(source, None, places)
        for path, part in _parts(node, (), (), source):
            places.setdefault(path, _place(part))
            if len(places) > _MOST_PARTS:
                raise YamlError(f"more than {_MOST_PARTS:,} parts", source, *_place(part))
        return Document(source, loader.construct_document(node), places)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise YamlError(_reason(error), source, line, column, hint=_hint(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        raise YamlError("a character that YAML does not allow", source, line, column) from None
    except RecursionError:
        raise YamlError("it is nested too deeply", source, 1, 1) from None


class _Loader(yaml.SafeLoader):
    """Plain words as JSON means them."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (as yaml declares it)

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803 (yaml hands it over by name)
        """Refuse here what is nested too deeply.

        The scanner looks at each open bracket for each new one, so it would take a thousand times as long to come to
        where the recursion ends.
        """
        if self.flow_level >= _MOST_BRACKETS:
            raise RecursionError
        super().fetch_flow_collection_start(TokenClass)


for _tag, _words, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_words})\Z"), _first)


def resolvers() -> Mapping[str, Sequence[tuple[str, re.Pattern[str]]]]:
    """By first character: the plain words that are not text, for whoever writes YAML that is read here."""
    return _Loader.yaml_implicit_resolvers


def _number(loader: yaml.SafeLoader, node: ScalarNode) -> int | float:
    text = str(loader.construct_scalar(node))
    if re.fullmatch(r"[-+]?[0-9]{1,400}", text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise yaml.constructor.ConstructorError(None, None, f"{text[:40]!r} is no number", node.start_mark)
    return number


def _text(loader: yaml.SafeLoader, node: ScalarNode) -> str:
    text = str(loader.construct_scalar(node))
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    try:  # JSON escapes what is beyond 16 bits as a pair
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise yaml.constructor.ConstructorError(None, None, "half a character", node.start_mark) from None


_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null")}
_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)


def _parts(node: Node, path: Path, above: tuple[Node, ...], source: str) -> Iterator[tuple[Path, Node]]:
    yield path, node
    if node in above:
        raise YamlError("it contains itself", source, *_place(node))
    if node.tag not in _TAGS:
        raise YamlError(f"the tag {node.tag} is not known", source, *_place(node), hint="only what JSON has is")
    if isinstance(node, SequenceNode):
        for position, part in enumerate(node.value):
            yield from _parts(part, (*path, position), (*above, node), source)
    elif isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, part in node.value:
            if not isinstance(key, ScalarNode):
                raise YamlError("a key has to be text", source, *_place(key))
            if key.value in seen:
                raise YamlError(f"the key {key.value!r} is there twice", source, *_place(key))
            seen.add(key.value)
            if key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
                yield (*path, key.value), key
            yield from _parts(part, (*path, key.value), (*above, node), source)


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _reason(error: yaml.MarkedYAMLError) -> str:
    return " ".join(part for part in (error.context, error.problem) if part) or "it is no YAML"


def _hint(error: yaml.MarkedYAMLError) -> str | None:
    if error.problem and ("alphabetic or numeric" in error.problem or "alias" in error.problem):
        return "text that begins with * or & goes in quotes, as a cron expression does: '*/5 * * * *'"
    if error.problem and "mapping values are not allowed" in error.problem:
        return "text with a colon and a space in it goes in quotes"
    if error.problem and "'\\t'" in error.problem:
        return "indent with spaces"
    return None
