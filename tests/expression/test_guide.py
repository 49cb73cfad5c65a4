"""What docs/expressions.md shows is what happens."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pgflow.expression import Expression, ExpressionError, Template
from pgflow.expression.functions import FUNCTIONS, MACROS
from tests.docs.markdown import ROOT, blocks

GUIDE = ROOT / "docs/expressions.md"
(GIVEN,) = blocks(GUIDE, "json")
NAMES: dict[str, Any] = json.loads(GIVEN.text)
LINE = re.compile(r"(?P<expression>.*?\S)\s*// (?P<expected>.*)")
ROW = re.compile(r"^\| `(?P<template>[\"{].*)` \| `(?P<expected>.*)` \|$", re.MULTILINE)

EXAMPLES = [
    (match["expression"], match["expected"])
    for block in blocks(GUIDE, "cel")
    for line in block.text.splitlines()
    if (match := LINE.fullmatch(line))
]
TEMPLATES = ROW.findall(GUIDE.read_text("utf-8"))


def test_the_guide_has_examples() -> None:
    assert len(EXAMPLES) > 100
    assert len(TEMPLATES) > 5


@pytest.mark.parametrize(("expression", "expected"), EXAMPLES)
def test_an_example_comes_to_what_the_guide_says(expression: str, expected: str) -> None:
    if expected.startswith("error: "):
        with pytest.raises(ExpressionError) as caught:
            Expression(expression).evaluate(NAMES)
        assert caught.value.reason.startswith(expected.removeprefix("error: "))
    else:
        value = Expression(expression).evaluate(NAMES)
        assert value == json.loads(expected)
        assert json.dumps(value) == json.dumps(json.loads(expected)), "the same value of another type"


@pytest.mark.parametrize(("template", "expected"), TEMPLATES)
def test_a_template_becomes_what_the_guide_says(template: str, expected: str) -> None:
    assert Template(json.loads(template)).render(NAMES) == json.loads(expected)


def test_every_function_has_an_example() -> None:
    shown = {name for expression, _ in EXAMPLES for name in re.findall(r"(\w+)\(", expression)}
    assert {*FUNCTIONS, *MACROS} - shown == set()
