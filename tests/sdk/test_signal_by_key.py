"""Signals to a run that is known by the key it was started with."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pgflow import App, Context, Key, SyncContext
from pgflow.config import Settings
from pgflow.errors import ArgumentError, NotFound
from pgflow.model import State
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from tests.fixtures.database import Engine
from tests.runtime import apps
from tests.workflows.conftest import working

app = App()


@app.workflow(name="keyed.waiting")
async def waiting(ctx: Context) -> Any:
    return await ctx.signal("go", timeout="1h")


@app.workflow(name="keyed.sending")
async def sending(ctx: Context, key: str) -> None:
    await ctx.send_signal(waiting.by_key(key), "go", "from an async workflow")


@app.workflow(name="keyed.sending_plainly")
def sending_plainly(ctx: SyncContext, key: str) -> None:
    ctx.send_signal(Key("keyed.waiting", key), "go", "from a plain workflow")


def sent(engine: Engine) -> list[Any]:
    return engine.query("select task_id, key, data->'payload' from pgflow.event where type = 'signal.received'")


async def test_a_signal_finds_the_run_by_its_key_in_either_colour(
    sync_client: Client, client: AsyncClient, engine: Engine
) -> None:
    run = sync_client.enqueue(apps.add.options(key="k"), 1, 2)
    sync_client.signal(apps.add.by_key("k"), "go", 1)
    await client.signal(apps.add.by_key("k"), "go", 2)
    await client.signal(Key(apps.add.name, "k"), "go", 3)
    assert sent(engine) == [(run.id, "go", 1), (run.id, "go", 2), (run.id, "go", 3)]


def test_a_key_is_one_of_its_workflow(sync_client: Client) -> None:
    sync_client.enqueue(apps.add.options(key="k"), 1, 2)
    for key in (apps.noop.by_key("k"), apps.add.by_key("other")):
        with pytest.raises(NotFound, match="no unfinished run of"):
            sync_client.signal(key, "go")


def test_the_newest_unfinished_run_has_the_signal(sync_client: Client, engine: Engine) -> None:
    held = apps.add.options(key="k", hold=0.0001)
    runs = [sync_client.enqueue(held, 1, 2).id for _ in range(3)]
    assert len(set(runs)) == 3
    engine.settle(*[task for task in engine.claim() if task.task_id == runs[2]])
    sync_client.signal(apps.add.by_key("k"), "go")
    assert [task for task, *_ in sent(engine)] == [runs[1]]


def test_a_finished_run_is_found_no_more(sync_client: Client, engine: Engine) -> None:
    sync_client.enqueue(apps.add.options(key="k"), 1, 2)
    engine.settle(*engine.claim(), state=State.COMPLETED)
    with pytest.raises(NotFound, match="was started with the key 'k'"):
        sync_client.signal(apps.add.by_key("k"), "go")


def test_a_run_that_was_started_in_the_same_transaction_is_found(
    sync_client: Client, database: Settings, engine: Engine
) -> None:
    with psycopg.connect(database.require_url()) as connection:
        within = sync_client.on(connection)
        run = within.enqueue(apps.add.options(key="k"), 1, 2)
        within.signal(apps.add.by_key("k"), "go")
        assert sent(engine) == []
    assert sent(engine) == [(run.id, "go", None)]


def test_names_that_are_the_engines_own_are_refused(sync_client: Client, engine: Engine) -> None:
    (run,) = engine.enqueue()
    for name in ("$event:tick", "$", ""):
        with pytest.raises(ArgumentError, match="no name for a signal"):
            sync_client.signal(run, name)


@pytest.mark.parametrize("sender", [sending, sending_plainly])
async def test_a_workflow_signals_another_by_its_key_once(database: Settings, engine: Engine, sender: Any) -> None:
    async with working(database, app.tasks), AsyncClient(database, app.tasks) as client:
        run = await client.start(waiting.options(key="friend"))
        await client.result(await client.start(sender, "friend"), timeout=60)
        assert "workflow" in await client.result(run, timeout=60)
        lost = await client.start(sender, "nobody")
        with pytest.raises(Exception, match="NotFound"):
            await client.result(lost, timeout=60)
    assert len(sent(engine)) == 1
