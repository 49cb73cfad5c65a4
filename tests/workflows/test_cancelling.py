"""Cancelling a workflow that has something to undo: once, whenever and however often it is asked for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pgflow import App, Context, SyncContext, TaskCancelled
from pgflow.config import Settings
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually
from tests.workflows.conftest import working


async def test_cancelling_a_run_again_while_it_undoes_changes_nothing(database: Settings, engine: Engine) -> None:
    app, undoing = App(), list[str]()

    async def undo() -> None:
        undoing.append("begun")
        await asyncio.sleep(0.5)

    @app.workflow(name="guarded")
    async def guarded(ctx: Context) -> None:
        ctx.compensate(undo)
        await ctx.signal("never")

    async with AsyncClient(database, app.tasks) as client, working(database, app.tasks):
        run = await client.start(guarded)
        await eventually(lambda: engine.query("select 1 from pgflow.inbox where needed > arrived"))
        await client.cancel(run.id)
        await eventually(lambda: undoing)
        for _ in range(3):
            await client.cancel(run.id)
            await asyncio.sleep(0.05)
        with pytest.raises(TaskCancelled):
            await client.result(run, timeout=60)
        told = engine.query("select count(*) from pgflow.event where type = 'workflow.cancelling'")
        assert told == [(1,)], "told once"
        assert undoing == ["begun"]


async def test_a_run_is_told_to_cancel_itself_before_its_replay_has_come_to_what_is_to_be_undone(
    database: Settings, engine: Engine
) -> None:
    app, undone, may_begin = App(), list[str](), threading.Event()
    may_begin.set()

    def undo() -> None:
        undone.append("undone")

    @app.workflow(name="slow_start")
    def slow_start(ctx: SyncContext) -> None:
        may_begin.wait(60)  # as a busy machine holds up any code
        ctx.compensate(undo)
        ctx.signal("never")

    async with AsyncClient(database, app.tasks) as client, working(database, app.tasks) as worker:
        run = await client.start(slow_start)
        await eventually(lambda: engine.query("select 1 from pgflow.inbox where needed > arrived"))
        may_begin.clear()
        await client.cancel(run.id)
        await eventually(lambda: worker.runner.running.get(run.id) and worker.runner.running[run.id].replay)
        await client.cancel(run.id)
        worker.runner.cancel(run.id, worker.runner.running[run.id].claimed.epoch)  # what its heart hears
        may_begin.set()
        with pytest.raises(TaskCancelled):
            await client.result(run, timeout=60)
        assert undone == ["undone"]
