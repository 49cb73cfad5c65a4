"""Fifty starts at once with one key are one run, whatever becomes of Redis meanwhile; and what that costs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
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
from tests.fixtures.valkey import Valkey, Valkeys, with_redis
from tests.runtime import apps

STARTS = 50
DEADLINE = 30.0


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


_STARTER = """
import sys
from pgflow.config import Settings
from pgflow.sdk.client import Client
from tests.runtime import apps
client = Client(Settings(database_url=sys.argv[1], redis_url=sys.argv[2], _env_file=None))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10):
    print(client.enqueue(apps.add.options(key="k"), 1, 2).id, flush=True)
client.close()
"""


def processes(settings: Settings, midway: Callable[[], None] = lambda: None) -> list[int]:
    """Five processes, ten starts each."""
    command = [sys.executable, "-c", _STARTER, settings.require_url(), ",".join(settings.redis_url)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    outputs = [process.stdout for process in started if process.stdout]
    inputs = [process.stdin for process in started if process.stdin]
    try:
        assert [output.readline() for output in outputs] == ["ready\n"] * 5
        for standard_input in inputs:
            standard_input.write("go\n")
            standard_input.flush()
        first = outputs[0].readline()
        midway()
        rest = [output.read() for output in outputs]
        assert [process.wait(DEADLINE) for process in started] == [0] * 5
        return [int(line) for text in [first, *rest] for line in text.split()]
    finally:
        for process in started:
            process.kill()
            process.communicate()


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
def test_with_redis(database: Settings, engine: Engine, starts: Any, valkey: Valkey) -> None:
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
def test_with_redis_full(database: Settings, engine: Engine, starts: Any, valkey: Valkey) -> None:
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


def test_two_nodes_of_three_still_queue_the_duplicates(database: Settings, valkeys: Valkeys) -> None:
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
        assert took(client, 20) < 20 * 0.06


def took(client: Client, starts: int) -> float:
    begun = time.monotonic()
    for n in range(starts):
        client.enqueue(apps.noop.options(key=f"k{n}"))
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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "OPEN", 1.5)


def test_a_hung_redis_costs_one_time_out_each_time_the_breaker_closes(
    database: Settings, valkey: Valkey, quick: None
) -> None:
    with Client(with_redis(database, valkey)) as client:
        client.enqueue(apps.noop.options(key="warm"))
        valkey.freeze()
        costs = []
        end = time.monotonic() + 2 * (breaker.OPEN + node.TIMEOUT)
        while time.monotonic() < end:
            begun = time.monotonic()
            client.enqueue(apps.noop.options(key=f"k{begun}"))
            costs.append(time.monotonic() - begun)
        slow = [cost for cost in costs if cost > 0.3]
        assert len(slow) == 2
        assert max(slow) < node.TIMEOUT + 0.2
        assert len(costs) > 100
        assert sorted(costs)[len(costs) // 2] < 0.06
        valkey.thaw()
        time.sleep(breaker.OPEN)
        took(client, 1)
        with valkey.client() as direct:
            before = int(direct.info("commandstats")["cmdstat_set"]["calls"])
            took(client, 5)
            assert int(direct.info("commandstats")["cmdstat_set"]["calls"]) == before + 5


async def test_a_hung_redis_costs_no_more_in_async_code(database: Settings, valkey: Valkey, quick: None) -> None:
    async with AsyncClient(with_redis(database, valkey)) as client:
        await client.enqueue(apps.noop.options(key="warm"))
        valkey.freeze()
        begun = time.monotonic()
        await asyncio.gather(*(client.enqueue(apps.noop.options(key=f"a{n}")) for n in range(30)))
        assert time.monotonic() - begun < node.TIMEOUT + 0.5  # all of them together
        begun = time.monotonic()
        for n in range(20):
            await client.enqueue(apps.noop.options(key=f"b{n}"))
        assert time.monotonic() - begun < 20 * 0.06


def test_a_redis_that_is_down_costs_nearly_nothing(database: Settings, valkey: Valkey) -> None:
    valkey.stop()
    with Client(with_redis(database, valkey)) as client:
        client.enqueue(apps.noop)  # opens a connection to the database
        assert took(client, 20) < 20 * 0.06


def test_a_wrong_password_is_no_error_of_the_start(database: Settings, engine: Engine, valkey: Valkey) -> None:
    settings = database.model_copy(update={"redis_url": [valkey.url.replace("redis://:", "redis://:x")]})
    one_run(engine, threads(settings))
