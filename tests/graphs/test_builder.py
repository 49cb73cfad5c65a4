"""A graph written in Python is the document that YAML would have held."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pgflow.errors import ArgumentError
from pgflow.graph import Retry, Rule
from pgflow.graph.builder import Graph
from pgflow.graph.reading import read
from pgflow.nodes.publishing_verbs import examined

YAML = """
name: daily_report
title: Daily report
input: {type: object, properties: {day: {type: string, format: date}}, required: [day]}
timeout: 7200.0
nodes:
  fetch:
    type: http
    config: {url: "https://api.example.com/sales/${input.day}"}
    retry: {max_attempts: 5}
    timeout: 30s
  big: {type: condition, config: {when: "${size(nodes.fetch.output.body) > 100}"}}
  each: {type: map, config: {over: "${nodes.fetch.output.body}", task: reports.enrich, concurrency: 20}}
  small: {type: transform, config: {value: {total: "${nodes.fetch.output.body[0].sum}", unit: "in ${input.day}"}}}
  done: {type: noop, trigger_rule: one_success}
  publish: {type: task, config: {task: reports.publish, input: {report: "${nodes.small.output}"}}}
  alarm: {type: task, config: {task: alarm}}
edges:
  - {from: fetch, to: big}
  - {from: big, to: each, branch: "true"}
  - {from: big, to: small, branch: "false"}
  - {from: each, to: done}
  - {from: small, to: done}
  - {from: done, to: publish, when: "nodes.small.state == 'completed'"}
  - {from: fetch, to: alarm, on_state: failed}
output: {report: "${nodes.publish.output}"}
triggers:
  - {cron: "0 6 * * 1-5", input: {day: "${trigger.fire_date}"}}
"""


def daily_report() -> Graph:
    graph = Graph(
        "daily_report", title="Daily report", timeout=timedelta(hours=2),
        input={"type": "object", "properties": {"day": {"type": "string", "format": "date"}}, "required": ["day"]},
    )  # fmt: skip
    url = f"https://api.example.com/sales/{graph.input.day}"
    fetch = graph.node("fetch", "http", {"url": url}, retry=5, timeout="30s")
    rows = fetch.output.body
    big = graph.node("big", "condition", {"when": f"${{size({rows.expression}) > 100}}"})
    each = graph.node("each", "map", {"over": rows, "task": "reports.enrich", "concurrency": 20})
    total = {"total": rows[0]["sum"], "unit": f"in {graph.input.day}"}
    small = graph.node("small", "transform", {"value": total})
    done = graph.node("done", "noop", rule=Rule.ONE_SUCCESS)
    publish = graph.task("publish", "reports.publish", {"report": small.output})
    alarm = graph.task("alarm", "alarm")
    fetch >> big
    big.true >> each
    big.false >> small
    [each, small] >> done
    done.when("nodes.small.state == 'completed'") >> publish
    fetch.failed >> alarm
    graph.output = {"report": publish.output}
    graph.trigger(cron="0 6 * * 1-5", input={"day": "${trigger.fire_date}"})
    return graph


def test_it_is_the_same_document() -> None:
    graph = daily_report()
    assert graph.document() == read(YAML).value
    assert read(graph.yaml()).value == graph.document()
    assert examined(graph)[1] == []


def test_arrows_go_to_many_and_on() -> None:
    graph = Graph("g")
    a, b, c, d = (graph.node(name, "noop") for name in "abcd")
    e = graph.node("e", "switch", {"value": 1, "cases": {"x": 1}}, retry=Retry(max_attempts=2, jitter=False))
    a >> [b, c]
    c >> d >> e
    e.branch("x").when("run.id > 1") >> graph.node("f", "noop")
    assert graph.document()["edges"] == [
        {"from": "a", "to": "b"},
        {"from": "a", "to": "c"},
        {"from": "c", "to": "d"},
        {"from": "d", "to": "e"},
        {"from": "e", "to": "f", "branch": "x", "when": "run.id > 1"},
    ]
    assert graph.document()["nodes"]["e"]["retry"] == {"max_attempts": 2, "jitter": False}


def test_references_are_text() -> None:
    graph = Graph("g")
    a = graph.node("a", "noop")
    assert str(a.output) == "${nodes.a.output}"
    assert f"{a.error.message}!" == "${nodes.a.error.message}!"
    assert str(graph.input["odd name"][2]['with "quotes"']) == r'${input["odd name"][2]["with \"quotes\""]}'
    with pytest.raises(TypeError, match="has a value in a run only"):
        bool(a.output)
    with pytest.raises(TypeError, match="`map` nodes go through a list"):
        list(a.output)
    assert a.when(a.output.ok) >> graph.node("b", "noop")
    assert graph.document()["edges"] == [{"from": "a", "to": "b", "when": "nodes.a.output.ok"}]


def test_mistakes_are_told_where_they_are_made() -> None:
    graph = Graph("g")
    a = graph.node("a", "noop")
    with pytest.raises(ArgumentError, match="there is a node a already"):
        graph.node("a", "noop")
    with pytest.raises(ArgumentError, match=r"nodes.b.timeout: 'soon' is no duration"):
        graph.node("b", "noop", timeout="soon")
    with pytest.raises(ArgumentError, match=r"my node.*a node's name is letters"):
        graph.node("my node", "noop")
    with pytest.raises(ArgumentError, match="x is a node of another graph, other"):
        a >> Graph("other").node("x", "noop")
    assert list(graph.document()["nodes"]) == ["a"]
