"""docs/lint.md has every rule, and its examples are what the linter says they are."""

from __future__ import annotations

import re

from pgflow.sdk.lint import RULES, lint_source
from tests.docs.markdown import ROOT, blocks

PAGE = ROOT / "docs/lint.md"
EXPECTED = re.compile(r"# (PGF\d+(?:, PGF\d+)*)")


def test_the_table_is_the_rules() -> None:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| PGF")]
    assert lines == [f"| {rule.code} | {rule.level} | {rule.finds} | {rule.instead} |" for rule in RULES]


def test_the_examples_are_found_where_they_say_so() -> None:
    examples = blocks(PAGE, "py")
    assert len(examples) >= 2
    for example in examples:
        expected = [
            (number, code)
            for number, line in enumerate(example.text.splitlines(), 1)
            if (marked := EXPECTED.search(line))
            for code in marked[1].split(", ")
        ]
        assert [(finding.line, finding.code) for finding in lint_source(example.text)] == expected
