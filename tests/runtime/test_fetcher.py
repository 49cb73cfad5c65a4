"""The fetcher: order, prefetch, floors, and what it does when it hears nothing."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.engine import workers as worker_verbs
from pgflow.errors import ConfigError
from pgflow.model import Claimed, Lane, Priority
from pgflow.runtime import fetcher as fetching
from pgflow.runtime.fetcher import Fetcher
from pgflow.runtime.floors import Floors
from pgflow.runtime.lanes import LaneOrder, parse_queues
from pgflow.runtime.runner import Runner
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import Workers, eventually
from tests.runtime import apps


def test_urgency_goes_before_weight_and_weight_shares_what_is_equally_urgent() -> None:
    order = LaneOrder({"big": 3.0, "small": 1.0}, random.Random(5).random)
    firsts = Counter(order.next()[0].queue for _ in range(4000))
    assert 2700 < firsts["big"] < 3300
    lanes = order.next()
    assert [lane.priority for lane in lanes] == sorted(lane.priority for lane in lanes)
    assert len(set(lanes)) == 2 * len(Priority)


def test_a_paused_queue_has_no_lanes() -> None:
    order = LaneOrder({"a": 1.0, "b": 1.0})
    order.paused = {"a"}
    assert {lane.queue for lane in order.next()} == {"b"}


def test_weights_are_read_from_text_and_nonsense_is_refused() -> None:
    assert parse_queues(("mail=3", "reports")) == {"mail": 3.0, "reports": 1.0}
    for bad in ("mail=0", "mail=x", "mail=-1", "mail=nan"):
        with pytest.raises(ConfigError, match="mail"):
            parse_queues((bad,))


def claimed(seq: int) -> Claimed:
    return Claimed(seq, seq, seq, 1, 1, "n", "q", 2, {}, None, None, None, None)


@given(st.lists(st.tuples(st.floats(0.001, 0.2), st.integers(1, 50)), min_size=1, max_size=60))
def test_a_floor_is_always_something_claimed_at_least_the_lag_ago(claims: list[tuple[float, int]]) -> None:
    floors, lane = Floors(lag=0.1), Lane("q", 2)
    now, seq = 10.0, 0
    history: list[tuple[float, int]] = [(-1.0, 0)]
    for passed, count in claims:
        now += passed
        floor = floors.at([lane], now)[0]
        assert floor <= max(highest for at, highest in history if at <= now - 0.1 or highest == 0)
        floors.note([claimed(seq + n) for n in range(1, count + 1)], now)
        seq += count
        history.append((now, seq))


def test_the_safe_position_is_a_floor_for_everyone() -> None:
    floors, lane = Floors(), Lane("q", 2)
    floors.learn_safe({lane: 40})
    assert floors.at([lane], 1.0) == [40]
    assert floors.safe_at([lane]) == [40]


async def test_quick_handlers_get_a_prefetch_and_slow_ones_none(
    workers: Workers, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers(concurrency=4) as executor:
        runner = executor.runner
        deepest = 0

        def add(claimed: list[Claimed]) -> None:
            nonlocal deepest
            Runner.add(runner, claimed)
            deepest = max(deepest, runner.in_hand)

        monkeypatch.setattr(runner, "add", add)
        with monkeypatch.context() as quick:  # as on a machine that is not busy
            quick.setattr(Fetcher, "_round_trip", property(lambda _: 0.002, lambda _, __: None), raising=False)
            await client.enqueue_many([apps.nap.request(0.2) for _ in range(100)])
            await eventually(lambda: runner.finished >= 12)
            assert 4 <= deepest <= 5
            await client.cancel(
                *(row["id"] for row in await client.tasks(name="nap", limit=100) if row["state"] == "queued")
            )
        executor.fetcher._round_trip = 0.002
        await client.enqueue_many([apps.noop.request() for _ in range(20_000)])
        await eventually(lambda: deepest > 50)


async def test_a_deaf_worker_notices_polls_fast_and_hears_again(
    workers: Workers, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SELF_TEST", 0.2)
    monkeypatch.setattr(fetching, "HEARING_TIME", 0.2)
    monkeypatch.setattr(fetching, "DEAF_POLL", 0.05)
    async with workers() as executor:
        fetcher = executor.fetcher
        executor.fetcher._settings = executor.settings.model_copy(update={"safety_poll": 0.1})
        await eventually(lambda: fetcher.link.opened)
        real = fetcher.channel
        fetcher.channel = "pgflow.worker.nobody"  # what it listens on is no longer what is notified

        async def heard(wanted: bool) -> None:
            await eventually(lambda: fetcher.heard is wanted)

        await asyncio.wait_for(heard(False), 60)
        assert await client.result(await client.enqueue(apps.add, 1, 2), timeout=60) == 3, "polling is the truth"
        fetcher.channel = real
        await fetcher.link.close()
        await asyncio.wait_for(heard(True), 60)


async def test_a_claim_connection_that_is_cut_comes_back(workers: Workers, client: AsyncClient, engine: Engine) -> None:
    async with workers() as executor:
        await client.result(await client.enqueue(apps.noop), timeout=60)
        engine.query(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name ~ '^pgflow (claim|settle)'"
        )
        assert await client.result(await client.enqueue(apps.add, 1, 2), timeout=60) == 3
        assert executor.fetcher.link.opened >= 2


async def test_a_full_worker_wakes_another(workers: Workers, client: AsyncClient, engine: Engine) -> None:
    async with workers(concurrency=2):
        engine.connection.execute('listen "pgflow.worker.77"')
        engine.run(worker_verbs.idle(["default"], "pgflow.worker.77", 120))
        await client.enqueue_many([apps.nap.request(0.5) for _ in range(10)], wake=False)
        told: list[Any] = await asyncio.to_thread(lambda: list(engine.connection.notifies(timeout=60, stop_after=1)))
        assert len(told) == 1
        await client.cancel(*(row["id"] for row in await client.tasks(limit=100)))
