"""What is wrong with a definition is told: all of it, where it is, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgflow.graph.advice import advice
from pgflow.graph.checks import MOST_TOLD, check
from pgflow.graph.document import MOST_EDGES, MOST_NODES, Problem
from pgflow.graph.reading import read
from pgflow.nodes.kit import node_types
from pgflow.nodes.publishing_verbs import examined
from tests.docs.markdown import ROOT, blocks

NOOP = {"type": "noop"}


def problems(document: Any) -> list[Problem]:
    return examined(document)[1]


def told(document: Any) -> dict[str, str]:
    """By path, the message and the hint."""
    return {one.path: f"{one.message} -> {one.hint}" if one.hint else one.message for one in problems(document)}


def graph(*edges: tuple[str, str] | Mapping[str, Any], **nodes: Any) -> dict[str, Any]:
    given = [edge if isinstance(edge, Mapping) else {"from": edge[0], "to": edge[1]} for edge in edges]
    return {"name": "g", "nodes": {name: node or NOOP for name, node in nodes.items()}, "edges": given}


def transform(value: Any) -> dict[str, Any]:
    return {"type": "transform", "config": {"value": value}}


TWELVE = {
    "name": "daily report",
    "input": {"type": "object", "properties": {"day": {"type": "strng"}}},
    "nodes": {
        "fetch": {"type": "htttp", "config": {"url": "https://example.com"}},
        "big": {"type": "condition", "config": {"wen": "${input.day != ''}", "when": "${true}"}},
        "each": {"type": "map", "config": {"over": "${nodes.fetsh.output}", "task": "enrich"}},
        "sum": transform("${size(nodes.each.output}"),
        "late": NOOP,
        "after": {"type": "noop", "timeout": "soon"},
        "lost": {"type": "delay"},
    },
    "edges": [
        {"from": "fetch", "to": "big"},
        {"from": "big", "to": "each", "branch": "yes"},
        {"from": "each", "to": "sum"},
        {"from": "sum", "to": "fetch"},
        {"from": "late", "to": "aftr"},
    ],
    "triggers": [{"cron": "0 25 * * *"}],
}


def test_twelve_mistakes_are_twelve_messages_a_person_can_act_on() -> None:
    found = told(TWELVE)
    expected = {
        "edges[1].branch": "node big has no branch 'yes' -> there are: false, true",
        "edges[3]": "this closes a cycle: fetch -> big -> each -> sum -> fetch",
        "edges[4].to": "there is no node 'aftr' -> did you mean 'after'?",
        "input.properties.day.type": "there is no such choice -> did you mean 'string'?",
        "name": "letters, digits and _ . : -",
        "nodes.after.timeout": "'soon' is no duration -> seconds, or text such as 30s",
        "nodes.big.config.wen": "there is no such field -> did you mean 'when'?",
        "nodes.each.config.over": "there is no node 'fetsh' (column 7) -> did you mean 'fetch'?",
        "nodes.fetch.type": "there is no node type 'htttp' -> did you mean 'http'?",
        "nodes.lost.config.time": "this is missing",
        "nodes.sum.config.value": "this ( is not closed",
        "triggers[0].cron": "hour: 25 is not between 0 and 23",
    }
    assert {path: expected[path] in said for path, said in found.items() if path in expected} == dict.fromkeys(
        expected, True
    ), found
    assert set(found) == set(expected)


@pytest.mark.parametrize("document", [None, 1, "x", [], {}, {"nodes": {}}, {"name": "x"}, {"name": "x", "nodes": []}])
def test_what_is_no_definition_at_all_is_told_so(document: Any) -> None:
    assert problems(document)


@pytest.mark.parametrize(
    ("document", "path", "said"),
    [
        ({"name": "x", "nodes": {}}, "nodes", "there is no node"),
        ({"name": "x", "nodes": [NOOP]}, "nodes", "this has to be an object, not a list"),
        (graph(a={"type": 3}), "nodes.a.type", "this has to be text, not a number"),
        (graph(a={"type": "noop", "retry": {"max": 3}}), "nodes.a.retry.max", "there are: backoff, base, cap, jitter"),
        (graph(a={"type": "noop", "trigger_rule": "all_sucess"}), "nodes.a.trigger_rule", "did you mean 'all_success'"),
        (graph(**{"my node": None}), "nodes.my node", "a node's name is letters, digits and _"),
        (graph(("a", "a"), a=None), "edges[0]", "node a leads to itself"),
        (graph(("a", "b"), ("a", "b"), a=None, b=None), "edges[1]", "there is an edge from a to b already, edges[0]"),
        (graph({"from": "a", "to": "b", "branch": "x"}, a=None, b=None), "edges[0].branch", "has no branches"),
        (graph({"from": "a", "to": "b", "when": "${true}"}, a=None, b=None), "edges[0].when", "leave out the ${"),
        (graph({"from": "a", "to": "b", "when": "a.b"}, a=None, b=None), "edges[0].when", "there is no name 'a'"),
        (
            graph({"from": "a", "to": "b", "when": "true", "on_state": "failed"}, a=None, b=None),
            "edges[0].when",
            "this is never asked",
        ),
        (graph(a=transform("${nodes.a.output}")), "nodes.a.config.value", "it is not upstream"),
        (graph(("b", "a"), a=transform("${nodes.b.ouput}"), b=None), "nodes.a.config.value", "did you mean 'output'?"),
        (graph(a=transform("${item}")), "nodes.a.config.value", "there is no name 'item' here"),
        (graph(a=transform("${run.nme}")), "nodes.a.config.value", "there is no 'nme' in run"),
        (graph(a=None) | {"output": "${nodes.b.output}"}, "output", "there is no node 'b'"),
        (graph(a={"type": "noop", "trigger_rule": "all_failed"}), "nodes.a.trigger_rule", "no edge leads to this node"),
        (graph(a=transform("${secrets.TOKEN}")), "nodes.a.config.value", "no secret can be given here"),
        (graph(a=None) | {"output": "${secrets.TOKEN}"}, "output", "pgflow.secret()"),
        (graph(a=transform("\ud800")), "nodes.a.config.value", "surrogate"),
        (graph(a=transform("\0")), "nodes.a.config.value", "\\u0000"),
        (graph(a=transform(float("nan"))), "nodes.a.config.value", "nan"),
        (graph(a=transform({1: 2})), "nodes.a.config.value", "key"),
        (graph(a=None) | {"timeout": -1}, "timeout", "-1 is no duration"),
        (graph(a=None) | {"tags": {"a": 1}}, "tags.a", "this has to be text, not a number"),
        (graph(a=None) | {"titel": "x"}, "titel", "did you mean 'title'?"),
        (graph(a=None) | {"input": {"type": "array"}}, "input.type", "a run is given an object"),
        (graph(a=None) | {"input": {"$ref": "#/$defs/x"}}, "input.$ref", "this leads to no place in this schema"),
        (graph(a=None) | {"input": {"$ref": "http://x.y/z"}}, "input.$ref", "this leads to no place in this schema"),
        (
            graph(a=None) | {"input": {"properties": {"a": {"pattern": "("}}}},
            "input.properties.a.pattern",
            "this is no regex",
        ),
        (
            graph(a=None)
            | {"input": {"additionalProperties": False, "properties": {"day": {}}, "required": ["dya"]}},
            "input.required[0]",
            "did you mean 'day'?",
        ),
        (
            graph(a=transform("${input.dya}")) | {"input": {"additionalProperties": False, "properties": {"day": {}}}},
            "nodes.a.config.value",
            "there is no 'dya' in input",
        ),
        (graph(a=None) | {"triggers": [1]}, "triggers[0]", "a trigger is an object, not a number"),
        (graph(a=None) | {"triggers": [{"crom": "@daily"}]}, "triggers[0]", "did you mean 'cron'?"),
        (graph(a=None) | {"triggers": [{"cron": "@daily", "every": "1h"}]}, "triggers[0]", "cron and every exclude"),
        (graph(a=None) | {"triggers": [{"every": "1h", "timezone": "Mars"}]}, "triggers[0].timezone", "Mars"),
        (graph(a=None) | {"triggers": [{"every": "1h", "catch_up": 900}]}, "triggers[0].catch_up", "at most 100"),
        (
            graph(a=None) | {"triggers": [{"every": "1h", "input": {"a": "${trigger.fire}"}}]},
            "triggers[0].input.a",
            "there is no 'fire' in trigger",
        ),
        (
            graph(a=None) | {"triggers": [{"event": "x", "filter": "evnt.payload"}]},
            "triggers[0].filter",
            "did you mean event?",
        ),
        (
            graph(a=None) | {"triggers": [{"every": "1h"}], "input": {"required": ["day"]}},
            "triggers[0].input.day",
            "this is missing -> the workflow's `input` asks for it",
        ),
        (
            graph(a=None) | {"triggers": [{"every": "1h", "name": "x"}, {"event": "e", "name": "x"}]},
            "triggers[1].name",
            "triggers[0] is called 'x', too",
        ),
        (graph(a=None) | {"triggers": [{"webhook": {"path": "a//b"}}]}, "triggers[0].webhook", "is no path"),
        (
            graph(a=None) | {"triggers": [{"webhook": {"signature": {"header": "x y"}}}]},
            "triggers[0].webhook",
            "is no name for a header",
        ),
        (
            graph(a=None) | {"triggers": [{"webhook": {"signature": "none", "secrets": ["A"]}}]},
            "triggers[0].webhook",
            "what is not signed needs no secret",
        ),
    ],
)  # fmt: skip
def test_each_mistake_is_told_where_it_is(document: Any, path: str, said: str) -> None:
    found = told(document)
    assert list(found) == [path], found
    assert said.lower() in found[path].lower()


def test_one_mistake_does_not_bring_forth_others() -> None:
    document = graph(
        ("a", "b"), ("b", "c"), ("c", "d"), a={"tipe": "noop"}, b=transform("${nodes.a.output}"), c=None, d=None
    )
    assert set(told(document)) == {"nodes.a.type", "nodes.a.tipe"}, "nobody is blamed for reading what has no shape"


CONDITION = {"type": "condition", "config": {"when": "${true}"}}


def branch(label: str, target: str) -> dict[str, str]:
    return {"from": "c", "to": target, "branch": label}


def test_a_join_of_both_branches_that_asks_for_both_never_begins() -> None:
    edges = [branch("true", "yes"), branch("false", "no"), ("yes", "join"), ("no", "join"), ("join", "end")]
    document = graph(*edges, c=CONDITION, yes=None, no=None, join=None, end=None)
    found = told(document)
    assert list(found) == ["nodes.join"], "and what comes after it is not blamed"
    assert "branch false and branch true of c together" in found["nodes.join"]
    assert "trigger_rule: one_success" in found["nodes.join"]
    for rule in ("one_success", "all_done", "none_failed"):
        document["nodes"]["join"] = {"type": "noop", "trigger_rule": rule}
        assert not problems(document)


def test_a_node_cannot_ask_for_success_and_failure_of_another() -> None:
    edges = [("c", "ok"), {"from": "c", "to": "bad", "on_state": "failed"}, ("ok", "join"), ("bad", "join")]
    found = told(graph(*edges, c=None, ok=None, bad=None, join=None))
    assert "fails and completes of c together" in found["nodes.join"]


def test_every_cycle_is_told_with_its_nodes() -> None:
    edges = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "e"), ("e", "c"), ("e", "f")]
    found = told(graph(*edges, **dict.fromkeys("abcdef")))
    assert {path: said.partition(" -> a graph")[0] for path, said in found.items()} == {
        "edges[1]": "this closes a cycle: a -> b -> a",
        "edges[4]": "this closes a cycle: c -> d -> e -> c",
    }


def test_a_node_may_read_whatever_comes_before_it_and_edges_their_own_source() -> None:
    document = graph(
        ("a", "b"), {"from": "b", "to": "c", "when": "nodes.b.output > nodes.a.output && run.id > 0"},
        a=transform(1), b=transform("${nodes.a.output + 1}"),
        c={"type": "map", "config": {"over": "${[nodes.a.error]}", "task": "t", "input": {"x": "${item}"}}},
    )  # fmt: skip
    document["output"] = {"all": "${nodes.c.output}", "day": "${input.day}"}
    assert problems(document) == []


def layered(layers: int, width: int, arrows: int) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    edges = []
    for layer in range(layers):
        for place in range(width):
            value = f"${{nodes.n{layer - 1}_{place}.output + {place}}}" if layer else 1
            nodes[f"n{layer}_{place}"] = transform(value)
            edges += [
                {"from": f"n{layer - 1}_{(place + arrow) % width}", "to": f"n{layer}_{place}"}
                for arrow in range(arrows if layer else 0)
            ]
    return {"name": "big", "nodes": nodes, "edges": edges}


def test_five_thousand_nodes_are_looked_through_within_a_second() -> None:
    document = layered(50, 100, 4)
    assert (len(document["nodes"]), len(document["edges"])) == (5_000, 19_600)
    begun = time.process_time()
    assert problems(document) == []
    assert time.process_time() - begun < 3, "0.5 s on a quiet machine"


def test_thousands_of_mistakes_take_no_longer_and_are_not_all_told() -> None:
    document = layered(50, 100, 4)
    for edge in document["edges"]:
        edge["to"] += "x"
    begun = time.process_time()
    found = problems(document)
    assert time.process_time() - begun < 3
    assert len(found) == MOST_TOLD + 1
    assert found[-1].message == "there are more problems than these 100"


def test_what_is_too_large_is_told_so_and_not_looked_at() -> None:
    nodes = {f"n{number}": {"type": "nope"} for number in range(MOST_NODES + 1)}
    edges = [{"from": "x", "to": "y"}] * (MOST_EDGES + 1)
    assert set(told({"name": "x", "nodes": nodes, "edges": edges})) == {"nodes", "edges"}
    assert (
        "9,000,002 bytes of JSON, and the limit is 8,388,608 -> keep large data elsewhere"
        in told(graph(a=transform("x" * 9_000_000)))["nodes.a.config.value"]
    )
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    assert "nested more than 200 deep" in next(iter(told(graph(a=transform(deep))).values()))


def test_a_node_type_that_cannot_cope_is_named() -> None:
    class Broken:
        later: frozenset[str] = frozenset()
        takes_secrets = False

        def branches(self, config: Mapping[str, Any]) -> None:
            raise RuntimeError("no such luck")

        problems = branches

    _, found = check(graph(a={"type": "odd"}), {"odd": Broken()})
    assert [(one.path, one.message) for one in found] == [
        ("nodes.a.config", "the node type odd cannot make sense of this: no such luck")
    ]


def test_the_examples_of_all_node_types_are_valid() -> None:
    for name, kind in node_types().items():
        given = {"type": "object", "properties": {}}
        document = graph(("fetch", "a"), fetch=None, a=dict(kind.example)) | {"input": given}
        wrong = [one for one in problems(document) if "there is no node" not in one.message]
        assert wrong == [], name


words = st.sampled_from(
    ["a", "b", "name", "nodes", "edges", "type", "config", "from", "to", "when", "branch", "noop", "condition",
     "switch", "map", "${nodes.a.output}", "${", "input", "required", "properties", "triggers", "cron", "webhook",
     "event", "x.y", "retry", "timeout", "5m", "trigger_rule", "all_failed", "on_state", "failed",
     "output", "$ref", "#", "true"]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=3), inner, max_size=4),
    max_leaves=25,
)  # fmt: skip


def loosely(**fields: Any) -> Any:
    """Documents whose fields are mostly there and mostly of the right shape."""
    return st.fixed_dictionaries({}, optional={name: field | anything for name, field in fields.items()})


names = st.sampled_from(["a", "b", "c", "d"])
nodes = st.dictionaries(
    names,
    loosely(
        type=st.sampled_from(sorted(node_types())), config=st.dictionaries(words, anything, max_size=4),
        trigger_rule=words, retry=loosely(max_attempts=st.integers()), timeout=words,
    ),
    max_size=4,
)  # fmt: skip
edges = st.lists(loosely(**{"from": names, "to": names, "branch": words, "when": words, "on_state": words}), max_size=6)
triggers = st.lists(
    loosely(cron=st.just("@daily"), webhook=loosely(path=words, signature=anything), event=words, input=anything),
    max_size=3,
)  # fmt: skip
nearly = loosely(
    name=st.just("x"), nodes=nodes, edges=edges, input=anything, output=anything, triggers=triggers, timeout=words
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(anything | nearly)
def test_whatever_is_given_nothing_is_raised_and_every_problem_says_something(document: Any) -> None:
    definition, found = examined(document)
    assert (definition is None) == bool(found)
    assert all(one.message and isinstance(one.path, str) and str(one) for one in found)


def advised(document: Any) -> dict[str, str]:
    definition, found = examined(document)
    assert definition is not None, found
    return {one.path: one.message for one in advice(definition, node_types())}


SWITCH = {"type": "switch", "config": {"value": 1, "cases": {"x": 1, "y": 2}, "default": "z"}}


@pytest.mark.parametrize(
    ("document", "path", "said"),
    [
        (graph(("a", "b"), a=None, b=None, c=None), "nodes.c", "it begins at once"),
        (graph(a={"type": "noop", "trigger_rule": "one_success"}), "nodes.a.trigger_rule", "nothing to look at"),
        (graph(("c", "a"), c=CONDITION, a=None), "nodes.c", "taken whatever it chooses"),
        (graph({"from": "c", "to": "a", "branch": "x"}, c=SWITCH, a=None), "nodes.c", "when it chooses 'y' or 'z'"),
        (
            graph(("a", "b"), {"from": "b", "to": "c", "when": "input.dya == 1"}, a=None, b=None, c=None)
            | {"input": {"properties": {"day": {}}}},
            "edges[1].when",
            "the input's schema does not have 'dya'",
        ),
    ],
)
def test_what_is_probably_not_meant_is_noted(document: Any, path: str, said: str) -> None:
    found = advised(document)
    assert list(found) == [path]
    assert said in found[path]


def test_nothing_is_noted_of_what_is_usual() -> None:
    edges = [branch("true", "yes"), ("yes", "end"), {"from": "c", "to": "end", "on_state": "failed"}]
    assert advised(graph(*edges, c=CONDITION, yes=None, end={"type": "noop", "trigger_rule": "one_success"})) == {}
    assert advised(graph(a=None, b=None)) == {}, "nothing but nodes beside each other"
    assert advised(graph(a=transform("${input.any}"))) == {}


def test_the_definitions_in_the_guide_are_valid() -> None:
    found = [block.text for block in blocks(ROOT / "docs/graphs.md", "yaml") if "nodes:" in block.text]
    assert found
    for text in found:
        document = read(text).value
        assert problems(document) == []
        assert advised(document) == {}


def test_signs_that_only_look_like_digits_do_no_harm() -> None:
    assert told(graph(**{"\u00b2": {"type": "nop"}, "x": {"type": "nop"}}))


def test_one_mistake_of_a_node_does_not_hide_those_in_its_config() -> None:
    node = {"type": "http", "config": {"ur": "https://example.com"}, "retry": {"max_attempts": 0}, "timeout": "soon"}
    asking = {"type": "approval", "config": {"title": "Well?"}, "trigger_rule": "one_sucess"}
    edge = {"from": "ask", "to": "fetch", "branch": "accepted"}
    found = told(graph(edge, fetch=node, ask=asking))
    assert set(found) == {
        "nodes.fetch.config.ur", "nodes.fetch.config.url", "nodes.fetch.retry.max_attempts", "nodes.fetch.timeout",
        "nodes.ask.trigger_rule", "edges[0].branch",
    }  # fmt: skip
    assert found["edges[0].branch"] == "node ask has no branch 'accepted' -> there are: approved, expired, rejected"
