"""Control over runs: cancel, pause, resume, rerun and fork, with two versions of real code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pytest

from pgflow import App, Limit
from pgflow.config import Settings
from pgflow.engine import runs
from pgflow.errors import ArgumentError, NotFound, TaskCancelled, TaskFailed
from pgflow.runtime.executor import Executor
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.verbs import Handle
from tests.fixtures.database import Engine
from tests.fixtures.workers import executing
from tests.workflows import versions
from tests.workflows.versions import CALLS


class Running(Protocol):
    def __call__(self, app: App) -> AbstractAsyncContextManager[Executor]: ...


@pytest.fixture(autouse=True)
def clean() -> None:
    CALLS.clear()
    versions.FAIL[0] = True


@pytest.fixture
def running(database: Settings) -> Running:
    """`async with running(app):` runs an app's workflows in this process."""
    return lambda app: executing(database, app.tasks)


@pytest.fixture
async def client(database: Settings) -> AsyncIterator[AsyncClient]:
    """A client that knows no code."""
    async with AsyncClient(database, actor="ann") as client:
        yield client


async def reach(client: AsyncClient, run: Any, state: str, *, done: str | None = None) -> None:
    """Wait until the run is in this state, and a child of this name has ended."""
    for _ in range(2000):
        ended = {task["name"] for task in await client.tasks(run_id=run.id, state="completed")}
        if (await client.show(run.id))["state"] == state and (done is None or done in ended):
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{run.id} is {(await client.show(run.id))['state']}, not {state}")


def start(app: App, client: AsyncClient, amount: int = 5) -> Any:
    return client.start(app.tasks["order"], amount)


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


async def test_code_that_does_not_fit_parks_the_run_which_goes_on_once_it_is_mended(
    running: Running, client: AsyncClient
) -> None:
    first = versions.app(versions.first)
    async with running(first):
        run = await start(first, client)
        await reach(client, run, "waiting")
    async with running(versions.app(versions.without_charge)):
        await client.signal(run, "go")
        await reach(client, run, "needs_attention")
    (standing,) = [thing for thing in await client.standing(run) if thing.what == "parked"]
    assert standing.detail is not None
    assert standing.detail["type"] == "HistoryMismatch"
    assert "- charge" in standing.detail["diff"]
    assert await client.resume(run) == [run.id]
    async with running(first):
        assert await client.result(run, timeout=60) == "shipped 5"
    assert CALLS == ["charge 5", "ship 5"]
    told = [event for event in await client.history(run.id) if event["type"] in {"workflow.parked", "task.resumed"}]
    assert types(told) == ["workflow.parked", "task.resumed"]
    assert told[1]["actor"] == "ann"


async def test_a_run_resumed_too_early_is_parked_again(running: Running, client: AsyncClient) -> None:
    first = versions.app(versions.first)
    async with running(first):
        run = await start(first, client)
        await reach(client, run, "waiting")
    async with running(versions.app(versions.without_charge)):
        await client.signal(run, "go")
        await reach(client, run, "needs_attention")
        await client.resume(run)
        await reach(client, run, "needs_attention")
    assert CALLS == ["charge 5"]


async def test_a_step_put_in_before_recorded_ones_is_done_and_the_rest_answers_from_history(
    running: Running, client: AsyncClient
) -> None:
    first = versions.app(versions.first)
    async with running(first):
        run = await start(first, client)
        await reach(client, run, "waiting")
    async with running(versions.app(versions.weighed)):
        await client.signal(run, "go")
        assert await client.result(run, timeout=60) == "shipped 5, 7 kg"
    assert CALLS == ["charge 5", "weigh", "ship 5"]


async def test_runs_that_passed_a_change_before_it_was_made_go_the_old_way(
    running: Running, client: AsyncClient
) -> None:
    first, second = versions.app(versions.first), versions.app(versions.versioned)
    async with running(first):
        old = await start(first, client)
        await reach(client, old, "waiting")
    async with running(second):
        new = await start(second, client, 6)
        await reach(client, new, "waiting")
        for run in (old, new):
            await client.signal(run, "go")
            await client.result(run, timeout=60)
    assert CALLS == ["charge 5", "weigh", "charge 6", "ship 5", "ship 6"]


async def test_a_paused_run_does_not_go_on_until_it_is_resumed(running: Running, client: AsyncClient) -> None:
    app = versions.app(versions.first)
    async with running(app):
        run = await start(app, client)
        await reach(client, run, "waiting")
        assert await client.pause(run) == [run.id]
        assert await client.pause(run) == []
        await client.signal(run, "go")
        await reach(client, run, "paused")
        assert CALLS == ["charge 5"]
        assert await client.resume(run) == [run.id]
        assert await client.result(run, timeout=60) == "shipped 5"
    events = await client.history(run.id)
    by = {event["type"]: event["actor"] for event in events if event["type"] in {"task.paused", "task.resumed"}}
    assert by == {"task.paused": "ann", "task.resumed": "ann"}


async def test_what_is_ready_in_a_run_is_parked_with_it_and_others_are_not(client: AsyncClient, engine: Engine) -> None:
    app = versions.app(versions.first)
    run, other = await start(app, client), await start(app, client)
    await client.pause(run)
    assert (engine.state(run.id), engine.state(other.id)) == ("paused", "queued")
    assert await client.resume(run) == [run.id]
    assert engine.state(run.id) == "queued"
    assert await client.resume(run) == []


async def test_what_is_throttled_in_a_run_is_parked_too_and_gives_its_slot_back(
    client: AsyncClient, engine: Engine
) -> None:
    await client.limit_queue("default", Limit(concurrency=1))
    app = versions.app(versions.first)
    ready, held, last = [await start(app, client) for _ in range(3)]
    assert [engine.state(run.id) for run in (ready, held, last)] == ["queued", "throttled", "throttled"]
    await client.pause(held)
    await client.pause(ready)
    assert [engine.state(run.id) for run in (ready, held, last)] == ["paused", "paused", "queued"]
    await client.resume(ready, held)
    assert {engine.state(run.id) for run in (ready, held)} == {"throttled"}


async def test_a_child_cannot_be_paused_by_itself_nor_a_run_that_ended(
    running: Running, client: AsyncClient, engine: Engine
) -> None:
    app = versions.app(versions.saga)
    async with running(app):
        run = await start(app, client)
        await reach(client, run, "waiting")
    ((child,),) = engine.query("select id from pgflow.task where parent_id = %s", run.id)
    with pytest.raises(ArgumentError, match=f"a task of run {run.id}"):
        await client.pause(child)
    with pytest.raises(NotFound):
        await client.pause(10**12)
    await client.cancel(run.id, force=True)
    assert await client.pause(run) == []
    assert engine.query("select count(*) from pgflow.paused_run") == [(0,)]


async def test_a_run_with_something_to_undo_undoes_it_before_it_is_cancelled(
    running: Running, client: AsyncClient, engine: Engine
) -> None:
    app = versions.app(versions.saga)
    async with running(app):
        run = await start(app, client)
        await reach(client, run, "waiting")
        ((child,),) = engine.query("select id from pgflow.task where parent_id = %s", run.id)
        assert await client.cancel(run.id) == [child], "the run itself is told, and not waited for"
        with pytest.raises(TaskCancelled):
            await client.result(run, timeout=60)
    assert CALLS == ["charge 5", "refund 5"]
    assert engine.state(child) == "cancelled"
    events = types(await client.history(run.id, task=run.id))
    assert events.count("workflow.cancelling") == 1
    assert events[-2:] == ["workflow.finished", "task.cancelled"]


async def test_a_run_is_cancelled_outright_when_forced(running: Running, client: AsyncClient, engine: Engine) -> None:
    app = versions.app(versions.saga)
    async with running(app):
        run = await start(app, client)
        await reach(client, run, "waiting")
        assert len(await client.cancel(run.id, force=True)) == 2
        assert engine.state(run.id) == "cancelled"
    assert CALLS == ["charge 5"]


async def test_a_child_workflow_with_something_to_undo_undoes_it_when_its_run_is_cancelled(
    running: Running, client: AsyncClient, engine: Engine
) -> None:
    app = versions.app(versions.saga)
    app.workflow(name="outer")(versions.outer)
    async with running(app):
        run = await client.start(app.tasks["outer"], 5)
        while not (found := engine.query("select id from pgflow.task where name = 'never'")):
            await asyncio.sleep(0.005)
        ((grandchild,),) = found
        ((child,),) = engine.query("select id from pgflow.task where name = 'order'")
        await reach(client, Handle(child), "waiting")
        assert sorted(await client.cancel(run.id)) == [run.id, grandchild]
        with pytest.raises(TaskCancelled):
            await client.result(child, timeout=60)
    assert CALLS == ["charge 5", "refund 5"]


async def test_a_paused_run_that_is_cancelled_cleans_up(running: Running, client: AsyncClient, engine: Engine) -> None:
    app = versions.app(versions.saga)
    async with running(app):
        run = await start(app, client)
        await reach(client, run, "waiting")
        await client.pause(run)
        await client.signal(run, "go")
        await client.cancel(run.id)
        with pytest.raises(TaskCancelled):
            await client.result(run, timeout=60)
    assert CALLS == ["charge 5", "refund 5"]
    assert engine.query("select count(*) from pgflow.paused_run") == [(0,)]


async def test_what_a_run_spawns_after_it_was_told_is_left_alone(
    running: Running, client: AsyncClient, engine: Engine
) -> None:
    app = versions.app(versions.saga)
    async with running(app):
        run = await start(app, client)
        await reach(client, run, "waiting")
    upto = engine.run(runs.newest())
    assert len(engine.run(runs.unfinished(run.id, upto=upto))) == 2
    assert engine.run(runs.unfinished(run.id, upto=run.id)) == [run.id]
    assert len(engine.run(runs.unfinished(run.id))) == 2
    await client.cancel(run.id, force=True)


async def failed(running: Running, client: AsyncClient, app: App) -> Any:
    """A run of `failing` that has failed at its step `broken_once`."""
    async with running(app):
        run = await start(app, client)
        await reach(client, run, "waiting", done="double")
        await client.signal(run, "bonus", 100)
        with pytest.raises(TaskFailed):
            await client.result(run, timeout=60)
    return run


async def test_a_fork_takes_over_what_was_recorded_before_the_step(
    running: Running, client: AsyncClient, engine: Engine
) -> None:
    app = versions.app(versions.failing, retry=versions.ONCE)
    run = await failed(running, client, app)
    assert CALLS == ["charge 5", "double 5", "broken_once", "refund 5"]
    CALLS.clear()
    versions.FAIL[0] = False
    fork = await client.fork(run, from_step="broken_once")
    async with running(app):
        assert await client.result(fork, timeout=60) == "shipped 110"
    assert CALLS == ["broken_once", "ship 110"], "the charge, the child and the signal are taken over"
    events = await client.history(fork.id)
    (forked,) = [event for event in events if event["type"] == "workflow.forked" and event["task_id"] == fork.id]
    assert forked["data"].pop("since"), "from when on it may have the original's events"
    assert (forked["actor"], forked["data"]) == ("ann", {"from": run.id, "step": "broken_once"})
    assert engine.state(run.id) == "failed"


async def test_a_fork_with_another_input_does_again_what_comes_from_its_step_on(
    running: Running, client: AsyncClient
) -> None:
    app = versions.app(versions.failing, retry=versions.ONCE)
    run = await failed(running, client, app)
    CALLS.clear()
    versions.FAIL[0] = False
    fork = await client.fork(run, from_step="charge", set={"input.amount": 8})
    await client.signal(fork, "bonus", 1)
    async with running(app):
        assert await client.result(fork, timeout=60) == "shipped 17"
    assert CALLS == ["charge 8", "double 8", "broken_once", "ship 17"]
    data = next(event["data"] for event in await client.history(fork.id) if event["type"] == "workflow.forked")
    assert data.items() >= {"from": run.id, "step": "charge", "set": {"input.amount": 8}}.items()


async def test_a_signal_that_nobody_had_taken_is_there_in_the_fork(running: Running, client: AsyncClient) -> None:
    app = versions.app(versions.failing, retry=versions.ONCE)
    run = await failed(running, client, app)
    CALLS.clear()
    versions.FAIL[0] = False
    fork = await client.fork(run, from_step="$signal:bonus")
    async with running(app):
        assert await client.result(fork, timeout=60) == "shipped 110"
    assert CALLS == ["broken_once", "ship 110"]


async def test_a_fork_from_a_child_spawns_it_anew(running: Running, client: AsyncClient) -> None:
    app = versions.app(versions.failing, retry=versions.ONCE)
    run = await failed(running, client, app)
    CALLS.clear()
    versions.FAIL[0] = False
    fork = await client.fork(run, from_step="double")
    await client.signal(fork, "bonus", 2)
    async with running(app):
        assert await client.result(fork, timeout=60) == "shipped 12"
    assert CALLS == ["double 5", "broken_once", "ship 12"]


async def test_a_rerun_begins_at_the_beginning_with_the_same_options(
    running: Running, client: AsyncClient, engine: Engine
) -> None:
    app = versions.app(versions.first)
    order = app.tasks["order"].options(queue="mail", priority="high", tags={"team": "red"}, key="k", timeout=60)
    run = await client.start(order, 5)
    again = await client.rerun(run)
    compared = "name, queue, priority, input, timeout, tags"
    ((old,), (new,)) = [
        engine.query(f"select {compared} from pgflow.task where id = %s", id) for id in (run.id, again.id)
    ]
    assert old == new
    assert engine.query("select key, actor from pgflow.task where id = %s", again.id) == [(None, "ann")]
    assert engine.state(again.id) == "queued"
    edited = await client.rerun(run, set={"input.amount": 6})
    assert engine.query("select input from pgflow.task where id = %s", edited.id) == [({"amount": 6},)]


async def test_a_rerun_in_a_limited_queue_is_throttled(client: AsyncClient, engine: Engine) -> None:
    await client.limit_queue("default", Limit(concurrency=1))
    run = await start(versions.app(versions.first), client)
    assert engine.state((await client.rerun(run)).id) == "throttled"


async def test_what_cannot_be_forked_says_why_and_writes_nothing(
    running: Running, client: AsyncClient, engine: Engine
) -> None:
    app = versions.app(versions.failing, retry=versions.ONCE)
    run = await failed(running, client, app)
    ((before,),) = engine.query("select count(*) from pgflow.task")
    with pytest.raises(NotFound, match="it has recorded: charge, double, broken_once"):
        await client.fork(run, from_step="charge#2")
    with pytest.raises(NotFound):
        await client.fork(10**12, from_step="charge")
    for path in ("amount", "input", "input.x.y", "input.", "input.amount.x"):
        with pytest.raises(ArgumentError):
            await client.fork(run, from_step="charge", set={path: 1})
    with pytest.raises(ArgumentError, match="exclude"):
        await client.rerun(run, set={"input.amount": 1}, input={"amount": 1})
    knowing = AsyncClient(client._settings, app.tasks)
    with pytest.raises(ArgumentError):
        await knowing.rerun(run, set={"input.currency": "EUR"})
    await knowing.close()
    assert engine.query("select count(*) from pgflow.task") == [(before,)]


async def test_a_history_can_be_cut_to_its_end_and_to_a_task(running: Running, client: AsyncClient) -> None:
    app = versions.app(versions.failing, retry=versions.ONCE)
    run = await failed(running, client, app)
    whole = await client.history(run.id)
    assert whole[0]["type"] == "task.enqueued"
    assert [event["at"] for event in whole] == sorted(event["at"] for event in whole)
    assert await client.history(run.id, limit=3) == whole[-3:]
    (child,) = {event["task_id"] for event in whole} - {run.id}
    assert {event["step"] for event in await client.history(run.id, task=child)} == {"double"}
    assert types(await client.history(run.id, task=child))[-1] == "task.completed"
