"""Batch handlers: one call for several tasks, each of which stays a task of its own."""

from __future__ import annotations

import asyncio

import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.errors import RegistrationError
from pgflow.runtime.leader import Leader
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.workers import Workers, eventually, outcome
from tests.runtime import apps


@pytest.fixture(autouse=True)
def _no_batches_yet() -> None:
    apps.BATCHES.clear()


async def test_tasks_that_run_at_once_share_a_call_and_each_gets_its_result(
    workers: Workers, client: AsyncClient
) -> None:
    handles = await client.enqueue_many([apps.squares.request(n) for n in range(12)])
    async with workers(concurrency=16):
        assert [await client.result(handle, timeout=60) for handle in handles] == [n * n for n in range(12)]
    assert sorted(apps.BATCHES) == [2, 10], "full at ten; the rest when its time was over"


async def test_a_lone_task_does_not_wait_for_ever(workers: Workers, client: AsyncClient) -> None:
    async with workers():
        assert await client.result(await client.enqueue(apps.squares, 7), timeout=60) == 49
    assert apps.BATCHES == [1]


async def test_a_plain_function_and_no_results(workers: Workers, client: AsyncClient) -> None:
    handles = await client.enqueue_many([apps.store.request("x") for _ in range(8)])
    async with workers(concurrency=8):
        assert [await client.result(handle, timeout=60) for handle in handles] == [None] * 8
    assert apps.BATCHES == [4, 4]


async def test_one_that_fails_is_retried_alone(workers: Workers, client: AsyncClient, database: Settings) -> None:
    handles = await client.enqueue_many([apps.squares.request(n) for n in (12, 13, 14)])
    leader = Leader(database)
    leading = asyncio.create_task(leader.run())
    async with workers():
        rows = [await outcome(client, handle) for handle in handles]
    leader.finish()
    await leading
    assert [(row["state"], row["attempt"]) for row in rows] == [("completed", 1), ("failed", 3), ("completed", 1)]
    assert rows[1]["error"]["message"] == "unlucky"
    assert apps.BATCHES == [3, 1, 1]


async def test_too_few_results_fail_the_batch_and_say_so(workers: Workers, client: AsyncClient) -> None:
    handles = await client.enqueue_many([apps.short.request(n) for n in range(3)])
    async with workers():
        rows = [await outcome(client, handle) for handle in handles]
    assert {row["state"] for row in rows} == {"failed"}
    assert "as many results" in rows[0]["error"]["message"]


async def test_one_cancelled_while_it_waits_is_not_in_the_batch(workers: Workers, client: AsyncClient) -> None:
    handles = await client.enqueue_many([apps.squares.request(n) for n in (1, 2, 3)])
    async with workers() as executor:
        await eventually(lambda: len(executor.runner.running) >= 3)
        running = executor.runner.running[handles[1].id]
        await client.cancel(handles[1].id)
        executor.runner.cancel(handles[1].id, running.claimed.epoch)
        assert await client.result(handles[2], timeout=60) == 9
    assert apps.BATCHES in ([2], [3]), "two, unless the batch had left already"


@pytest.mark.parametrize(("size", "wait"), [(0, 1), (10, 100), (20_000, 1)])
def test_nonsense_is_refused(size: int, wait: float) -> None:
    with pytest.raises(RegistrationError):
        App().batch(size=size, wait=wait)(lambda numbers: None)


def test_a_function_of_two_lists_is_refused() -> None:
    with pytest.raises(RegistrationError, match="exactly one parameter"):
        App().batch(size=2)(lambda a, b: None)  # type: ignore[arg-type, misc]
