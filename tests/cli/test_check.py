"""`pgflow check` and `pgflow run replay`, with two versions of real code."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.runtime.executor import Executor
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.checking import Checker, Finding, Verdict, diff
from pgflow.sdk.client import Client
from pgflow.sdk.verbs import Handle
from tests.cli.conftest import Cli
from tests.fixtures.database import Engine
from tests.workflows import versions
from tests.workflows.versions import CALLS

Began = Callable[..., list[int]]


@pytest.fixture(autouse=True)
def clean() -> None:
    CALLS.clear()
    versions.FAIL[0] = True


@pytest.fixture
def began(database: Settings) -> Began:
    """`began(app, 3)` has a worker bring three runs of `order` as far as they go by themselves, and their signals."""

    def grow(app: App, count: int = 1, *, signals: tuple[str, ...] = (), states: str = "waiting") -> list[int]:
        async def work() -> list[int]:
            executor = Executor(database, app.tasks, {}, 8)
            await executor.register()
            executor.start()
            async with AsyncClient(database, app.tasks) as client:
                order = app.tasks["order"]
                runs = await client.enqueue_many([order.request(5) for _ in range(count)])
                for name in signals:
                    await _all(client, runs, "waiting")
                    for run in runs:
                        await client.signal(run, name, 1)
                await _all(client, runs, states)
            await executor.drain(2.0)
            CALLS.clear()
            return [run.id for run in runs]

        return asyncio.run(work())

    return grow


async def _all(client: AsyncClient, runs: list[Handle[Any]], state: str) -> None:
    end = time.monotonic() + 60
    while True:
        tasks = await client.tasks(limit=100_000)
        children = {task["state"] for task in tasks if task["parent_id"] is not None}
        if {task["state"] for task in tasks if task["parent_id"] is None} == {state} and "running" not in children:
            return
        assert time.monotonic() < end, f"not {state}: {tasks}"
        await asyncio.sleep(0.01)


@pytest.fixture
def deployed(tmp_path: Path) -> Callable[[str], str]:
    """`deployed("first")` writes a file whose app has that version of the code."""

    def write(version: str) -> str:
        path = tmp_path / f"app_{uuid.uuid4().hex[:12]}.py"
        path.write_text(
            "from pgflow import App\n"
            "from tests.workflows import versions\n"
            f"app: App = versions.app(versions.{version})\n"
        )
        return str(path)

    return write


@pytest.fixture
def against(database: Settings) -> Callable[[int, App], Finding]:
    """`against(run, app)` rehearses a run."""

    def check(run: int, app: App) -> Finding:
        with Client(database) as client, Checker(app.tasks) as checker:
            return checker.check(client.recorded(run))

    return check


Against = Callable[[int, App], Finding]
Deployed = Callable[[str], str]


def test_code_that_fits_passes(cli: Cli, began: Began, deployed: Deployed) -> None:
    began(versions.app(versions.first), 3)
    answer = cli("check", deployed("first"))
    assert (answer.code, answer.out) == (0, "3 workflows in flight: 3 fits\n")
    assert CALLS == []


def test_code_that_would_break_runs_is_found_before_it_is_deployed(
    cli: Cli, began: Began, deployed: Deployed, engine: Engine
) -> None:
    runs = began(versions.app(versions.first), 3)
    ((before,),) = engine.query("select count(*) from pgflow.event")
    answer = cli("check", deployed("without_charge"))
    assert answer.code == 1
    assert "breaks: 3 of order" in answer.out
    assert "no longer asks for what is recorded: charge" in answer.out
    assert "- charge" in answer.out
    assert "versions.py:" in answer.out
    found = cli("check", deployed("without_charge"), "--json").json
    assert found["verdicts"] == {"breaks": 3}
    assert {finding["task_id"] for finding in found["findings"]} == set(runs)
    assert (engine.query("select count(*) from pgflow.event"), CALLS) == ([(before,)], [])


def test_a_workflow_whose_code_is_gone_is_found(cli: Cli, began: Began, tmp_path: Path) -> None:
    began(versions.app(versions.first), 2)
    (tmp_path / "empty_app.py").write_text("from pgflow import App\napp = App()\n")
    answer = cli("check", "empty_app.py")
    assert answer.code == 1
    assert "no code: 2 of order" in answer.out


def test_a_step_put_in_is_told_and_passes(cli: Cli, began: Began, deployed: Deployed) -> None:
    began(versions.app(versions.first))
    answer = cli("check", deployed("weighed"))
    assert answer.code == 0
    assert "put in: 1 of order" in answer.out
    assert "weigh at " in answer.out
    assert CALLS == []


def test_where_the_code_needs_an_answer_that_is_not_there_nothing_can_be_told(
    cli: Cli, began: Began, deployed: Deployed
) -> None:
    began(versions.app(versions.first))
    target = deployed("weighed_and_used")
    answer = cli("check", target)
    assert (answer.code, "cannot be told: 1 of order" in answer.out) == (0, True)
    assert "without the answer of weigh" in answer.out
    assert cli("check", target, "--strict").code == 1


def test_runs_that_have_not_begun_are_checked_too(cli: Cli, database: Settings, deployed: Deployed) -> None:
    with Client(database) as client:
        client.start(versions.app(versions.first).tasks["order"], 5)
    assert "1 fits" in cli("check", deployed("first")).out
    answer = cli("check", deployed("renamed"))
    assert answer.code == 1
    assert "currency" in answer.out


def test_a_change_made_on_purpose_passes(began: Began, against: Against) -> None:
    (run,) = began(versions.app(versions.first))
    assert against(run, versions.app(versions.versioned)).verdict is Verdict.FITS


def test_what_stands_beside_others_is_not_taken_for_new(began: Began, against: Against) -> None:
    app = versions.app(versions.gathered)
    (run,) = began(app)
    finding = against(run, app)
    assert (finding.verdict, finding.put_in) == (Verdict.FITS, [])
    assert "waiting at" in str(finding.stands)


def test_plain_workflows_are_rehearsed_in_the_same_way(began: Began, against: Against) -> None:
    app = versions.app(versions.plain)
    (run,) = began(app)
    assert against(run, app).verdict is Verdict.FITS
    finding = against(run, versions.app(versions.plain_without_charge))
    assert finding.verdict is Verdict.BREAKS
    assert "charge_plainly" in str(finding.message)
    assert CALLS == []


def test_a_finished_run_is_replayed_to_its_end(cli: Cli, began: Began, deployed: Deployed, against: Against) -> None:
    (run,) = began(versions.app(versions.first), signals=("go",), states="completed")
    answer = cli("run", "replay", run, deployed("first"))
    assert (answer.code, "at its end" in answer.out) == (0, True)
    other = cli("run", "replay", run, deployed("weighed"), "--json")
    assert other.code == 1
    assert "it returned" in other.json["message"]
    assert cli("run", "replay", run, deployed("without_charge")).code == 1
    assert cli("run", "replay", 10**12, deployed("first")).code == 3
    assert CALLS == []


def test_a_failed_run_is_replayed_to_its_failure(began: Began, against: Against) -> None:
    app = versions.app(versions.failing, retry=versions.ONCE)
    (run,) = began(app, signals=("bonus",), states="failed")
    finding = against(run, app)
    assert (finding.verdict, finding.message) == (Verdict.FITS, None)
    assert against(run, versions.app(versions.first)).verdict is Verdict.BREAKS


def test_a_loop_that_never_ends_without_answers_is_given_up(began: Began, against: Against) -> None:
    (run,) = began(versions.app(versions.first))
    finding = against(run, versions.app(versions.endless))
    assert (finding.verdict, "come to an end" in str(finding.message)) == (Verdict.UNTOLD, True)


def test_a_sleep_put_in_before_recorded_steps_would_park_the_run(began: Began, against: Against) -> None:
    (run,) = began(versions.app(versions.first))
    finding = against(run, versions.app(versions.napping))
    assert finding.verdict is Verdict.BREAKS
    assert "suspend before" in str(finding.message)


def test_a_thousand_runs_are_checked_in_seconds(cli: Cli, began: Began, deployed: Deployed) -> None:
    began(versions.app(versions.first), 1000)
    begun = time.perf_counter()
    answer = cli("check", deployed("first"))
    assert answer.out == "1000 workflows in flight: 1000 fits\n"
    assert time.perf_counter() - begun < 120, "2 s on a quiet machine"


def test_plain_tasks_in_flight_are_no_matter(cli: Cli, engine: Engine, deployed: Deployed) -> None:
    engine.enqueue(5000)
    answer = cli("check", deployed("first"))
    assert (answer.code, answer.out) == (0, "0 workflows in flight\n")


def test_a_database_can_be_named_and_is_only_read(
    cli: Cli, database: Settings, deployed: Deployed, user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(database) as client:
        client.start(versions.app(versions.first).tasks["order"], 5)
    monkeypatch.delenv("PGFLOW_DATABASE_URL")
    answer = cli("check", deployed("first"), "--against", user("pgflow_reader"))
    assert (answer.code, answer.out) == (0, "1 workflow in flight: 1 fits\n")


def test_a_diff_shows_what_differs_with_a_little_around() -> None:
    recorded = [f"step#{number}" for number in range(10_000)]
    asked = [*recorded[:5000], "other", *recorded[5001:]]
    assert diff(recorded, recorded) == []
    assert diff(recorded, asked) == [
        "  ...", "  step#4997", "  step#4998", "  step#4999", "- step#5000", "+ other", "  step#5001", "  step#5002",
        "  step#5003", "  ...",
    ]  # fmt: skip
