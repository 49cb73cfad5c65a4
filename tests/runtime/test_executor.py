"""One worker in this process, on a real database: what becomes of every kind of handler."""

from __future__ import annotations

import asyncio
import time

import pytest

from pgflow.config import Settings
from pgflow.engine.enqueue import Request, Spec, enqueue
from pgflow.errors import TaskFailed
from pgflow.runtime.leader import Leader
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import Workers, eventually, outcome
from tests.runtime import apps


async def fire(settings: Settings, condition: asyncio.Task[object]) -> None:
    """Lead until the task is done."""
    leader = Leader(settings)
    loop = asyncio.create_task(leader.run())
    await condition
    leader.finish()
    await loop


async def test_async_and_plain_handlers_give_their_results(workers: Workers, client: AsyncClient) -> None:
    async with workers():
        add, nap = await client.enqueue(apps.add, 2, b=3), await client.enqueue(apps.nap, 0.01)
        assert await client.result(add, timeout=60) == 5
        assert await client.result(nap, timeout=60) == "slept"


async def test_many_tasks_all_run(workers: Workers, client: AsyncClient, engine: Engine) -> None:
    handles = await client.enqueue_many(apps.noop.request() for _ in range(3000))
    async with workers() as executor:
        await eventually(lambda: executor.settler.settled >= 3000)
    assert engine.query("select state::text, count(*) from pgflow.outcome group by 1") == [("completed", 3000)]
    assert engine.query("select count(*) from pgflow.event where type = 'task.started'") == [(3000,)]
    assert len(handles) == 3000


async def test_what_raises_is_retried_and_then_dead_lettered(
    workers: Workers, client: AsyncClient, database: Settings
) -> None:
    async with workers():
        handle = await client.enqueue(apps.boom, "hostile")
        shown = asyncio.create_task(outcome(client, handle))
        await fire(database, shown)
        row = shown.result()
    assert (row["state"], row["attempt"]) == ("failed", 3)
    assert (row["error"]["type"], row["error"]["reason"]) == ("ValueError", "spent")
    assert "apps.py" in row["error"]["traceback"]
    assert "pgflow/runtime" not in row["error"]["traceback"]


async def test_fatal_fails_at_once(workers: Workers, client: AsyncClient) -> None:
    async with workers():
        row = await outcome(client, await client.enqueue(apps.fatal))
    assert (row["state"], row["attempt"], row["error"]["reason"]) == ("failed", 1, "fatal")


async def test_retry_later_comes_back_when_it_said(workers: Workers, client: AsyncClient, database: Settings) -> None:
    async with workers():
        result = asyncio.create_task(client.result(await client.enqueue(apps.third_time), timeout=60))
        await fire(database, result)
        assert result.result() == 3


@pytest.mark.parametrize("task", [apps.brief, apps.brief_thread])
async def test_a_time_out_ends_the_attempt(workers: Workers, client: AsyncClient, task: apps.pgflow.Task) -> None:
    async with workers():
        row = await outcome(client, await client.enqueue(task))
    assert (row["state"], row["error"]["type"]) == ("failed", "TimedOut")


async def test_a_stuck_thread_takes_its_slot_with_it_and_gives_it_back(workers: Workers, client: AsyncClient) -> None:
    apps.RELEASED.clear()
    try:
        async with workers(concurrency=2) as executor:
            while not executor.runner.stuck_threads:  # it may time out before its thread begins
                await outcome(client, await client.enqueue(apps.held_thread))
            assert executor.runner.stuck_threads == 1
            assert await client.result(await client.enqueue(apps.add, 1, 1), timeout=60) == 2
            apps.RELEASED.set()
            await eventually(lambda: not executor.runner.stuck_threads)
    finally:
        apps.RELEASED.set()


async def test_a_result_that_cannot_be_stored_fails_the_task_and_says_where(
    workers: Workers, client: AsyncClient
) -> None:
    async with workers():
        row = await outcome(client, await client.enqueue(apps.bad_result))
    assert (row["state"], row["attempt"], row["error"]["reason"]) == ("failed", 1, "payload")
    assert "$" in row["error"]["message"]


async def test_arguments_that_do_not_fit_fail_the_task_and_are_not_retried(
    workers: Workers, client: AsyncClient, engine: Engine
) -> None:
    (task,) = engine.run(enqueue([Request(Spec("add"), b'{"a": 1, "c": 2}')])).ids
    async with workers():
        with pytest.raises(TaskFailed, match="add"):
            await client.result(task, timeout=60)
    ((error, attempt),) = engine.query("select error, attempt from pgflow.outcome")
    assert (error["reason"], attempt) == ("arguments", 1)


async def test_an_unknown_task_is_released_with_a_delay_and_never_failed(workers: Workers, engine: Engine) -> None:
    (task,) = engine.enqueue(name="from_the_next_release")
    async with workers() as executor:
        await eventually(lambda: executor.settler.settled >= 1)
    assert engine.state(task) == "scheduled"
    assert engine.events(task) == ["task.started", "task.released"]
    assert engine.query("select attempt::int, crashes::int from pgflow.delayed") == [(1, 0)]
    engine.shift_clock(60)
    from pgflow.engine import timers

    engine.run(timers.fire(10))
    engine.settle(*engine.claim())


async def test_cancelling_a_running_task_interrupts_its_handler(workers: Workers, client: AsyncClient) -> None:
    async with workers() as executor:
        handle = await client.enqueue(apps.nap, 60)
        await eventually(lambda: executor.runner.running)
        (running,) = executor.runner.running.values()
        assert await client.cancel(handle.id) == [handle.id]
        assert executor.runner.cancel(handle.id, running.claimed.epoch)
        await eventually(lambda: not executor.runner.running)
        assert await client.result(await client.enqueue(apps.add, 1, 1), timeout=60) == 2, "the slot goes on"
    assert (await client.show(handle.id))["state"] == "cancelled"


async def test_draining_releases_what_has_not_finished_without_counting_it(
    workers: Workers, client: AsyncClient, engine: Engine
) -> None:
    handles = [await client.enqueue(apps.nap, 60) for _ in range(3)]
    async with workers(concurrency=2) as executor:
        await eventually(lambda: len(executor.runner.running) >= 2)
        await executor.drain(0.05)
    assert {engine.state(handle.id) for handle in handles} == {"queued"}
    assert engine.query("select distinct attempt::int, crashes::int from pgflow.ready") == [(1, 0)]


async def test_draining_lets_running_handlers_finish(workers: Workers, client: AsyncClient, engine: Engine) -> None:
    handle = await client.enqueue(apps.nap, 0.3)
    async with workers() as executor:
        await eventually(lambda: executor.runner.running)
    assert engine.state(handle.id) == "completed"


async def test_a_bulky_input_is_fetched_when_its_turn_comes(workers: Workers, client: AsyncClient) -> None:
    async with workers():
        assert await client.result(await client.enqueue(apps.big, "x" * 500_000), timeout=60) == 500_000


async def test_a_handler_can_ask_who_it_is(workers: Workers, client: AsyncClient) -> None:
    async with workers():
        handle = await client.enqueue(apps.whoami)
        seen = await client.result(handle, timeout=60)
    assert seen == {"task_id": handle.id, "attempt": 1, "key": f"pgflow-{handle.id}"}


async def test_context_variables_do_not_leak_from_task_to_task(workers: Workers, client: AsyncClient) -> None:
    async with workers(concurrency=1):
        handles = await client.enqueue_many([apps.leak.request() for _ in range(5)])
        assert {await client.result(handle, timeout=60) for handle in handles} == {"clean"}


async def test_an_idle_worker_picks_up_within_milliseconds(workers: Workers, client: AsyncClient) -> None:
    async with workers() as executor:
        await asyncio.sleep(0.9)  # until it has settled down to its slow poll
        taken = []
        for _ in range(5):
            begun = time.perf_counter()
            await client.result(await client.enqueue(apps.noop), timeout=60)
            taken.append(time.perf_counter() - begun)
            await asyncio.sleep(0.05)
        assert executor.fetcher.heard
    assert sorted(taken)[2] < 2.5, "woken, not found by the safety poll of five seconds"


async def test_a_paused_queue_rests_and_goes_on_when_resumed(
    workers: Workers, client: AsyncClient, engine: Engine
) -> None:
    async with workers() as executor:
        executor.take({"safe": [], "paused": ["default"]})
        handle = await client.enqueue(apps.noop)
        mail = await client.enqueue(apps.on_mail)
        await client.result(mail, timeout=60)
        assert engine.state(handle.id) == "queued"
        executor.take({"safe": [], "paused": []})
        await client.result(handle, timeout=60)


async def test_a_settlement_the_database_refuses_fails_its_task_alone(
    workers: Workers, client: AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bad row must not wedge the batch: whatever slipped past the codec."""
    async with workers() as executor:
        encode = apps.add.signature.encode_result
        poison = executor.runner._handlers["add"].signature
        monkeypatch.setattr(
            type(poison),
            "encode_result",
            lambda self, value, limit: b'"\\u0000"' if value == 13 else encode(value, limit=limit),
        )
        handles = await client.enqueue_many([apps.add.request(n, 0) for n in range(20)])
        rows = [await outcome(client, handle) for handle in handles]
    assert [row["state"] for row in rows] == ["failed" if n == 13 else "completed" for n in range(20)]
