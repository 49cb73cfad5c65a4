"""Definitions as text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pgflow.errors import ArgumentError
from pgflow.graph.document import Problem
from pgflow.graph.meaning import checksum, meaning, placed
from pgflow.graph.reading import read
from pgflow.graph.writing import to_yaml
from pgflow.nodes.publishing_verbs import examined
from pgflow.yaml import YamlError

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
    | st.sampled_from(["yes", "on", "12:30", "2026-05-01", "1e3", "0x1f", "010", "~", "<<", "null", "- a", "a: b", "#",
                       "*/5 * * * *", "line\nline\n", " lead\n\n", "\ttab\n x ", "x" * 300 + " y", "%", "=", "!x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(texts, values, max_size=5))
@example({"a": {"<<": 1, "true": 2, "1": 3}})
@example({"a": ["1.", ".5", "1e400", "-", "?", ":", "", " "]})
def test_what_is_written_reads_back(document: dict[str, Any]) -> None:
    assert read(to_yaml(document)).value == document
    assert list(read(to_yaml(document)).value) == list(document), "and in its order"
    assert read(json.dumps(document)).value == document


def without_expressions(value: Any) -> Any:
    return json.loads(json.dumps(value).replace("${", "$("))


@st.composite
def sound_definitions(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True), unique=True, min_size=1, max_size=5))
    nodes: dict[str, Any] = {}
    for name in names:
        node: dict[str, Any] = {"type": "transform", "config": {"value": without_expressions(draw(values))}}
        if draw(st.booleans()):
            node |= {"timeout": draw(st.sampled_from(["30s", 30, "1h"])), "title": draw(texts)}
        if draw(st.booleans()):
            node["position"] = {"x": draw(st.integers(-999, 999)), "y": 0.5}
        nodes[name] = node
    edges = [
        {"from": one, "to": other}
        for place, one in enumerate(names)
        for other in names[place + 1 :]
        if draw(st.booleans())
    ]
    return {"name": "g", "nodes": nodes, "edges": edges, "tags": {"team": draw(texts)}, "output": "${nodes}"}


@settings(max_examples=100, deadline=None)
@given(sound_definitions(), st.randoms())
def test_a_definition_survives_yaml_and_json_and_says_the_same(document: dict[str, Any], random: Any) -> None:
    definition, problems = examined(document)
    assert problems == []
    assert definition is not None
    for text in (to_yaml(document), json.dumps(document)):
        again, problems = examined(read(text).value)
        assert problems == []
        assert again == definition
    said = definition.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert checksum(type(definition).model_validate(said)) == checksum(definition)
    names = list(document["nodes"])
    random.shuffle(names)
    random.shuffle(document["edges"])
    shuffled = document | {"nodes": {name: document["nodes"][name] for name in names}}
    assert checksum(type(definition).model_validate(shuffled)) == checksum(definition)


def definition(**fields: Any) -> Any:
    found, problems = examined({"name": "g", "nodes": {"a": {"type": "noop"}}, **fields})
    assert found is not None, problems
    return found


def test_what_means_the_same_has_the_same_checksum_and_what_does_not_has_not() -> None:
    plain = definition()
    assert checksum(definition(priority="normal", nodes={"a": {"type": "noop", "config": {}}})) == checksum(plain)
    minute = definition(timeout="1m")
    assert checksum(definition(timeout=60)) == checksum(minute) != checksum(plain)
    cases = {"x": 1, "y": [1, 2]}
    switch = {"type": "switch", "config": {"value": "${run.id}", "cases": cases}}
    turned = {"type": "switch", "config": {"value": "${run.id}", "cases": dict(reversed(cases.items()))}}
    assert checksum(definition(nodes={"a": switch})) != checksum(definition(nodes={"a": turned})), (
        "the first case counts"
    )
    for field, value in {"title": "T", "description": "D", "output": 1, "tags": {"a": "b"}}.items():
        assert checksum(definition(**{field: value})) != checksum(plain)
    moved = definition(nodes={"a": {"type": "noop", "position": {"x": 1, "y": 2}}})
    assert checksum(moved) != checksum(plain)
    assert meaning(plain) == {"name": "g", "nodes": {"a": {"type": "noop"}}}


def test_nodes_stand_where_they_stood_unless_they_say_where() -> None:
    at, there = {"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 4.0}
    before = {"nodes": {"a": {"type": "noop", "position": at}, "b": {"type": "noop", "position": at}, "c": {}}}
    given_ = {
        "name": "g",
        "nodes": {"a": {"type": "http"}, "b": {"type": "noop", "position": there}, "d": {"type": "x"}},
    }
    assert placed(given_, before)["nodes"] == {
        "a": {"type": "http", "position": at}, "b": {"type": "noop", "position": there}, "d": {"type": "x"},
    }  # fmt: skip
    assert placed(given_, None) == given_
    assert "position" not in given_["nodes"]["a"]


TEXT = """\
name: g
nodes:
  a.b: {type: noop}
  fetch:
    type: http
    config: {url: "${x}",
      headers: {a.b: 1, a: {b: 2}}}
edges:
  - {from: a, to: b}
  - from: b
    to: c
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("", 1, 1),
        ("name", 1, 1),
        ("title", 1, 1),
        ("nodes.fetch.type", 5, 5),
        ("nodes.fetch.config.url", 6, 14),
        ("nodes.fetch.config.body", 6, 5),
        ("nodes.fetch.config.headers.a.b", 7, 17),
        ("nodes.a.b.type", 3, 9),
        ("edges[1].to", 11, 5),
        ("edges[0]", 9, 5),
        ("edges[7].to", 8, 1),
    ],
)
def test_a_problem_has_a_line(path: str, line: int, column: int) -> None:
    found = read(TEXT, "g.yaml").place(Problem(path, "wrong", "mend it"))
    assert (found.line, found.column) == (line, column)
    assert str(found).startswith(f"g.yaml:{line}:{column}: ")


def test_json_has_lines_too() -> None:
    assert read('{"name": "g",\n "nodes": {\n  "a": {"type": "x"}}}').place(Problem("nodes.a.type", "x")).line == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nname: b", "f:2:1: the key 'name' is there twice"),
        ('{"name": 1,\n "name": 2}', "f:2:2: the key 'name' is there twice"),
        ('{"name": 1,\n "nodes": {"a": 1 "b": 2}}', "f:2:22:"),
        ('{"name": NaN, "x": [}', "f:1:21:"),
        ("name: [", "f:1:8:"),
        ("a: &x [*x]", "f:1:4: it contains itself"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(YamlError) as caught:
        read(text, "f")
    assert said in str(caught.value)


def test_a_large_definition_goes_as_json() -> None:
    nodes = {f"node_{number}": {"type": "noop", "title": "x" * 180} for number in range(5_000)}
    text = json.dumps({"name": "g", "nodes": nodes})
    assert len(text) > 1_000_000
    source = read(text)
    assert source.value["nodes"] == nodes
    assert source.place(Problem("nodes.node_1", "x")).line is None
    with pytest.raises(YamlError, match="the key 'name' is there twice"):
        read(text[:-1] + ', "name": 1}')
    with pytest.raises(ArgumentError, match="characters are more than"):
        read("x" * 9_000_000)


def test_what_is_written_is_short() -> None:
    document = {
        "name": "g",
        "input": {"type": "object", "required": ["day"], "properties": {"day": {"type": "string"}}},
        "nodes": {"a": {"type": "http", "config": {"url": "https://x.y", "body": "line\nline\n"}}},
        "edges": [{"from": "a", "to": "b", "branch": "true"}],
    }
    assert to_yaml(document) == (
        "name: g\ninput:\n  type: object\n  required: [day]\n  properties:\n    day:\n      type: string\n"
        "nodes:\n  a:\n    type: http\n    config:\n      url: https://x.y\n      body: |\n        line\n        line\n"
        "edges:\n- {from: a, to: b, branch: 'true'}\n"
    )
