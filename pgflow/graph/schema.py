"""The JSON Schema of definitions, for editors, canvases and other programs: with the config of each node type.

It says what can be said of the shape. What a definition means, such as that no edge leads back, is `checks`' affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, TypeAdapter

from pgflow.graph.document import MOST_EDGES, MOST_NODES, Definition
from pgflow.graph.triggers import MODELS, WORDS

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_EXPRESSION = {"$ref": "#/$defs/Expression"}


class Described(Protocol):
    """What the schema needs to know of a node type."""

    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def config(self) -> type[BaseModel]: ...
    @property
    def example(self) -> Mapping[str, Any]: ...


def schema(kinds: Mapping[str, Described]) -> dict[str, Any]:
    """The JSON Schema of a definition.

    Args:
        kinds: every node type by name.

    Returns:
        A schema of draft 2020-12. A node is one of the forms in `$defs` whose names are `node.TYPE`, told apart by
        `type`.
    """
    definition = Definition.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    defs: dict[str, Any] = definition.pop("$defs")
    common = defs.pop("Node")
    defs["Expression"] = {
        "type": "string", "pattern": r"\$\{", "description": "A text with an expression in it, as in ${input.day}.",
    }  # fmt: skip
    defs["Duration"] = {
        "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "[0-9]"}],
        "description": "Seconds, or text such as 30s, 1h30m, 2d or PT5M.",
    }
    for name, kind in sorted(kinds.items()):
        defs[f"node.{name}"] = _node(name, kind, common, defs)
    names = sorted(kinds)
    properties = definition["properties"]
    name_of_node = properties["nodes"].get("propertyNames", {})
    properties["nodes"] |= {
        "minProperties": 1, "maxProperties": MOST_NODES,
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,99}$", **name_of_node},
        "additionalProperties": {
            "type": "object", "required": ["type"], "properties": {"type": {"enum": names}},
            "discriminator": {
                "propertyName": "type", "mapping": {name: f"#/$defs/node.{name}" for name in names},
            },
            "oneOf": [{"$ref": f"#/$defs/node.{name}"} for name in names],
        },
    }  # fmt: skip
    properties["edges"]["maxItems"] = MOST_EDGES
    properties["input"] = {"$ref": DRAFT, "description": properties["input"]["description"]}
    properties["triggers"]["items"] = {"oneOf": [_trigger(kind, defs) for kind in MODELS]}
    whole = {
        "$schema": DRAFT, "$id": "https://pgflow.invalid/definition.json", "title": "pgflow definition",
        **{field: value for field, value in definition.items() if field != "title"},
        "$defs": dict(sorted(defs.items())),
    }  # fmt: skip
    found: dict[str, Any] = _with_durations(whole)
    return found


def _with_durations(value: Any) -> Any:
    """The same, where a duration may be text: models know of it only as the number that it becomes."""
    if isinstance(value, list):
        return [_with_durations(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("format") == "duration" and value.get("type") == "number":
        kept = {name: one for name, one in value.items() if name in {"title", "description", "default"}}
        return {**kept, "$ref": "#/$defs/Duration"}
    return {name: _with_durations(one) for name, one in value.items()}


def _node(name: str, kind: Described, common: Mapping[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    config = _admitting(_model(kind.config, f"config.{name}", defs))
    needed = ["type", "config"] if config.get("required") else ["type"]
    properties = common["properties"] | {"type": {"const": name}, "config": config}
    return {
        "title": kind.title, "description": kind.description, "type": "object", "properties": properties,
        "required": needed, "additionalProperties": False, "examples": [dict(kind.example)],
    }  # fmt: skip


def _model(model: type[BaseModel], prefix: str, defs: dict[str, Any]) -> dict[str, Any]:
    """A model's schema; the models it refers to go into `defs`, admitting expressions in the place of their values."""
    found = TypeAdapter(model).json_schema(by_alias=True, ref_template=f"#/$defs/{prefix}.{{model}}")
    for inner, value in found.pop("$defs", {}).items():
        defs[f"{prefix}.{inner}"] = _admitting(value)
    return found


def _admitting(found: dict[str, Any]) -> dict[str, Any]:
    """The same, where each value may also be made by an expression."""
    if isinstance(properties := found.get("properties"), dict):
        found["properties"] = {name: _or_expression(value) for name, value in properties.items()}
    return found


def _or_expression(value: dict[str, Any]) -> dict[str, Any]:
    if _takes_any_text(value) or "const" in value:
        return value
    outer: dict[str, Any] = {name: value.pop(name) for name in ("title", "description", "default") if name in value}
    if isinstance(inner := value.get("items"), dict):
        value["items"] = _or_expression(inner)
    if isinstance(inner := value.get("additionalProperties"), dict):
        value["additionalProperties"] = _or_expression(inner)
    alternatives = value.pop("anyOf", None) or [value]
    return {**outer, "anyOf": [*alternatives, _EXPRESSION]}


def _takes_any_text(value: Mapping[str, Any]) -> bool:
    """Whether it takes any JSON, or any text, and so expressions without being told."""
    if not value.keys() - {"title", "description", "default", "examples"}:
        return True
    plain = value.get("type") == "string" and not value.keys() & {"pattern", "enum", "format", "maxLength"}
    return plain or any(_takes_any_text(one) for one in value.get("anyOf", ()))


def _trigger(kind: str, defs: dict[str, Any]) -> dict[str, Any]:
    found = TypeAdapter(MODELS[kind]).json_schema(by_alias=True, ref_template="#/$defs/trigger.{model}")
    for inner, value in found.pop("$defs", {}).items():
        defs[f"trigger.{inner}"] = value
    words = [word for word, of in WORDS.items() if of == kind]
    found["oneOf"] = [{"required": [word]} for word in words]
    defs[f"trigger.{kind}"] = found
    return {"$ref": f"#/$defs/trigger.{kind}"}
