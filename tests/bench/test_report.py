"""What is rendered from results: whether a target is met, and drawings that are well-formed."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import plot, report
from bench.result import NO_CPU, Result, percentiles


def idle(figure: float) -> dict[str, report.Document]:
    """The results of a run of the lane `idle`."""
    return {"idle": Result("idle", figure, "ms of CPU a second", 0.4, None, NO_CPU, None, {}).document()}


@pytest.mark.parametrize(("figure", "met"), [(1.5, "yes"), (2.5, "no")])
def test_a_figure_stands_beside_its_target(tmp_path: Path, figure: float, met: str) -> None:
    report.save(tmp_path, idle(figure))
    row = next(line for line in (tmp_path / "latest.md").read_text().splitlines() if "| idle |" in line)
    assert row == f"| idle | CPU of worker and server | {figure} ms a second | < 2 | {met} |"


def test_what_was_not_measured_is_said_to_be(tmp_path: Path) -> None:
    report.save(tmp_path, idle(1.0))
    assert "| drain | throughput | not measured | ≥ 50,000 | - |" in (tmp_path / "latest.md").read_text()


def test_a_lane_that_is_measured_again_leaves_the_others_alone(tmp_path: Path) -> None:
    report.save(tmp_path, idle(1.0))
    report.save(tmp_path, {"other": idle(3.0)["idle"] | {"lane": "other"}})
    assert report.load(tmp_path).keys() == {"idle", "other"}


def test_percentiles_are_milliseconds_of_the_ordered_seconds() -> None:
    assert percentiles([n / 1000 for n in range(100, 0, -1)]) == {"p50": 51.0, "p90": 91.0, "p99": 100.0, "max": 100.0}


def test_a_drawing_is_well_formed_and_longest_where_the_value_is_greatest() -> None:
    drawing = ET.fromstring(plot.bars("a < b", [("slow & low", 1.0), ("fast", 4.0)], goal=2.0))
    space = "{http://www.w3.org/2000/svg}"
    lengths = [float(bar.attrib["width"]) for bar in list(drawing.iter(f"{space}rect"))[1:]]
    assert lengths[1] == pytest.approx(4 * lengths[0], abs=0.2)
