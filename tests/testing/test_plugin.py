"""The engine in a test's own process, and the fixtures that users get."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgflow import App, Context, Limit, RetryPolicy, SyncContext, TaskCancelled, TaskFailed
from pgflow.config import Settings
from pgflow.errors import PgflowError
from pgflow.testing import Inline, Stalled, SyncInline
from pgflow.testing.plugin import Engines
from tests.docs.markdown import blocks
from tests.workflows import flows

ROOT = Path(__file__).parents[2]
app = App()
DONE: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()
    flows.CALLS.clear()


async def do(what: str) -> str:
    DONE.append(what)
    return what


@app.workflow(name="month")
async def month(ctx: Context) -> tuple[datetime, datetime]:
    before = ctx.now()
    await ctx.step(do, "before")
    await ctx.sleep("30d")
    await ctx.step(do, "after")
    return before, ctx.now()


@app.task(name="flaky", retry=RetryPolicy(4, base=200, jitter=False))
async def flaky(fails: int) -> int:
    DONE.append("flaky")
    if len(DONE) <= fails:
        raise ConnectionError("not yet")
    return len(DONE)


@app.workflow(name="confirmation")
async def confirmation(ctx: Context) -> str:
    ctx.compensate(do, "undone")
    answer = await ctx.signal("confirmed", str, timeout="3d")
    return f"{answer}"


@app.workflow(name="patient")
async def patient(ctx: Context) -> str:
    return str(await ctx.signal("go", str))


@app.workflow(name="reminders")
async def reminders(ctx: Context, hours: list[int]) -> None:
    await ctx.map(remind, hours)


@app.workflow(name="remind")
def remind(ctx: SyncContext, hours: int) -> None:
    ctx.sleep(timedelta(hours=hours))
    DONE.append(hours)


@app.workflow(name="forked")
async def forked(ctx: Context) -> None:
    await ctx.step(do, f"{len(DONE)}")
    ctx.step(do, "never awaited")


@app.workflow(name="saver")
async def saver(ctx: Context) -> int:
    async def save(db: psycopg.AsyncConnection[Any]) -> int:
        run = await ctx.client.on(db).start(month)
        return int(run.id)

    return await ctx.tx(save)


@app.workflow(name="plain_saver")
def plain_saver(ctx: SyncContext) -> int:
    return ctx.tx(lambda db: int(ctx.client.on(db).start(month).id))


async def test_a_month_of_sleep_takes_no_time(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    await engine.run(month)
    began = time.perf_counter()
    before, after = await engine.run(month)
    assert time.perf_counter() - began < 60
    assert timedelta(days=30) <= after - before < timedelta(days=30, minutes=1)


async def test_time_passes_as_far_as_the_test_wants(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    run = await engine.start(month)
    await engine.settle()
    assert DONE == ["before"]
    await engine.advance("29d")
    assert DONE == ["before"]
    await engine.advance("2d")
    assert DONE == ["before", "after"]
    before, _ = await engine.result(run)
    assert await engine.now() - before >= timedelta(days=31)


async def test_what_falls_due_in_the_meantime_happens_in_its_order(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    await engine.start(reminders, [48, 1, 24, 72])
    await engine.advance("50h")
    assert DONE == [1, 24, 48]
    await engine.drive()
    assert DONE == [1, 24, 48, 72]


async def test_every_session_follows_the_test_clock(pgflow_engine: Engines, pgflow_database: Settings) -> None:
    engine = pgflow_engine(app)
    with psycopg.connect(pgflow_database.require_url(), autocommit=True) as other:
        ((before,),) = other.execute("select pgflow.now()")
        await engine.advance("1000d")
        ((after,),) = other.execute("select pgflow.now()")
    assert timedelta(days=1000) <= after - before < timedelta(days=1000, minutes=1)


async def test_retries_are_not_waited_for(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    began = await engine.now()
    assert await engine.run(flaky, 2) == 3
    assert await engine.now() - began > timedelta(seconds=200 + 300)
    with pytest.raises(TaskFailed, match="not yet"):
        await engine.run(flaky, 100)


async def test_a_signal_and_its_time_out(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    run = await engine.start(confirmation)
    await engine.advance("2d")
    await engine.client.signal(run, "confirmed", "by ann")
    assert await engine.result(run) == "by ann"
    assert await engine.run(confirmation) == "None"


async def test_a_cancelled_run_undoes_what_it_did(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    run = await engine.start(confirmation)
    await engine.settle()
    with engine.sync_client as client:
        client.cancel(run.id)
    with pytest.raises(TaskCancelled):
        await engine.result(run)
    assert DONE == ["undone"]


async def test_what_will_never_end_is_an_error_that_says_what_waits(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    with pytest.raises(Stalled, match=r"run 1 will never end: patient \(task 1\) is waiting"):
        await engine.run(patient)
    with pytest.raises(Stalled, match=r"is needs_attention: NotAwaited: .*ctx.step was never awaited"):
        await engine.run(forked)
    with pytest.raises(Stalled, match="what the test waits for will never come"):
        await engine.drive(lambda: False)


async def test_driving_until_something_holds(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    run = await engine.start(month)
    await engine.drive(lambda: "after" in DONE)

    async def ended() -> bool:
        return bool((await engine.client.show(run.id))["finished_at"])

    await engine.drive(ended)


async def test_a_worker_that_is_killed_is_succeeded_by_another(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    run = await engine.start(month)
    await engine.settle()
    await engine.kill()
    assert [worker["closed_at"] is None for worker in await engine.client.workers()].count(False) == 1
    await engine.result(run)
    assert DONE == ["before", "after"]


@pytest.mark.parametrize("workflow", [saver, plain_saver], ids=["async", "plain"])
async def test_transactions_and_clients_lead_to_the_tests_own_database(pgflow_engine: Engines, workflow: Any) -> None:
    engine = pgflow_engine(app)
    started = await engine.run(workflow)
    await engine.drive()
    assert DONE == ["before", "after"]
    with app.client() as client:
        assert client.show(started)["state"] == "completed"


async def test_limited_queues_are_admitted(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(app)
    await engine.client.limit_queue("default", Limit(concurrency=1, rate=1 / 60))
    began = await engine.now()
    for _ in range(3):
        await engine.start(flaky, 0)
    await engine.drive()
    assert len(DONE) == 3
    assert await engine.now() - began > timedelta(seconds=110)


async def test_an_engine_may_be_closed_by_the_test(pgflow_engine: Engines) -> None:
    async with pgflow_engine(app) as engine:
        await engine.run(month)
    assert DONE == ["before", "after"]


@app.workflow(name="everything", retry=RetryPolicy(2, backoff="fixed", base=5))
async def everything(ctx: Context, names: list[str]) -> list[str]:
    ctx.now()
    first = await ctx.step(do, "first")
    ctx.compensate(do, "undo")
    await ctx.sleep("1h")
    child = await ctx.start(confirmation)
    done = await ctx.map(do, names)
    ctx.random()
    try:
        await ctx.run(broken)
    except TaskFailed as error:
        first = error.error["message"]
    await ctx.signal("never", timeout="1d")
    return [first, *done, await child.result(), str(ctx.version("fx", 2))]


@app.task(name="broken", retry=RetryPolicy(2, base=1))
def broken() -> None:
    raise ValueError("broken")


@app.workflow(name="failing")
def failing(ctx: SyncContext) -> None:
    ctx.step(len, "abc")
    ctx.compensate(max, 1, 2)
    ctx.run(broken)


@pytest.mark.parametrize(("workflow", "args"), [(everything, (["a", "b"],)), (failing, ())], ids=["async", "plain"])
async def test_without_a_database_the_same_is_recorded(pgflow_engine: Engines, workflow: Any, args: Any) -> None:
    engine = pgflow_engine(app)
    ctx: Any = Inline() if workflow.is_async else SyncInline()
    results: list[Any] = []
    try:
        results.append(await workflow(ctx, *args) if workflow.is_async else workflow(ctx, *args))
    except TaskFailed as error:
        results.append(error.error["message"])
    run = await engine.start(workflow, *args)
    try:
        results.append(await engine.result(run))
    except TaskFailed as error:
        results.append(error.error["message"])
    assert results[0] == results[1]
    events = await engine.client.history(run.id)
    asked = {"step.completed", "step.retried", "step.failed", "timer.created"}
    recorded = [event["key"] for event in events if event["task_id"] == run.id and event["type"] in asked]
    steps = [(await engine.client.show(row["id"]))["step"] for row in await engine.client.tasks(run_id=run.id)]
    recorded += [step for step in steps if step is not None]
    assert sorted(ctx.keys) == sorted(set(recorded))


TESTS = """
from pgflow import App, Context

app = App()

@app.workflow(name="nap")
async def nap(ctx: Context) -> str:
    await ctx.sleep("30d")
    return "slept"

async def run(engine):
    run = await engine.start(nap)
    assert run.id == 1, "the database is the test's own"
    await engine.client.signal(run, "unheard")
    return await engine.result(run)

async def test_one(pgflow_engine):
    assert await run(pgflow_engine(app)) == "slept"

async def test_other(pgflow_engine):
    assert await run(pgflow_engine(app)) == "slept"

def test_plain(pgflow_engine):
    with pgflow_engine(app).sync_client as client:
        assert client.start(nap).id == 1
"""


def test_another_projects_tests_find_the_fixtures(server_url: str, tmp_path: Path) -> None:
    (tmp_path / "test_nap.py").write_text(TESTS)
    answer = pytest_in(tmp_path, server_url, "-p", "pgflow.testing.plugin")
    assert "3 passed" in answer, answer
    with psycopg.connect(server_url) as connection:
        names = [name for (name,) in connection.execute("select datname from pg_database")]
    assert "postgres" in names


def test_the_tests_in_the_guide_pass(server_url: str, tmp_path: Path) -> None:
    for block in blocks(ROOT / "docs/testing.md", "python"):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    answer = pytest_in(tmp_path, server_url, "-p", "pgflow.testing.plugin", "-o", "pythonpath=.")
    assert "3 passed" in answer, answer


def pytest_in(folder: Path, server_url: str, *arguments: str) -> str:
    """Run a folder's tests, every warning an error."""
    environment = {
        **os.environ, "PGFLOW_TEST_DATABASE_URL": server_url, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    scope = "asyncio_default_fixture_loop_scope=function"
    plugins = ["-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto", "-o", scope, "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", *plugins, *arguments]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return answer.stdout + answer.stderr


def test_the_fixtures_are_an_entry_point_that_costs_nothing() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"pgflow": "pgflow.testing.plugin"}
    look = "import sys, pgflow.testing.plugin; print(*(m for m in sys.modules if m.startswith('pgflow')))"
    answer = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(answer.stdout.split()) == {"pgflow", "pgflow.testing", "pgflow.testing.plugin"}


def test_a_stall_is_an_error_of_ours() -> None:
    assert issubclass(Stalled, PgflowError)
