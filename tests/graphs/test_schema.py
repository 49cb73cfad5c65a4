"""The published JSON Schema agrees with what checking finds about shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pgflow.graph.schema import schema
from pgflow.nodes.kit import node_types
from pgflow.nodes.publishing_verbs import examined
from tests.graphs.test_checks import TWELVE, graph, layered

SCHEMA = schema(node_types())
VALIDATOR = Draft202012Validator(SCHEMA)


def fits(document: Any) -> bool:
    return not list(VALIDATOR.iter_errors(document))


def test_it_is_a_schema_and_names_every_node_type() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    node = SCHEMA["properties"]["nodes"]["additionalProperties"]
    assert sorted(node["discriminator"]["mapping"]) == node["properties"]["type"]["enum"] == sorted(node_types())
    for name, kind in node_types().items():
        found = SCHEMA["$defs"][f"node.{name}"]
        assert found["properties"]["type"] == {"const": name}
        assert found["examples"] == [dict(kind.example)]
        described = found["properties"]["config"].get("properties", {})
        assert all(field.get("description") or "$ref" in field for field in described.values()), name


def test_every_reference_in_it_leads_somewhere() -> None:
    def references(value: Any) -> Any:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for target in set(references(SCHEMA)):
        assert target == SCHEMA["$schema"] or target.removeprefix("#/$defs/") in SCHEMA["$defs"], target


@pytest.mark.parametrize("name", sorted(node_types()))
def test_the_example_of_each_type_fits_and_not_with_a_field_too_many(name: str) -> None:
    example = dict(node_types()[name].example)
    assert fits(graph(a=example))
    assert not fits(graph(a={**example, "config": {**example.get("config", {}), "nonsense": 1}}))
    assert not fits(graph(a={**example, "nonsense": 1}))


def test_an_expression_may_stand_for_any_value() -> None:
    config = {"over": "${input.all}", "task": "t", "concurrency": "${input.many}", "on_failure": "${input.way}"}
    assert fits(graph(a={"type": "map", "config": config}))
    assert not fits(graph(a={"type": "map", "config": {**config, "concurrency": "many"}}))
    assert fits(graph(a={"type": "delay", "config": {"time": "${input.time}"}, "timeout": "1h30m"}))


TRIGGERS = [
    {"cron": "0 6 * * 1-5", "timezone": "Europe/Berlin", "input": {"day": "${trigger.fire_date}"}, "jitter": "1m"},
    {"every": 30, "overlap": "skip"},
    {"at": "2099-01-01T12:00"},
    {"webhook": {}},
    {
        "webhook": {"signature": {"header": "x-key", "form": "token"}, "secrets": ["KEY"], "keep": "2d"},
        "filter": "true",
    },
    {"event": "order/*", "input": "${event.payload}"},
]


def test_triggers_fit_by_what_they_say() -> None:
    document = graph(a=None) | {"triggers": TRIGGERS}
    assert fits(document)
    assert examined(document)[1] == []
    for wrong in ({}, {"cron": "@daily", "every": 1}, {"cron": "@daily", "filter": "x"}, {"event": 1}, {"webhook": 1}):
        document = graph(a=None) | {"triggers": [wrong]}
        assert not fits(document), wrong
        assert examined(document)[1], wrong


def test_what_is_valid_fits_and_mistakes_of_shape_do_not() -> None:
    assert fits(layered(5, 10, 3))
    assert not fits(TWELVE)
    assert not fits({"name": "x", "nodes": {}})
    assert not fits(graph(**{"my node": None}))
    assert not fits(graph(a={"type": "nope"}))
