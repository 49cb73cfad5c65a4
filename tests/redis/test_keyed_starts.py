"""Fifty starts at once with one key are one run, whatever becomes of Redis meanwhile; and what that costs."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.errors import IdempotencyConflict
from pgflow.redis import breaker, node
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from tests.fixtures.database import Engine
from tests.fixtures.valkey import Valkey, Valkeys, be_patient, with_redis
from tests.runtime import apps

STARTS = 50
DEADLINE = 30.0
FEW = 20
UNASKED = FEW * node.TIMEOUT / 2
"""Seconds that a few starts do not take if none of them waits for Redis, however busy the machine; if all do, twice."""


@pytest.fixture(autouse=True)
def fresh_breakers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "_breakers", {})


def threads(settings: Settings, midway: Callable[[], None] = lambda: None) -> list[int]:
    """The ids that fifty starts get; something happens after the tenth."""
    done = threading.Semaphore(0)
    with Client(settings) as client, ThreadPoolExecutor(STARTS) as pool:

        def start(_: int) -> int:
            id = client.enqueue(apps.add.options(key="k"), 1, 2).id
            done.release()
            return id

        futures = [pool.submit(start, n) for n in range(STARTS)]
        for _ in range(10):
            done.acquire(timeout=DEADLINE)
        midway()
        return [future.result(DEADLINE) for future in futures]


def coroutines(settings: Settings, midway: Callable[[], None] = lambda: None) -> list[int]:
    async def all_at_once() -> list[int]:
        async with AsyncClient(settings) as client:
            done = 0

            async def start() -> int:
                nonlocal done
                handle = await client.enqueue(apps.add.options(key="k"), 1, 2)
                done += 1
                if done == 10:
                    midway()
                return handle.id

            return await asyncio.wait_for(asyncio.gather(*(start() for _ in range(STARTS))), DEADLINE)

    return asyncio.run(all_at_once())


def _ten(settings: Settings, patient: bool, together: Any, told: Any) -> None:
    if patient:
        be_patient()
    with Client(settings) as client:
        together.wait()
        for _ in range(10):
            told.put(client.enqueue(apps.add.options(key="k"), 1, 2).id)


def processes(settings: Settings, midway: Callable[[], None] | None = None) -> list[int]:
    """Five processes, ten starts each. They are forks of one that has imported all this."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    together, told = context.Barrier(5, timeout=60), context.Queue()
    started = [
        context.Process(target=_ten, args=(settings, midway is None, together, told), daemon=True) for _ in range(5)
    ]
    try:
        for process in started:
            process.start()
        ids = [told.get(timeout=60)]
        if midway is not None:
            midway()
        ids += [told.get(timeout=60) for _ in range(STARTS - 1)]
        for process in started:
            process.join(60)
        assert [process.exitcode for process in started] == [0] * 5
        return ids
    finally:
        for process in started:
            process.kill()


def ways(*functions: Callable[..., list[int]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("starts", functions, ids=lambda function: function.__name__)


EVERY_WAY = ways(threads, coroutines, processes)
IN_ONE_PROCESS = ways(threads, coroutines)


@EVERY_WAY
def test_without_redis(database: Settings, engine: Engine, starts: Any) -> None:
    one_run(engine, starts(database.model_copy(update={"redis_url": []})))


def one_run(engine: Engine, ids: list[int]) -> None:
    assert len(ids) == STARTS
    assert engine.query("select id from pgflow.task") == [(ids[0],)]
    assert set(ids) == {ids[0]}


@EVERY_WAY
def test_with_redis(database: Settings, engine: Engine, starts: Any, valkey: Valkey, patient: None) -> None:
    one_run(engine, starts(with_redis(database, valkey)))
    with valkey.client() as client:
        assert int(client.info("commandstats")["cmdstat_eval"]["calls"]) >= 1
        assert client.keys() == []


@EVERY_WAY
def test_with_redis_stopped_midway(database: Settings, engine: Engine, starts: Any, valkey: Valkey) -> None:
    one_run(engine, starts(with_redis(database, valkey), valkey.stop))


@EVERY_WAY
def test_with_redis_hung_midway(database: Settings, engine: Engine, starts: Any, valkey: Valkey) -> None:
    one_run(engine, starts(with_redis(database, valkey), valkey.freeze))


@IN_ONE_PROCESS
def test_with_redis_flushed_midway(database: Settings, engine: Engine, starts: Any, valkey: Valkey) -> None:
    with valkey.client() as client:
        one_run(engine, starts(with_redis(database, valkey), client.flushall))


@IN_ONE_PROCESS
def test_with_redis_full(database: Settings, engine: Engine, starts: Any, valkey: Valkey, patient: None) -> None:
    with valkey.client() as client:
        client.config_set("maxmemory", "1")
        one_run(engine, starts(with_redis(database, valkey)))
        assert int(client.info("commandstats")["cmdstat_set"]["rejected_calls"]) >= 1


@IN_ONE_PROCESS
@pytest.mark.parametrize("down", [1, 2])
def test_with_nodes_down(database: Settings, engine: Engine, starts: Any, valkeys: Valkeys, down: int) -> None:
    nodes = valkeys(3)
    for server in nodes[:down]:
        server.stop()
    one_run(engine, starts(with_redis(database, *nodes)))


def test_two_nodes_of_three_still_queue_the_duplicates(database: Settings, valkeys: Valkeys, patient: None) -> None:
    nodes = valkeys(3)
    nodes[1].stop()
    threads(with_redis(database, *nodes))
    for server in (nodes[0], nodes[2]):
        with server.client() as client:
            assert int(client.info("commandstats")["cmdstat_eval"]["calls"]) >= STARTS


def test_one_node_of_three_is_no_quorum_and_nothing_waits_for_it(database: Settings, valkeys: Valkeys) -> None:
    nodes = valkeys(3)
    nodes[1].stop()
    nodes[2].freeze()
    with Client(with_redis(database, *nodes)) as client:
        client.enqueue(apps.noop.options(key="first"))  # finds out
        assert took(client, FEW) < UNASKED


def took(client: Client, starts: int, which: str = "") -> float:
    begun = time.monotonic()
    for n in range(starts):
        client.enqueue(apps.noop.options(key=f"{which}{n}"))
    return time.monotonic() - begun


def test_a_conflict_names_the_first_run(database: Settings, valkey: Valkey) -> None:
    with Client(with_redis(database, valkey)) as client:
        first = client.enqueue(apps.add.options(key="k"), 1, 2)
        with pytest.raises(IdempotencyConflict) as refused:
            client.enqueue(apps.add.options(key="k"), 1, 3)
        assert refused.value.task_id == first.id


def test_a_start_in_an_own_transaction_is_not_guarded(database: Settings, engine: Engine, valkey: Valkey) -> None:
    with Client(with_redis(database, valkey)) as client, valkey.client() as direct, engine.connection.transaction():
        client.on(engine.connection).enqueue(apps.add.options(key="k"), 1, 2)
        assert "cmdstat_set" not in direct.info("commandstats")


class Hours:
    """A clock for a breaker, which stands still until it is moved on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def past_the_rest(self) -> None:
        """To where an open breaker asks again."""
        self.now += breaker.OPEN + 1


@pytest.fixture
def hours(valkey: Valkey) -> Hours:
    clock = Hours()
    breaker._breakers[valkey.url] = breaker.Breaker("a node", clock)
    return clock


def test_a_hung_redis_costs_one_time_out_each_time_the_breaker_closes(
    database: Settings, valkey: Valkey, hours: Hours
) -> None:
    with Client(with_redis(database, valkey)) as client, valkey.client() as direct:
        client.enqueue(apps.noop.options(key="warm"))
        valkey.freeze()
        hours.past_the_rest()  # a busy machine may have opened the breaker already
        for turn in range(3):
            assert took(client, 1, f"{turn} waits") > 0.9 * node.TIMEOUT
            assert took(client, FEW, f"{turn} does not") < UNASKED
            hours.past_the_rest()
        valkey.thaw()
        while breaker.breaker_of(valkey.url)._open_until is not None:  # more than once on a busy machine
            hours.past_the_rest()
            client.enqueue(apps.noop.options(key=f"again {hours.now}"))
        before = int(direct.info("commandstats")["cmdstat_set"]["calls"])
        took(client, 5)
        assert int(direct.info("commandstats")["cmdstat_set"]["calls"]) > before


async def test_a_hung_redis_costs_no_more_in_async_code(database: Settings, valkey: Valkey, hours: Hours) -> None:
    async with AsyncClient(with_redis(database, valkey)) as client:
        await client.enqueue(apps.noop.options(key="warm"))
        valkey.freeze()
        hours.past_the_rest()
        begun = time.monotonic()
        await asyncio.gather(*(client.enqueue(apps.noop.options(key=f"a{n}")) for n in range(FEW)))
        assert 0.9 * node.TIMEOUT < time.monotonic() - begun < UNASKED  # all of them together
        begun = time.monotonic()
        for n in range(FEW):
            await client.enqueue(apps.noop.options(key=f"b{n}"))
        assert time.monotonic() - begun < UNASKED


def test_a_redis_that_is_down_costs_nearly_nothing(database: Settings, valkey: Valkey) -> None:
    valkey.stop()
    with Client(with_redis(database, valkey)) as client:
        client.enqueue(apps.noop)  # opens a connection to the database
        assert took(client, FEW) < UNASKED


def test_a_wrong_password_is_no_error_of_the_start(database: Settings, engine: Engine, valkey: Valkey) -> None:
    settings = database.model_copy(update={"redis_url": [valkey.url.replace("redis://:", "redis://:x")]})
    one_run(engine, threads(settings))
