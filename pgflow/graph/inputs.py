"""What a run is given: the JSON Schema that a definition has for it, and inputs held against it.

JSON Schema is read as its draft 2020-12. Formats count, unlike there: a `date` that is none is refused. A `$ref` leads
to a place in the same schema; nothing is ever fetched. Messages name places and what has to stand there, never what
does.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pgflow.errors import ArgumentError
from pgflow.graph.document import Problem
from pgflow.graph.shapes import joined, kind_of, nearest

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, FormatChecker, ValidationError

MOST_TOLD = 50
_KINDS = {
    "object": "an object", "array": "a list", "string": "text", "number": "a number", "integer": "a whole number",
    "boolean": "true or false", "null": "null",
}  # fmt: skip
_WHERE_NAMES_ARE_FREE = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_SCHEMAS = {
    "items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties", "not",
    "if", "then", "else", "allOf", "anyOf", "oneOf", "prefixItems",
}  # fmt: skip


class InputError(ArgumentError):
    """What a run was to be given is not what its workflow takes.

    Attributes:
        problems: all that is wrong with it, with paths as in `input.day`.
    """

    def __init__(self, workflow: str, problems: list[Problem]) -> None:
        listed = "; ".join(f"{one.path}: {one.message}" for one in problems[:5])
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        super().__init__(
            f"{workflow} does not take this input: {listed}{more}", hint=f"see `pgflow workflow show {workflow}`"
        )
        self.problems = problems


def schema_problems(schema: Mapping[str, Any], where: str = "input") -> list[Problem]:
    """What is wrong with a JSON Schema of an object.

    Args:
        schema: it.
        where: its own path.

    Example:
        >>> schema_problems({"type": "object", "properties": {"day": {"type": "sting"}}})[0].path
        'input.properties.day.type'
    """
    from jsonschema import Draft202012Validator

    meta = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=_formats())
    try:
        found = [_told(error, where) for error in _leaves(list(meta.iter_errors(schema)))][:MOST_TOLD]
        found = list(dict.fromkeys(found)) or [*_lost(schema, schema, where), *_not_of_objects(schema, where)]
    except RecursionError:
        found = [Problem(where, "this is nested too deeply")]
    return found


def _not_of_objects(schema: Mapping[str, Any], where: str) -> Iterator[Problem]:
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        yield Problem(f"{where}.type", "a run is given an object", "type: object, with properties")
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if schema.get("additionalProperties") is False and "patternProperties" not in schema:
        for number, name in enumerate(required):
            if name not in properties:
                yield Problem(
                    f"{where}.required[{number}]", f"{name!r} is asked for, and no property may be called so",
                    nearest(name, properties),
                )  # fmt: skip


def _lost(whole: Mapping[str, Any], part: Any, where: str) -> Iterator[Problem]:
    """References that lead nowhere, or elsewhere."""
    if not isinstance(part, Mapping):
        return
    target = part.get("$ref")
    if isinstance(target, str) and _resolved(whole, target) is None:
        hint = "#/$defs/NAME, with `$defs` beside `properties`"
        yield Problem(f"{where}.$ref", "this leads to no place in this schema", hint)
    for name in ("$dynamicRef", "$schema"):
        if name in part and (name != "$schema" or "2020-12" not in str(part[name])):
            yield Problem(f"{where}.{name}", "only draft 2020-12, without dynamic references, is understood")
    for field, value in part.items():
        if field in _WHERE_NAMES_ARE_FREE and isinstance(value, Mapping):
            for name, inner in value.items():
                yield from _lost(whole, inner, f"{where}.{field}.{name}")
        elif field in _SCHEMAS and isinstance(value, list):
            for number, inner in enumerate(value):
                yield from _lost(whole, inner, f"{where}.{field}[{number}]")
        elif field in _SCHEMAS:
            yield from _lost(whole, value, f"{where}.{field}")


def _resolved(whole: Any, target: str) -> Any:
    if target != "#" and not target.startswith("#/"):
        return None
    found = whole
    for part in target.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found if isinstance(found, Mapping | bool) else None


def input_problems(schema: Mapping[str, Any], given: Any, where: str = "input") -> list[Problem]:
    """What is wrong with an input, by its schema, which is a valid one.

    Example:
        >>> [str(one) for one in input_problems({"required": ["day"]}, {})]
        ['input.day: this is missing']
    """
    try:
        found = _leaves(list(_validator(schema).iter_errors(given)))
    except RecursionError:
        return [Problem(where, "this, or its schema, is nested too deeply, or within itself")]
    return list(dict.fromkeys(_told(error, where) for error in found))[:MOST_TOLD]


def accepted(schema: Mapping[str, Any], given: Mapping[str, Any], workflow: str) -> dict[str, Any]:
    """An input with what it leaves out and its schema has a default for.

    Args:
        schema: a valid one.
        given: the input.
        workflow: whose it is, for the message.

    Raises:
        InputError: it is not what the schema asks for.

    Example:
        >>> accepted({"properties": {"days": {"type": "integer", "default": 7}}}, {}, "report")
        {'days': 7}
    """
    whole = filled(schema, given)
    if problems := input_problems(schema, whole):
        raise InputError(workflow, problems)
    return whole


def filled(schema: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """An input with the defaults of what it leaves out, also in objects within it."""
    return dict(_filled(schema, schema, given, 0))


def _filled(whole: Mapping[str, Any], schema: Any, value: Any, depth: int) -> Any:
    for _ in range(10):
        if isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
            schema = _resolved(whole, schema["$ref"])
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(properties, Mapping) or depth > 50:
        return value
    found = dict(value)
    for name, inner in properties.items():
        if name in found:
            found[name] = _filled(whole, inner, found[name], depth + 1)
        elif isinstance(inner, Mapping) and "default" in inner:
            found[name] = _filled(whole, inner, inner["default"], depth + 1)
    return found


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    return Draft202012Validator(schema, format_checker=_formats(), registry=Registry())


@functools.cache
def _formats() -> FormatChecker:
    from datetime import date, datetime, time
    from uuid import UUID

    from jsonschema import FormatChecker

    from pgflow import duration

    formats = FormatChecker(["email", "ipv4", "ipv6"])
    makers = {
        "date": date.fromisoformat,
        "date-time": _with_zone(datetime.fromisoformat),
        "time": time.fromisoformat,
        "duration": duration.parse,
        "uuid": UUID,
        "regex": re.compile,
    }
    for name, make in makers.items():
        formats.checks(name, Exception)(_readable(make))
    return formats


def _readable(make: Any) -> Any:
    def check(value: object) -> bool:
        return not isinstance(value, str) or make(value) is not None

    return check


def _with_zone(make: Any) -> Any:
    def read(text: str) -> Any:
        found = make(text)
        return None if found.tzinfo is None else found

    return read


def _leaves(errors: list[ValidationError]) -> Iterator[ValidationError]:
    """Of an error in alternatives, those in the one that comes nearest; else the error itself."""
    for error in errors:
        by_choice: dict[Any, list[ValidationError]] = {}
        for inner in error.context or ():
            by_choice.setdefault(inner.schema_path[0], []).append(inner)
        near = [inner for inner in by_choice.values() if not _is_of_another_kind(inner)]
        if len(near) == 1:
            yield from _leaves(near[0])
        else:
            yield error


def _is_of_another_kind(inner: list[ValidationError]) -> bool:
    """Whether an alternative was not meant: it is for another type, or says so in a field."""
    depths = {"type": 0, "const": 1}
    return any(len(one.relative_path) <= depths.get(str(one.validator), -1) for one in inner)


def _told(error: ValidationError, where: str) -> Problem:
    path = joined(where, error.absolute_path)
    wanted: Any = error.validator_value
    given: Any = error.instance
    match error.validator:
        case "required":
            missing = next(name for name in wanted if name not in given)
            return Problem(f"{path}.{missing}", "this is missing")
        case "additionalProperties" | "unevaluatedProperties" if wanted is False:
            properties = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
            patterns = error.schema.get("patternProperties", {}) if isinstance(error.schema, Mapping) else {}
            extra = [n for n in given if n not in properties and not any(re.search(p, n) for p in patterns)]
            first = extra[0] if extra else ""
            return Problem(joined(path, [first]), "there is no such field", nearest(first, properties))
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            said = " or ".join(_KINDS.get(kind, kind) for kind in kinds)
            return Problem(path, f"this has to be {said}, not {kind_of(given)}")
        case "enum":
            choices = [one for one in wanted if isinstance(one, str)]
            if len(choices) == len(wanted):
                return Problem(
                    path, "there is no such choice", nearest(given if isinstance(given, str) else "", choices)
                )
            return Problem(path, f"there is no such choice; it is one of {str(wanted)[:200]}")
        case "const":
            return Problem(path, f"this has to be {str(wanted)[:100]!r}")
        case "format":
            return Problem(path, f"this is no {wanted}", _FORMAT_HINTS.get(wanted))
        case "anyOf" | "oneOf":
            return Problem(path, "this fits none of the forms it may have" if not _fits_several(error) else
                           "this fits several of the forms of which it has to fit one")  # fmt: skip
        case name if name in _BOUNDS:
            return Problem(path, _BOUNDS[name].format(wanted))
        case _:
            return Problem(path, f"this does not fulfil {error.validator}: {str(wanted)[:100]}")


_FORMAT_HINTS = {
    "date": "as in 2026-05-01", "date-time": "with its offset, as in 2026-05-01T09:00:00+02:00", "time": "as in 09:30",
    "duration": "as in 30s, 1h30m, 2d or PT5M", "uuid": "as in 123e4567-e89b-12d3-a456-426614174000",
}  # fmt: skip
_BOUNDS = {
    "minimum": "this has to be at least {}", "maximum": "this may be at most {}",
    "exclusiveMinimum": "this has to be more than {}", "exclusiveMaximum": "this has to be less than {}",
    "minLength": "this has to have at least {} characters", "maxLength": "this may have at most {} characters",
    "minItems": "this has to have at least {} elements", "maxItems": "this may have at most {} elements",
    "multipleOf": "this has to be a multiple of {}", "uniqueItems": "no element may be there twice",
    "pattern": "this has to match {}", "minProperties": "this has to have at least {} fields",
    "maxProperties": "this may have at most {} fields",
}  # fmt: skip


def _fits_several(error: ValidationError) -> bool:
    return error.validator == "oneOf" and not error.context
