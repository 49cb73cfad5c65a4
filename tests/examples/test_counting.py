"""What the census counts in a module."""

from __future__ import annotations

import ast
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("tasks")  # which makes the example importable

STDLIB = Path(sysconfig.get_path("stdlib"))

SOURCE = b"""
class Outer:
    class Inner:
        async def method(self):
            async for x in self: pass

    def method(self, y=lambda: 1 if 2 else 3):
        try:
            while y: y = None
        except ValueError: pass
        except* KeyError: pass
        finally:
            for z in y: pass
"""


def test_functions_classes_and_branches_are_counted_wherever_they_stand() -> None:
    from census.counting import Counts, count

    source = SOURCE.replace(b"except* KeyError", b"except KeyError")
    assert count(source, "x.py") == Counts(lines=13, functions=2, classes=2, branches=5)
    cases = b"match x:\n  case 1:\n    pass\n  case _:\n    if y: pass\n    elif z: pass\n"
    assert count(cases, "x.py") == Counts(lines=6, functions=0, classes=0, branches=4)


def test_the_short_walk_finds_what_a_walk_over_every_node_finds() -> None:
    from census.counting import count

    branches = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)
    files = sorted(STDLIB.glob("*.py"))[::4]
    assert len(files) > 20
    for path in files:
        source = path.read_bytes()
        nodes = list(ast.walk(ast.parse(source)))
        counts = count(source, path.name)
        assert counts.functions == sum(isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) for n in nodes), path
        assert counts.classes == sum(isinstance(n, ast.ClassDef) for n in nodes), path
        assert counts.branches == sum(isinstance(n, branches) for n in nodes), path


def test_what_does_not_parse_says_so_with_its_name() -> None:
    from census.counting import count

    with pytest.raises(SyntaxError, match=r"old\.py"):
        count(b"print 'hello'", "old.py")


def test_modules_leave_out_what_was_installed_besides_the_library(tmp_path: Path) -> None:
    from census.counting import modules

    for name in ("a.py", "b/__init__.py", "b/c.py", "b/c.txt", "site-packages/d.py", "b/dist-packages/e/f.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert modules(tmp_path) == ["a.py", "b/__init__.py", "b/c.py"]


def test_the_standard_library_is_found() -> None:
    from census.counting import modules

    found = modules(STDLIB)
    assert {"ast.py", "json/decoder.py"} <= set(found)
    assert not [path for path in found if "site-packages" in path]
