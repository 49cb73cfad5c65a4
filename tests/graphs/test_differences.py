"""What differs between two definitions."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from pgflow.graph import Definition
from pgflow.graph.differences import differences
from pgflow.graph.meaning import checksum
from tests.graphs.test_reading import sound_definitions

NOOP = {"type": "noop"}


def made(**fields: Any) -> Definition:
    return Definition.model_validate({"name": "g", **fields})


OLD = made(
    timeout="1h",
    tags={"team": "ops"},
    nodes={
        "fetch": {
            "type": "http", "timeout": "1m", "config": {"url": "https://a", "headers": {"x": "1"}, "query": None},
        },
        "gone": NOOP,
        "same": {"type": "noop", "timeout": 60},
    },
    edges=[{"from": "fetch", "to": "gone"}, {"from": "fetch", "to": "same", "when": "true"}],
)  # fmt: skip
NEW = made(
    timeout="2h",
    title="Report",
    nodes={
        "same": {"type": "noop", "timeout": "1m"},
        "fetch": {"type": "http", "config": {"url": "https://b", "headers": {"x": "1", "y": "2"}, "body": None}},
        "fresh": {"type": "transform", "config": {"value": 1}},
    },
    edges=[{"from": "fetch", "to": "same", "when": "false"}, {"from": "same", "to": "fresh", "on_state": "failed"}],
)


def test_it_is_told_by_node_and_field_and_edge() -> None:
    assert str(differences(OLD, NEW)).splitlines() == [
        "~ timeout: 3600.0 -> 7200.0",
        '~ tags: - {"team":"ops"}',
        '~ title: + "Report"',
        "- node gone (noop)",
        "+ node fresh (transform)",
        "~ node fetch",
        '    config.url: "https://a" -> "https://b"',
        '    config.headers.y: + "2"',
        "    config.query: - null",
        "    config.body: + null",
        "    timeout: - 60.0",
        "- edge fetch -> gone",
        "+ edge same -> fresh (on_state: failed)",
        "~ edge fetch -> same",
        '    when: "true" -> "false"',
    ]


def test_it_is_told_as_json() -> None:
    found = differences(OLD, NEW).to_json()
    assert found["fields"][0] == {"path": "timeout", "old": 3600.0, "new": 7200.0}
    assert found["nodes"]["added"] == {"fresh": {"type": "transform", "config": {"value": 1}}}
    assert found["nodes"]["removed"] == {"gone": NOOP}
    assert {"path": "config.query", "old": None} in found["nodes"]["changed"]["fetch"]
    assert found["edges"]["changed"] == [
        {"from": "fetch", "to": "same", "changes": [{"path": "when", "old": "true", "new": "false"}]}
    ]


def test_there_is_no_difference_in_how_it_is_written() -> None:
    one = made(timeout="1h", nodes={"a": NOOP, "b": {"type": "noop", "config": {}}}, edges=[{"from": "a", "to": "b"}])
    other = made(
        nodes={"b": NOOP, "a": NOOP}, timeout=3600, priority="normal",
        edges=[{"from": "a", "to": "b", "on_state": "completed"}],
    )  # fmt: skip
    assert not differences(one, other)
    assert str(differences(one, other)) == "no difference"


def test_the_order_of_what_is_the_authors_own_is_a_difference() -> None:
    def switch(*cases: str) -> Definition:
        config = {"value": "${run.id}", "cases": dict.fromkeys(cases, 1)}
        return made(nodes={"a": {"type": "switch", "config": config}})

    assert "config.cases (order)" in str(differences(switch("x", "y"), switch("y", "x")))


@settings(max_examples=100, deadline=None)
@given(sound_definitions(), sound_definitions())
def test_there_is_a_difference_exactly_when_the_checksums_differ(one: dict[str, Any], other: dict[str, Any]) -> None:
    old, new = Definition.model_validate(one), Definition.model_validate(other)
    assert not differences(old, old)
    assert bool(differences(old, new)) == (checksum(old) != checksum(new))
    forth, back = differences(old, new).to_json()["nodes"], differences(new, old).to_json()["nodes"]
    assert (forth["added"], forth["removed"]) == (back["removed"], back["added"])
