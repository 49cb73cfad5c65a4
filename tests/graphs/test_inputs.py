"""Inputs are held against the JSON Schema that a definition has for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgflow.graph.inputs import InputError, accepted, filled, input_problems, schema_problems

ORDER = {
    "type": "object",
    "required": ["id", "lines"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "day": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "size": {"enum": ["small", "large"]},
        "note": {"type": ["string", "null"], "maxLength": 5},
        "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/line"}},
        "to": {"oneOf": [
            {"type": "object", "required": ["kind", "url"], "properties": {"kind": {"const": "hook"}}},
            {"type": "object", "required": ["kind", "mail"], "properties": {"kind": {"const": "mail"}}},
        ]},
    },
    "$defs": {
        "line": {
            "type": "object",
            "required": ["sku"],
            "properties": {"sku": {"type": "string", "pattern": "^[A-Z]+$"}, "count": {"default": 1}},
        }
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        ({}, "input.id", "this is missing"),
        ({"id": "7"}, "input.id", "this has to be a whole number, not text"),
        ({"id": 0}, "input.id", "this has to be at least 1"),
        ({"idd": 1}, "input.idd", "there is no such field"),
        ({"day": "2026-13-01"}, "input.day", "this is no date"),
        ({"at": "2026-12-01T09:00:00"}, "input.at", "this is no date-time"),
        ({"size": "larg"}, "input.size", "there is no such choice"),
        ({"note": "longer"}, "input.note", "this may have at most 5 characters"),
        ({"lines": []}, "input.lines", "at least 1"),
        ({"lines": [{"sku": "A"}, {"sku": "b"}]}, "input.lines[1].sku", "this has to match ^[A-Z]+$"),
        ({"to": {"kind": "hook"}}, "input.to.url", "this is missing"),
        ({"to": {"kind": "else"}}, "input.to", "this fits none of the forms it may have"),
    ],
)
def test_what_is_wrong_with_an_input_is_told_with_its_place(given: dict[str, Any], path: str, said: str) -> None:
    whole = {"id": 1, "lines": [{"sku": "A"}], **given} if given else {"lines": [{"sku": "A"}]}
    (problem,) = input_problems(ORDER, whole)
    assert problem.path == path
    assert said in problem.message


def test_all_of_it_is_told_at_once_and_values_are_not_shown() -> None:
    with pytest.raises(InputError) as caught:
        accepted(ORDER, {"id": "hunter22", "lines": [{"sku": "hunter22"}], "day": "hunter22", "x": 1}, "shop")
    assert {one.path for one in caught.value.problems} == {"input.id", "input.lines[0].sku", "input.day", "input.x"}
    assert "hunter22" not in str(caught.value)
    assert str(caught.value).startswith("shop does not take this input: ")


def test_what_is_left_out_has_its_default_also_further_down() -> None:
    schema = {"properties": {"days": {"default": 7}, "to": {"default": {}, "properties": {"name": {"default": "ops"}}}}}
    assert accepted(schema, {}, "w") == {"days": 7, "to": {"name": "ops"}}
    assert accepted(schema, {"days": None, "to": {"name": "x"}, "more": 1}, "w") == {
        "days": None, "to": {"name": "x"}, "more": 1,
    }  # fmt: skip
    with pytest.raises(InputError, match=r"input.days: this has to be text"):
        accepted({"properties": {"days": {"type": "string", "default": 7}}}, {}, "w")


def test_a_schema_within_itself_is_no_trap() -> None:
    assert schema_problems({"$ref": "#"}) == []
    (problem,) = input_problems({"$ref": "#"}, {})
    assert "within itself" in problem.message
    tree = {"properties": {"child": {"$ref": "#"}, "size": {"default": 1}}}
    assert filled(tree, {"child": {"child": {}}}) == {"child": {"child": {"size": 1}, "size": 1}, "size": 1}
    loop = {"properties": {"child": {"$ref": "#", "default": {}}}}
    assert schema_problems(loop) == []
    filled(loop, {})


def test_nothing_is_fetched() -> None:
    for target in ("https://example.com/schema.json", "file:///etc/passwd", "#/nope", "#anchor"):
        schema = {"properties": {"a": {"items": [], "not": {"$ref": target}}}}
        assert any("leads to no place" in one.message or one.path for one in schema_problems(schema))


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4)
    | st.sampled_from(["object", "string", "#", "#/$defs/a", "(", "date", "x"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "properties", "required", "$ref", "$defs", "a", "items", "anyOf", "oneOf", "pattern", "format",
             "default", "patternProperties", "if", "then", "not", "enum", "const", "minimum", "$id", "$anchor",
             "$schema", "$dynamicRef", "unevaluatedProperties", "dependentRequired"]
        ),
        inner, max_size=4,
    ),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["properties", "type", "$defs", "allOf", "required", "$ref"]), anything), anything
)
def test_whatever_the_schema_nothing_is_raised(schema: dict[str, Any], value: Any) -> None:
    if not schema_problems(schema):
        input_problems(schema, value)
        filled(schema, value if isinstance(value, dict) else {})
