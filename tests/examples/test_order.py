"""The order, with real executors and the shop's real tables."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pgflow.errors import TaskCancelled, TaskFailed
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from tests.examples.conftest import Workers

Tasks = dict[str, Task[..., Any]]


def query(url: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(text).fetchall()


def ledger(url: str) -> dict[str, Any]:
    """What the shop's tables say: what is left, what was reserved, paid and sent."""
    return {
        "stock": dict(query(url, "select sku, available from shop.stock")),
        "reservations": query(url, "select sku, quantity, released from shop.reservation"),
        "payments": query(url, "select cents, refunded from shop.payment"),
        "parcels": query(url, "select address from shop.parcel"),
    }


async def steps(client: AsyncClient, run: Any) -> list[tuple[str, str]]:
    """What became of each step of the run, in order."""
    events = await client.history(run.id)
    return [(e["key"], e["type"].split(".")[1]) for e in events if e["type"].startswith("step.")]


SHELVES = {"tea": 1000, "teapot": 3}


async def test_an_order_is_reserved_charged_and_shipped(
    workers: Workers, client: AsyncClient, tasks: Tasks, database_url: str
) -> None:
    from order import Order, Receipt

    async with workers("order"):
        run = await client.start(tasks["order"], Order("tea", 2), packing="0s")
        assert await client.result(run, timeout=20) == Receipt(run.id, 900, f"PF{run.id:08}")
        (told,) = await client.tasks(name="order.tell")
        await client.result(told["id"], timeout=20)
    assert ledger(database_url) == {
        "stock": {"tea": 998, "teapot": 3},
        "reservations": [("tea", 2, False)],
        "payments": [(900, False)],
        "parcels": [("Ann, 1 High Street",)],
    }
    assert await client.state(run) is not None
    asked = [key for key, _ in await steps(client, run) if key != "$cleanup"]
    assert asked == ["open_shop", "reserve", "charge", "ship"]


async def test_a_declined_card_gives_the_goods_back(
    workers: Workers, client: AsyncClient, tasks: Tasks, database_url: str
) -> None:
    from order import Order

    async with workers("order"):
        run = await client.start(tasks["order"], Order("teapot", card="5500 0000 0000 0000"))
        with pytest.raises(TaskFailed, match="CardDeclined: the bank declined the card") as failed:
            await client.result(run, timeout=20)
    assert (failed.value.error["reason"], failed.value.error["step"]) == ("step", "charge")
    assert ledger(database_url) == {
        "stock": SHELVES, "reservations": [("teapot", 1, True)], "payments": [], "parcels": [],
    }  # fmt: skip
    assert (await steps(client, run))[-3:] == [
        ("charge", "failed"),
        ("$compensate:refund", "completed"),
        ("$compensate:release", "completed"),
    ]


async def test_no_courier_is_tried_again_and_then_all_is_undone_in_reverse(
    workers: Workers, client: AsyncClient, tasks: Tasks, database_url: str
) -> None:
    from order import Order

    async with workers("order"):
        run = await client.start(tasks["order"], Order("tea", 3, to="Tranquility Base, the moon"), packing="0s")
        with pytest.raises(TaskFailed, match="NoCourier"):
            await client.result(run, timeout=20)
    assert ledger(database_url) == {
        "stock": SHELVES, "reservations": [("tea", 3, True)], "payments": [(1350, True)], "parcels": [],
    }  # fmt: skip
    assert (await steps(client, run))[-5:] == [
        ("ship", "retried"),
        ("ship", "retried"),
        ("ship", "failed"),
        ("$compensate:refund", "completed"),
        ("$compensate:release", "completed"),
    ]
    assert await client.tasks(name="order.tell") == []


async def test_an_order_that_is_cancelled_while_it_is_packed_is_undone(
    workers: Workers, client: AsyncClient, tasks: Tasks, database_url: str
) -> None:
    from order import Order

    async with workers("order"):
        run = await client.start(tasks["order"], Order("teapot", 2), packing="1h")
        async with asyncio.timeout(60):
            while (told := await client.state(run)) is None:
                await asyncio.sleep(0.01)
        assert told["state"] == {"stage": "packing", "cents": 7800}
        assert ledger(database_url)["stock"] == {"tea": 1000, "teapot": 1}
        await client.cancel(run.id)
        with pytest.raises(TaskCancelled):
            await client.result(run, timeout=20)
    assert ledger(database_url) == {
        "stock": SHELVES, "reservations": [("teapot", 2, True)], "payments": [(7800, True)], "parcels": [],
    }  # fmt: skip


async def test_nobody_gets_what_is_not_there(
    workers: Workers, client: AsyncClient, tasks: Tasks, database_url: str
) -> None:
    """Five want one of three teapots."""
    from order import Order

    async with workers("order"):
        runs = [await client.start(tasks["order"], Order("teapot"), packing="0s") for _ in range(5)]
        answers = await asyncio.gather(*(client.result(run, timeout=20) for run in runs), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, TaskFailed)]
    assert {str(error.error["type"]) for error in refused} == {"OutOfStock"}
    assert len(refused) == 2
    assert ledger(database_url)["stock"]["teapot"] == 0
    assert len(ledger(database_url)["parcels"]) == 3
