"""The page that documents every node type, made of the models and examples themselves.

`python -m pgflow.nodes.reference > docs/nodes.md` writes it anew.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pgflow import duration
from pgflow.nodes.base import NodeType, Work
from pgflow.nodes.kit import BUILT_IN

_HEAD = """# Node types

What a node of a graph can be. Every text in a config may hold `${expressions}` ([which](expressions.md)); fields marked
*later* are rendered by the node itself, each time it needs them. Secrets, `${secrets.NAME}`, are for nodes that workers
do: the worker puts them in, and they are stored nowhere.

This page is made of the node types themselves; [node-types.md](node-types.md) is about connections, retries, approvals,
and types of your own.
"""
_CODE = re.compile(r"(?<![`{])\$?\{[^{}`]*\}(?!`)")
_NAMES = {"string": "text", "integer": "whole number", "boolean": "true or false", "array": "list", "null": "null"}


def page(types: Mapping[str, NodeType[Any]]) -> str:
    """The page, in Markdown."""
    groups: dict[str, list[NodeType[Any]]] = {}
    for kind in sorted(types.values(), key=lambda kind: kind.name):
        groups.setdefault(kind.group, []).append(kind)
    lines = [_HEAD]
    for group, kinds in sorted(groups.items()):
        lines.append(f"{group}: {', '.join(f'[{kind.name}](#{kind.name})' for kind in kinds)}\n")
    for kinds in (groups[group] for group in sorted(groups)):
        for kind in kinds:
            lines += _section(kind)
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(kind: NodeType[Any]) -> Iterator[str]:
    yield f"## {kind.name}\n"
    yield f"**{kind.title}.** {_coded(kind.description)}\n"
    yield f"{_done(kind)}\n"
    shown = yaml.safe_dump(dict(kind.example), sort_keys=False, allow_unicode=True, width=110)
    yield f"```yaml\n{shown.rstrip()}\n```\n"
    rows = list(_rows(kind))
    if rows:
        yield "| config | what it takes | unless given | what it says |"
        yield "|---|---|---|---|"
        yield from rows
        yield ""


def _done(kind: NodeType[Any]) -> str:
    branches = kind.branches(kind.example.get("config", {}))
    parts = []
    if isinstance(kind, Work):
        retry = kind.retry
        tries = f"tried up to {retry.max_attempts} times" if retry.max_attempts > 1 else "tried once"
        parts.append(f"Done by a worker: {tries}, {duration.text(kind.timeout)} each, unless the node says otherwise.")
    else:
        parts.append("Done by the run itself.")
    if branches is not None:
        parts.append(f"Branches: {', '.join(f'`{branch}`' for branch in branches)}.")
    return " ".join(parts)


def _rows(kind: NodeType[Any]) -> Iterator[str]:
    schema = kind.config.model_json_schema(by_alias=True)
    yield from _fields(schema, schema, "", dict.fromkeys(kind.later, "As it is" if isinstance(kind, Work) else "Later"))


def _fields(
    whole: Mapping[str, Any], schema: Mapping[str, Any], prefix: str, later: Mapping[str, str]
) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        default = "*needed*" if name in required else _default(field)
        said = field.get("description", "") + (f" *{later[path]}.*" if path in later else "")
        yield f"| `{path}` | {_type(whole, field)} | {default} | {_coded(_cell(said))} |"
        inner, below = _model(whole, field)
        if inner is not None and "described" not in field:  # where the node type of that name is
            yield from _fields(whole, inner, f"{path}{below}.", later)


def _default(field: Mapping[str, Any]) -> str:
    default = field.get("default")
    if default is None or default in ([], {}):
        return "nothing"
    if field.get("format") == "duration" and isinstance(default, int | float):
        return f"`{duration.text(default)}`"
    return f"`{_cell(json.dumps(default) if not isinstance(default, str) else default)}`"


def _resolved(whole: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    return whole["$defs"][reference.rpartition("/")[2]] if isinstance(reference, str) else schema


def _alternatives(whole: Mapping[str, Any], field: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = [_resolved(whole, one) for one in field.get("anyOf", [field])]
    return [one for one in found if one.get("type") != "null"] or found


def _model(whole: Mapping[str, Any], field: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """The config within a field, if there is one, and what its path has before the next name."""
    for one in _alternatives(whole, field):
        if "properties" in one:
            return one, ""
        if one.get("type") == "array":
            inner = _resolved(whole, one.get("items", {}))
            if "properties" in inner:
                return inner, "[]"
    return None, ""


def _type(whole: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    return _cell(" or ".join(dict.fromkeys(_word(whole, one) for one in _alternatives(whole, field))))


def _word(whole: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    if schema.get("format") in ("duration", "date-time"):
        return {"duration": "duration", "date-time": "instant"}[schema["format"]]
    match schema.get("type"):
        case "array":
            inner = _alternatives(whole, _resolved(whole, schema.get("items", {})))
            words = list(dict.fromkeys(_word(whole, one) for one in inner))
            return f"list of {' or '.join(words)}" if words != ["anything"] else "list"
        case "object":
            return "object"
        case str(kind):
            return _NAMES.get(kind, kind)
    return "anything"


def _coded(text: str) -> str:
    return _CODE.sub(lambda found: f"`{found[0]}`", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(page({kind.name: kind for kind in BUILT_IN}))
