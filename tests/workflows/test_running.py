"""Workflows run by a worker."""

from __future__ import annotations

from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.workers import Workers
from tests.workflows import flows


async def test_steps_run_once_and_in_order(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.steps, 3)
        assert await flow_client.result(run, timeout=10) == ["0", "1", "2"]
        assert flows.CALLS == ["0", "1", "2"]


async def test_steps_of_a_plain_workflow(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.plain_steps, 3)
        assert await flow_client.result(run, timeout=10) == ["0", "1", "2"]


async def test_children(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.family, [1, 2, 3])
        assert await flow_client.result(run, timeout=10) == 12
        run = await flow_client.start(flows.spread, list(range(50)))
        assert await flow_client.result(run, timeout=10) == sum(range(50)) * 2
        run = await flow_client.start(flows.spread, list(range(50)), concurrency=7)
        assert await flow_client.result(run, timeout=10) == sum(range(50)) * 2


async def test_children_of_a_plain_workflow(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.plain_family, [1, 2, 3])
        assert await flow_client.result(run, timeout=10) == 200 + 12 + 2


async def test_a_signal(flow_workers: Workers, flow_client: AsyncClient) -> None:
    async with flow_workers():
        run = await flow_client.start(flows.confirm)
        await flow_client.signal(run, "confirmed", flows.Confirmation(by="ann"))
        assert await flow_client.result(run, timeout=10) == "ann"
