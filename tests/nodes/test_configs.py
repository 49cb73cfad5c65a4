"""Configs that make no sense are told when a definition is checked, in words that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pgflow.nodes.kit import node_types

ADDRESS = {"url": "https://example.com", "secret": "x"}


def told(kind: str, config: Mapping[str, Any]) -> list[tuple[str, str, str | None]]:
    return [tuple(problem) for problem in node_types()[kind].problems(config)]


@pytest.mark.parametrize(
    ("kind", "config", "path", "message", "hint"),
    [
        ("delay", {}, "time", "this is missing", "How long to wait, as in 30s or 2d."),
        ("approval", {"title": ""}, "title", "this is empty", "What is asked, in a line."),
        ("approval", {"title": "?", "assignees": 7}, "assignees", "this has to be a list, not a number", "Who may"),
        ("approval", {"title": "?", "escalation": [{"after": "1d"}]}, "escalation[0].assignees", "missing", "Who may"),
        ("http", {"url": "https://x", "method": "GETT"}, "method", "there is no such choice", "did you mean 'GET'?"),
        ("http", {"url": "https://x", "expect": ["9xx"]}, "expect[0]", "there is no such choice", "did you mean"),
        ("http", {"url": "https://x", "limit": 0}, "limit", "this has to be at least 1", "Bytes that an answer may"),
        ("http", {"url": "example.com/x"}, "url", "this is no URL that can be called", "it begins with https://"),
        (
            "webhook",
            ADDRESS | {"url": "ftp://x"},
            "url",
            "this is no URL that can be called",
            "it begins with https://",
        ),
        ("sql", {"connection": "My DB", "query": "x"}, "connection", "^[a-z][a-z0-9_]", "Which database: warehouse"),
        ("condition", {"when": "yes"}, "when", "this has to be true or false", "an expression stands within ${"),
        (
            "loop",
            {"task": "a", "max_iterations": 1, "until": "x"},
            "until",
            "this has to be true or false",
            "an expression",
        ),
        ("map", {"over": 7, "task": "a"}, "over", "this has to be a list", "an expression"),
        ("map", {"over": [], "task": "a", "workflow": "b"}, "", "give `task` or `workflow`, one of them", None),
        (
            "condition",
            {"when": "${input.n} > 3"},
            "when",
            "this gives text, where true or false is wanted",
            "within one",
        ),
        ("condition", {"when": "${input.yes}\n"}, "when", "something stands around the expression", "end of a line"),
        ("map", {"over": " ${input.of}", "task": "a"}, "over", "this gives text, where a list is wanted", "nothing"),
        ("wait_until", {"at": "tomorrow"}, "at", "this is no instant", "as in 2026-12-24T18:00:00+01:00"),
        ("wait_until", {"at": "2026-12-24T18:00:00"}, "at", "this is no instant", "with an offset"),
        ("email", {"subject": "x", "to": "a@b.c", "text": "x", "cc": 7}, "cc", "this has to be a list", "Others who"),
    ],
)
def test_a_problem_says_where_what_and_what_to_do(
    kind: str, config: Mapping[str, Any], path: str, message: str, hint: str | None
) -> None:
    ((where, what, then),) = told(kind, config)
    assert where == path
    assert message in what
    assert (hint is None and then is None) or (hint is not None and then is not None and hint in then), then


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("condition", {"when": "${input.x}"}),
        ("condition", {"when": True}),
        ("condition", {"when": "${ {'a': {}}.a == {} }"}),
        ("condition", {"when": "${input."}),
        ("map", {"over": "${input.of}", "task": "a"}),
        ("map", {"over": [1, 2], "task": "a"}),
        ("http", {"url": "${input.server}/x"}),
        ("http", {"url": "HTTPS://Example.com"}),
        ("http", {"url": "http://${input.host}/x"}),
        ("webhook", {"url": "${secrets.HOOK}", "secret": "x"}),
        ("loop", {"task": "a", "max_iterations": 1, "until": "${last.output}"}),
        ("wait_until", {"at": "${input.at}"}),
        ("delay", {"time": "${input.patience}"}),
        ("email", {"to": "${input.to}", "subject": "${input.x}", "text": ""}),
    ],
)
def test_what_an_expression_will_give_is_not_judged(kind: str, config: Mapping[str, Any]) -> None:
    assert told(kind, config) == []


@pytest.mark.parametrize("kind", sorted(node_types()))
def test_what_is_missing_is_explained_by_the_fields_description(kind: str) -> None:
    for path, message, hint in told(kind, {}):
        assert message != "this is missing" or hint, path
