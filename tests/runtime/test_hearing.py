"""Wake-ups that arrive in the middle of a statement: they come with its answer, and no socket tells of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.db.link import Link
from pgflow.engine import control
from pgflow.engine import workers as worker_verbs
from pgflow.runtime import executor as executing
from pgflow.runtime.child import Child
from pgflow.runtime.executor import Executor
from pgflow.runtime.fetcher import Fetcher
from pgflow.runtime.heart import Heart
from pgflow.runtime.leader import SAFETY_TICK, Leader
from pgflow.runtime.protocol import Line
from pgflow.sdk.async_client import AsyncClient
from tests.fixtures.database import Engine
from tests.fixtures.workers import Workers, eventually
from tests.runtime import apps


def tell_during(link: Link, name: str, tell: Callable[[], object]) -> None:
    """Let `tell` happen once while the call of that name is under way: after its snapshot and before its answer."""
    real = link.run

    async def run(call: Call[Any]) -> Any:
        answer = await real(call)
        if call.name == name:
            link.run = real  # type: ignore[method-assign]
            tell()
            await real(worker_verbs.notify("pgflow.nobody"))  # its answer brings along what has been told
        return answer

    link.run = run  # type: ignore[method-assign]


@asynccontextmanager
async def idle(settings: Settings) -> AsyncIterator[Fetcher]:
    """The fetcher of an executor that runs nothing, settled down to its safety poll."""
    executor = Executor(settings, apps.app.tasks, {}, 4)
    await executor.register()
    fetcher = executor.fetcher
    while await fetcher.tick() < settings.safety_poll:
        pass
    try:
        yield fetcher
    finally:
        await fetcher.stop()
        await executor.settler.link.close()


async def test_a_fetcher_looks_again_when_woken_in_the_middle_of_its_claim(database: Settings, engine: Engine) -> None:
    async with idle(database) as fetcher:
        tell_during(fetcher.link, "task/claim", engine.enqueue)
        assert await fetcher.tick() == 0.0


async def test_a_fetcher_looks_again_when_woken_while_it_says_it_is_idle(database: Settings, engine: Engine) -> None:
    async with idle(database) as fetcher:
        fetcher._stands_until = 0.0
        tell_during(fetcher.link, "worker/idle", engine.enqueue)
        assert await fetcher.tick() == 0.0


async def test_a_fetchers_test_of_its_hearing_does_not_wake_it(database: Settings, engine: Engine) -> None:
    async with idle(database) as fetcher:
        fetcher._test_sent = 1.0
        tell_during(fetcher.link, "task/claim", lambda: engine.run(worker_verbs.notify(fetcher.channel)))
        assert await fetcher.tick() == database.safety_poll
        assert fetcher._test_sent == 0.0, "it was heard"


async def test_an_idle_row_is_written_anew_when_it_would_not_stand_or_may_be_gone(
    database: Settings, engine: Engine
) -> None:
    database = database.model_copy(update={"safety_poll": 60.0})  # no row ends by itself in a test's time

    def rows() -> list[tuple[Any, ...]]:
        return engine.query("select ctid from pgflow.idle where until > clock_timestamp() order by queue")

    async with idle(database) as fetcher:
        before = rows()
        assert before
        await fetcher.tick()
        assert rows() == before
        fetcher._stands_until -= 2.5 * database.safety_poll  # as if that long had passed
        await fetcher.tick()
        assert rows() == before
        fetcher._stands_until -= database.safety_poll
        await fetcher.tick()
        anew = rows()
        assert not set(anew) & set(before)
        await fetcher.link.close()  # who consumed the row meanwhile, nobody would have heard
        await fetcher.tick()
        assert not set(rows()) & set(anew)
    assert rows() == [], "who leaves would be woken in vain"


async def test_a_leader_looks_again_when_woken_in_the_middle_of_its_pulse(database: Settings, engine: Engine) -> None:
    leader = Leader(database)
    for _ in range(2000):  # it settles down once no transaction of before is left, on the whole server
        if await leader.tick() == SAFETY_TICK:
            break
        await asyncio.sleep(0.005)
    tell_during(leader.link, "leader/pulse", lambda: engine.enqueue(delay=0.2))
    assert await leader.tick() == 0.0
    assert await leader.tick() < 0.2
    await leader.stop()


async def test_a_heart_beats_again_when_told_in_the_middle_of_a_beat(database: Settings, engine: Engine) -> None:
    child = Child({}, 1, lambda _: None)
    child.worker_id = 9
    engine.register(9)
    heart = Heart(database, lambda: [child])
    await heart.tick()
    assert await heart.tick() == database.heartbeat
    tell_during(heart.link, "worker/beat", lambda: engine.run(control.pause_queue("mail", actor=None)))
    assert await heart.tick() == 0.0
    assert await heart.tick() == database.heartbeat
    await heart.stop()


async def test_an_executor_pulses_often_while_it_runs_something_and_seldom_else(
    workers: Workers, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "PULSE", 0.005)
    monkeypatch.setattr(executing, "IDLE_PULSE", 3600.0)
    ours, theirs = socket.socketpair()
    line, supervisor = await Line.over(theirs), await Line.over(ours)
    async with workers() as executor:
        handle = await client.enqueue(apps.nap, 60)
        await eventually(lambda: executor.runner.running)
        pulsing = asyncio.create_task(executing._pulse(line, executor))

        async def still() -> Any:
            pulse = await asyncio.wait_for(supervisor.hear(), 60)
            assert pulse is not None
            return pulse["running"]

        for _ in range(6):
            assert await still()
        (running,) = executor.runner.running.values()
        await client.cancel(handle.id)
        assert executor.runner.cancel(handle.id, running.claimed.epoch)
        while await still():
            pass
        seldom = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while await supervisor.hear():
                    seldom += 1
        assert seldom < 10, "once or twice for what changed, and not a hundred times"
        pulsing.cancel()
    line.close()
    supervisor.close()
