"""Each lane runs and answers one whole JSON object. Figures of so few tasks mean nothing, and nobody looks at them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from bench import apps, floors, report
from bench.__main__ import measure
from bench.ground import Ground
from bench.lanes import LANES, Options
from bench.lanes.fanout import fan_out
from bench.lanes.replay import replays
from bench.lanes.sleepers import held, wait_asleep
from bench.lanes.steps import STEPS
from bench.server import URL, database
from bench.worker import Worker
from pgflow import Client

KEYS = {
    "lane", "figure", "unit", "floor", "ratio", "cpu_us_per_task", "wal_bytes_per_task", "settings", "spread", "detail",
}  # fmt: skip


@pytest.fixture(autouse=True)
def bench_server(server_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lanes make their databases on the tests' server."""
    monkeypatch.setenv(URL, server_url)
    return server_url


HOLD_NOTHING = {"leases": 0, "running": 0, "more_threads": 0}
"""What runs that sleep hold."""


@pytest.mark.parametrize("lane", LANES)
def test_a_lane_answers_one_json_object_with_every_key(lane: str) -> None:
    document = json.loads(json.dumps(measure([lane], Options(quick=True))[lane]))
    assert document.keys() == KEYS
    assert document["lane"] == lane
    # On a busy machine a task may have begun before the call that enqueued it returns: then the figure is 0.
    assert (document["detail"]["from_call_ms"]["p50"] if lane == "latency" else document["figure"]) > 0
    assert document["cpu_us_per_task"].keys() == {"worker", "postgres"}
    assert {"server", "machine"} <= document["settings"].keys()
    if lane == "sleepers":
        assert {name: document["detail"][name] for name in HOLD_NOTHING} == HOLD_NOTHING


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


def test_the_floor_of_steps_records_each_step_of_each_run(ground: Ground) -> None:
    bare = floors.record(ground.settings, 7, STEPS, in_flight=4, batch=3)
    assert bare.seconds > 0
    recorded = "select count(distinct (task_id, key)) from pgflow.event where type = 'step.completed'"
    assert ground.value(recorded) == 7 * STEPS


def test_the_floor_of_a_fan_out_ends_every_child_and_the_run_itself(ground: Ground) -> None:
    floors.fan_out(ground.settings, 1_200)
    children, runs = 1_200 + 10, 2  # one of 10 before, so that statements are planned
    assert ground.value("select count(*) from pgflow.outcome where state = 'completed'") == children + runs
    assert ground.value("select count(*) from pgflow.ready") == ground.value("select count(*) from pgflow.lease") == 0


def test_a_fan_out_is_measured_with_all_of_its_children(ground: Ground) -> None:
    with Worker(ground.settings, 10) as worker, Client(ground.settings) as client:
        worker.wait_registered(ground.connection)
        fan = fan_out(ground, client, worker, 30)
    assert fan.children == 30
    assert 0 < fan.seconds < fan.client


def test_runs_that_are_not_asleep_are_waited_for_in_vain(ground: Ground) -> None:
    with pytest.raises(TimeoutError, match="0 of 1 runs asleep"):
        wait_asleep(ground, 1, 0.1)


def test_a_worker_that_runs_something_is_seen_to_hold_it(ground: Ground) -> None:
    with Client(ground.settings) as client, Worker(ground.settings, 10) as worker:
        worker.wait_registered(ground.connection)
        client.enqueue(apps.nap, 30.0)
        deadline = time.monotonic() + 60
        while held(ground, worker).leases == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        found = held(ground, worker)
        worker.kill()
    assert found.leases == 1
    assert found.threads >= 1
    assert found.megabytes > 1


def test_a_replayed_run_goes_on_in_another_worker_than_the_one_that_recorded_it(ground: Ground) -> None:
    found = replays(ground, 5, 1, 2.0)
    workers = """select count(distinct e.worker_id) from pgflow.event e join pgflow.task t on t.root_id = e.root_id
                  where t.name = 'bench.long' and e.type = 'task.started'"""
    assert ground.value(workers) == 2
    assert len(found.took) == 1
    assert found.took[0] > 0
