"""Workflows run by a worker."""

from __future__ import annotations

import asyncio

import pytest

from pgflow import Limit
from pgflow.config import Settings
from pgflow.errors import NotFound, TaskFailed
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import Workers, outcome
from tests.workflows import every_method, flows
from tests.workflows.conftest import fire, working


async def waiting(client: AsyncClient, run: int) -> None:
    """Until the run waits for something."""
    async with asyncio.timeout(60):
        while (await client.show(run))["state"] not in {"waiting", "sleeping"}:
            await asyncio.sleep(0.005)


async def test_steps_run_once_and_in_order(flow_workers: Workers, flow_client: AsyncClient, engine: Engine) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.steps, 3)
        assert await flow_client.result(run, timeout=60) == ["0", "1", "2"]
        assert flows.CALLS == ["0", "1", "2"]
    assert engine.events(run.id) == [
        "task.started", "workflow.started", "step.completed", "step.completed", "step.completed", "workflow.finished",
        "task.completed",
    ]  # fmt: skip
    keys = engine.query("select key, data->'result' from pgflow.event where type = 'step.completed' order by id")
    assert keys == [("note", "0"), ("note#2", "1"), ("note#3", "2")]


async def test_steps_of_a_plain_workflow(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.plain_steps, 3)
        assert await flow_client.result(run, timeout=60) == ["0", "1", "2"]


async def test_a_sleep_holds_nothing_and_repeats_no_step(
    unled_flow_workers: Workers, flow_client: AsyncClient, engine: Engine
) -> None:
    async with unled_flow_workers() as executor:
        run = await flow_client.start(flows.nap, 0.3)
        await waiting(flow_client, run.id)
        assert executor.runner.in_hand == 0
        assert engine.query("select count(*) from pgflow.lease") == [(0,)]
        await fire(engine, executor)
        assert await flow_client.result(run, timeout=60) == "slept"
        assert flows.CALLS == ["before", "after"]


async def test_children(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.family, [1, 2, 3])
        assert await flow_client.result(run, timeout=60) == 12


@pytest.mark.parametrize("concurrency", [None, 7])
async def test_a_map_over_children(flow_workers: Workers, flow_client: AsyncClient, concurrency: int | None) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.spread, list(range(50)), concurrency)
        assert await flow_client.result(run, timeout=60) == sum(range(50)) * 2


async def test_children_of_a_plain_workflow(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.plain_family, [1, 2, 3])
        assert await flow_client.result(run, timeout=60) == 200 + 12 + 2


async def test_a_failed_child_fails_its_parent(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.parent_of_broken, False)
        with pytest.raises(TaskFailed, match="broken for good"):
            await flow_client.result(run, timeout=60)
        assert (await flow_client.show(run.id))["error"]["reason"] == "child"


async def test_a_failed_child_can_be_caught(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.parent_of_broken, True)
        assert await flow_client.result(run, timeout=60) == "TaskFailed 8"


async def test_a_signal_that_came_before_anyone_waited(flow_workers: Workers, flow_client: AsyncClient) -> None:
    run = await flow_client.start(flows.confirm)
    await flow_client.signal(run, "other", 1)
    await flow_client.signal(run, "confirmed", flows.Confirmation(by="ann"))
    async with flow_workers():
        assert await flow_client.result(run, timeout=60) == "ann"


async def test_a_signal_wakes_who_waits_for_it(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.confirm)
        await waiting(flow_client, run.id)
        await flow_client.signal(run, "other", 1)
        await flow_client.signal(run, "confirmed", {"by": "bob"})
        assert await flow_client.result(run, timeout=60) == "bob"


async def test_a_signal_that_does_not_come_in_time(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.confirm, 0.05)
        assert await flow_client.result(run, timeout=60) == "expired"


async def test_signals_to_nobody_are_refused(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.steps, 1)
        await flow_client.result(run, timeout=60)
        with pytest.raises(NotFound, match="finished"):
            await flow_client.signal(run, "late")
        with pytest.raises(NotFound, match="no run 424242"):
            await flow_client.signal(424242, "lost")


async def test_a_step_is_tried_again(flow_workers: Workers, flow_client: AsyncClient, engine: Engine) -> None:
    async with flow_workers():
        flows.TROUBLE["charge"] = 2
        run = await flow_client.start(flows.stubborn, "charge")
        assert await flow_client.result(run, timeout=60) == "charge done"
    tries = engine.query("select type::text, attempt from pgflow.event where type::text like 'step.%%' order by id")
    assert tries == [("step.retried", 1), ("step.retried", 2), ("step.completed", 3)]


async def test_a_step_whose_tries_are_spent_fails_the_run_and_redrive_tries_it_again(
    flow_workers: Workers, flow_client: AsyncClient, engine: Engine
) -> None:
    async with flow_workers():
        flows.TROUBLE["charge"] = 4
        run = await flow_client.start(flows.stubborn, "charge")
        shown = await outcome(flow_client, run)
        assert (shown["state"], shown["error"]["type"], shown["error"]["reason"]) == ("failed", "CardDeclined", "step")
        assert shown["error"]["step"] == "flaky"
        await flow_client.redrive(run.id)
        assert await flow_client.result(run, timeout=60) == "charge done"
    tries = engine.query("select type::text, attempt from pgflow.event where type::text like 'step.%%' order by id")
    assert [attempt for _, attempt in tries] == [1, 2, 3, 4, 5]
    assert [kind for kind, _ in tries] == [
        "step.retried", "step.retried", "step.failed", "step.retried", "step.completed"
    ]  # fmt: skip


async def test_a_failed_step_can_be_caught_and_is_the_same_at_replay(
    flow_workers: Workers, flow_client: AsyncClient
) -> None:
    async with flow_workers():
        flows.TROUBLE["charge"] = 99
        run = await flow_client.start(flows.careful)
        assert await flow_client.result(run, timeout=60) == "instead: charge declined"


async def test_a_failed_run_is_undone_in_reverse(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        flows.TROUBLE["third"] = 1
        run = await flow_client.start(flows.saga)
        assert (await outcome(flow_client, run))["state"] == "failed"
        assert flows.CALLS == ["first", "second", "third", "undo second", "undo first"]


async def test_a_run_that_succeeds_undoes_nothing(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.saga)
        assert await flow_client.result(run, timeout=60) == "done"
        assert flows.CALLS == ["first", "second", "third"]


async def test_continuing_as_new_keeps_the_run_and_its_signals(
    flow_workers: Workers, flow_client: AsyncClient, engine: Engine
) -> None:
    run = await flow_client.start(flows.counting, 1, 4)
    await flow_client.signal(run, "stop", "please")
    async with flow_workers():
        assert await flow_client.result(run, timeout=60) == "4 please"
        assert flows.CALLS == ["at 1", "at 2", "at 3", "at 4"]
    keys = [key for (key,) in engine.query("select key from pgflow.event where type = 'step.completed' order by id")]
    assert keys == ["note", "2/note", "3/note", "4/note", "4/$signal:stop"]


async def test_what_is_drawn_is_the_same_at_replay(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.draws)
        drawn = await flow_client.result(run, timeout=60)
        assert ["|".join(drawn)] * 2 == flows.CALLS


async def test_what_a_run_tells_of_itself(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.telling)
        assert await flow_client.state(run) is None or True
        await waiting(flow_client, run.id)
        told = await flow_client.state(run)
        assert told is not None
        assert (told["state"], told["progress"], told["note"]) == ({"stage": "waiting"}, 0.5, "half")
        await flow_client.signal(run, "go on")
        await flow_client.result(run, timeout=60)
        told = await flow_client.state(run)
        assert told is not None
        assert told["state"] == {"stage": "over"}


async def test_a_workflow_signals_another_once(flow_workers: Workers, flow_client: AsyncClient, engine: Engine) -> None:
    async with flow_workers():
        waiter = await flow_client.start(flows.confirm)
        await flow_client.result(await flow_client.start(flows.pen_pal, waiter.id), timeout=60)
        assert await flow_client.result(waiter, timeout=60) == "a friend"
    assert engine.query("select count(*) from pgflow.event where type = 'signal.received'") == [(1,)]


async def test_a_transaction_writes_rows_step_and_enqueues_together(
    flow_workers: Workers, flow_client: AsyncClient, engine: Engine
) -> None:
    engine.connection.execute("create table public.letters (text text)")
    async with flow_workers():
        flows.TROUBLE["write"] = 2
        run = await flow_client.start(flows.writing, "dear")
        assert await flow_client.result(run, timeout=60) == 4
        assert flows.CALLS == ["written"] * 3
        assert await flow_client.result(await flow_client.start(flows.plain_writing, "you"), timeout=60) == 3
    assert engine.query("select text from public.letters order by text") == [("dear",), ("you",)]
    assert engine.query("select count(*) from pgflow.task where name = 'double'") == [(1,)]


EVERY = {
    "every": "5 USD named 1.0 2.0 thumb@10 [1, 2] ['a@100', 'b@100'] ['1 EUR', 'c@100', None] every None 3 later@100",
    "every_plainly": "5 2.0 thumb@10 [1, 2] ['a@100', 'b@100'] ['1 EUR', 'c@100', None] every_plainly None 1 later@100",
}


@pytest.mark.parametrize(("name", "expected"), EVERY.items())
async def test_every_method_in_one_workflow(database: Settings, name: str, expected: str) -> None:
    async with working(database, every_method.app.tasks), AsyncClient(database, every_method.app.tasks) as client:
        run = await client.start(every_method.app.tasks[name], every_method.Order(item="hat"))
        assert await client.result(run, timeout=60) == expected


async def test_children_in_a_limited_queue_keep_to_its_limit(
    flow_workers: Workers, flow_client: AsyncClient, engine: Engine
) -> None:
    await flow_client.limit_queue("narrow", Limit(concurrency=2))
    async with flow_workers():
        run = await flow_client.start(flows.through_the_narrow, 20)
        assert await flow_client.result(run, timeout=60) == sum(range(20))
    running = 0
    for call in flows.CALLS:
        running += 1 if call == "in" else -1
        assert running <= 2


async def test_a_child_of_a_child_can_be_a_workflow(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.generations, 4)
        assert await flow_client.result(run, timeout=60) == 16


async def test_continuing_as_new_without_arguments_takes_the_defaults(
    flow_workers: Workers, flow_client: AsyncClient
) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.starting_over, 3)
        assert await flow_client.result(run, timeout=60) == "over"
