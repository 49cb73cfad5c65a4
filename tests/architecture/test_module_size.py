"""Modules that can be read in one sitting, named for what they do."""

from __future__ import annotations

from statistics import median

from tests.architecture.tree import PACKAGE, modules, shown

CEILING = 400
MEDIAN = 150
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc"}


def _lines() -> dict[str, int]:
    return {shown(path): len(path.read_text("utf-8").splitlines()) for path in modules()}


def test_no_module_is_too_long_to_read() -> None:
    assert {path: lines for path, lines in _lines().items() if lines > CEILING} == {}


def test_most_modules_are_short() -> None:
    lengths = [lines for lines in _lines().values() if lines]
    assert lengths
    assert median(lengths) <= MEDIAN


def test_every_module_is_named_for_a_duty() -> None:
    parts = {part.strip("_") for path in modules() for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert parts & NAMELESS == set()
