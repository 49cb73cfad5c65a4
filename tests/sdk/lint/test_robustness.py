"""The linter reads whatever Python is written, and never fails on it."""

from __future__ import annotations

import ast
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from pgflow.sdk.lint import lint_file, lint_source
from tests.architecture.tree import ROOT

LIBRARY = Path(os.__file__).parent
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if "site-packages" not in path.parts)
SAMPLE = random.Random(20).sample(MODULES, min(300, len(MODULES)))


def test_no_module_of_the_standard_library_breaks_it() -> None:
    for path in SAMPLE:
        for finding in lint_file(path):
            assert finding.line >= 1
            assert finding.column >= 1


@pytest.mark.parametrize("start", range(4))
def test_nor_when_every_function_there_is_a_workflow(start: int) -> None:
    seen = set()
    for path in SAMPLE[start * 25 : start * 25 + 25]:
        text = _as_workflows(path)
        if text is not None:
            seen |= {finding.code for finding in lint_source(text, str(path))}
    assert "PGF100" not in seen
    assert len(seen) > 8, "a library does all that a workflow should not"


def _as_workflows(path: Path) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return None
    if len(path.read_bytes()) > 100_000:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list.append(ast.parse("a.workflow", mode="eval").body)
    return ast.unparse(ast.fix_missing_locations(tree))


def test_long_and_deep_code_takes_no_long_time() -> None:
    sums = "x = " + " + ".join(["given"] * 900)
    chain = "given" + ".a()" * 150
    names = "\n".join(f"    a{i} = a{i - 1} | a{i - 2}" for i in range(2, 300))
    loop = "\n".join("    b = c(b)" for _ in range(300))
    found = lint_source(
        f"@app.workflow\ndef flow(ctx, given):\n    {sums}\n    {chain}\n{names}\n{loop}\n"
        "    for x in a299: pass\n    return await_(b)\n"
    )
    assert found == []


def test_it_needs_nothing_of_the_engine() -> None:
    look = "import sys, pgflow.sdk.lint; print(*(m for m in sys.modules if m.startswith('pgflow.')))"
    answer = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name for name in answer.stdout.split() if not name.startswith("pgflow.sdk.lint")} == {"pgflow.sdk"}


def test_it_runs_nothing_of_what_it_reads(tmp_path: Path) -> None:
    path = tmp_path / "flow.py"
    path.write_text("raise SystemExit('imported')\n@app.workflow\ndef flow(ctx): ...\n")
    assert lint_file(path) == []
