"""Statements of the engine that the database cancels, behind a lock or for taking too long: nothing is lost by it."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pgflow import App, Context
from pgflow.config import Settings
from pgflow.db import patience
from pgflow.runtime.child import Child
from pgflow.runtime.heart import Heart
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually, executing, leading
from tests.runtime.blocking import blocked, logged
from tests.runtime.processes import worker

app = App()


@app.task(name="answer")
async def answer() -> int:
    return 42


@app.workflow(name="asks")
async def asks(ctx: Context) -> int:
    return await ctx.step(answer.function)


@pytest.mark.parametrize("task", [answer, asks], ids=["task", "workflow"])
async def test_a_result_whose_commit_is_cancelled_is_committed_when_the_lock_is_gone(
    database: Settings, monkeypatch: pytest.MonkeyPatch, task: Any
) -> None:
    entries = logged(monkeypatch, patience)
    async with AsyncClient(database, app.tasks) as client, executing(database, app.tasks):
        async with blocked(database, "outcome", "share") as block:
            handle = await client.enqueue(task)
            await block.cancel("settle")
            await block.cancel("settle")
        assert await client.result(handle, timeout=60) == 42
    told = [entry for entry in entries if entry["log_level"] == "warning"]
    assert [entry["service"] for entry in told] == ["settler"] * 2, "each time"
    assert "lock" in told[0]["hint"]
    assert "statement_timeout" in told[0]["hint"]


async def test_a_batch_that_takes_too_long_is_told_of_each_time_and_lost_never(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = logged(monkeypatch, patience)
    async with AsyncClient(database, app.tasks) as client, executing(database, app.tasks) as executor:
        executor.settler.link._server_settings["statement_timeout"] = "1"
        await executor.settler.link.close()
        async with blocked(database, "outcome", "share"):
            handle = await client.enqueue(answer)
            await eventually(lambda: len(entries) >= 3)
        assert {entry["error"] for entry in entries[:3]} == {"canceling statement due to statement timeout"}
        executor.settler.link._server_settings["statement_timeout"] = "60s"
        await executor.settler.link.close()
        assert await client.result(handle, timeout=60) == 42


async def test_a_claim_that_is_cancelled_is_made_again(database: Settings) -> None:
    async with AsyncClient(database, app.tasks) as client:
        handle = await client.enqueue(answer)
        async with blocked(database, "lease", "share") as block, executing(database, app.tasks) as executor:
            await block.cancel("claim")
            await block.release()
            assert await client.result(handle, timeout=60) == 42
            assert not any(loop.done() for loop in executor._loops)


async def test_a_history_whose_reading_is_cancelled_is_read_again(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = logged(monkeypatch, patience)
    async with AsyncClient(database, app.tasks) as client:
        handle = await client.enqueue(asks)
        async with blocked(database, "outcome") as block, executing(database, app.tasks):
            await block.cancel("history")
            await block.release()
            assert await client.result(handle, timeout=60) == 42
    assert [entry["service"] for entry in entries if entry["log_level"] == "warning"] == ["reader"]


async def test_a_leader_whose_statement_is_cancelled_stands_again(database: Settings) -> None:
    async with leading(database) as leader:
        await eventually(lambda: leader.term == 1)
        async with blocked(database, "schedule") as block:
            await block.cancel("leader")
        await eventually(lambda: leader.term is not None and leader.term > 1)


async def test_a_leader_whose_first_statements_are_cancelled_leads_with_all_its_duties(database: Settings) -> None:
    async with blocked(database, "schedule") as block, leading(database) as leader:
        await block.cancel("leader")
        await block.release()
        await eventually(lambda: leader.term is not None and leader._beside)


async def test_a_heart_whose_beat_is_cancelled_beats_on(
    database: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, answered = Child({}, 1, lambda _: None), asyncio.Event()
    monkeypatch.setattr(child, "answer", lambda _: answered.set())
    child.worker_id = 9
    engine.register(9)
    heart = Heart(database, lambda: [child])
    async with blocked(database, "worker") as block:
        running = asyncio.create_task(heart.run())
        await block.cancel("heart")
    await asyncio.wait({running, asyncio.create_task(answered.wait())}, return_when=asyncio.FIRST_COMPLETED)
    assert answered.is_set()
    heart.finish()
    await running


async def test_a_cancelled_statement_of_a_client_is_not_tried_again(database: Settings) -> None:
    async with AsyncClient(database, app.tasks) as client, blocked(database, "ready") as block:
        asking = asyncio.create_task(client.enqueue(answer))
        await block.cancel("client")
        with pytest.raises(psycopg.errors.QueryCanceled):
            await asking


@pytest.mark.xdist_group("processes")
async def test_an_executor_whose_registration_is_cancelled_registers_again(database: Settings, engine: Engine) -> None:
    async with blocked(database, "worker") as block:
        with worker(database, "--no-leader") as process:
            await block.cancel("settle")
            (executor,) = process.executors()
            await block.release()
            await eventually(lambda: engine.query("select 1 from pgflow.worker"))
            assert engine.query("select pid from pgflow.worker") == [(executor,)]
