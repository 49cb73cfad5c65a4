"""Each lane runs and answers one whole JSON object. Figures of so few tasks mean nothing, and nobody looks at them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bench import report
from bench.__main__ import measure
from bench.ground import Ground
from bench.lanes import LANES, Options
from bench.server import URL, database

KEYS = {
    "lane", "figure", "unit", "floor", "ratio", "cpu_us_per_task", "wal_bytes_per_task", "settings", "spread", "detail",
}  # fmt: skip


@pytest.fixture(autouse=True)
def bench_server(server_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lanes make their databases on the tests' server."""
    monkeypatch.setenv(URL, server_url)
    return server_url


@pytest.mark.parametrize("lane", LANES)
def test_a_lane_answers_one_json_object_with_every_key(lane: str) -> None:
    document = json.loads(json.dumps(measure([lane], Options(quick=True))[lane]))
    assert document.keys() == KEYS
    assert document["lane"] == lane
    assert document["figure"] > 0
    assert document["cpu_us_per_task"].keys() == {"worker", "postgres"}
    assert {"server", "machine"} <= document["settings"].keys()


@pytest.fixture
def ground(bench_server: str) -> Iterator[Ground]:
    """A fresh database to fill."""
    with database(bench_server) as settings:
        ground = Ground(settings)
        yield ground
        ground.close()


def test_a_filled_ground_holds_as_many_tasks_as_were_asked_for_and_a_cleared_one_none(ground: Ground) -> None:
    ground.fill(4_321)
    assert ground.value("select count(*) from pgflow.ready") == 4_321
    ground.clear()
    assert ground.value("select count(*) from pgflow.ready") == 0


def test_a_drain_whose_history_is_not_whole_is_refused(ground: Ground) -> None:
    ground.fill(10)
    with pytest.raises(AssertionError, match="expected 10 completed"):
        ground.check_history(10)


def test_every_target_that_names_a_lane_names_one_that_there_is() -> None:
    assert {target.lane for target in report.TARGETS} == set(LANES)
