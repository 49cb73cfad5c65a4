"""Resting and being woken: no wake-up is lost, whenever it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from pgflow.config import Settings
from pgflow.sdk.live import tail
from pgflow.sdk.live.tail import Tail
from tests.engine.crowd import write
from tests.fixtures.database import Engine


@pytest.fixture
def root(engine: Engine) -> int:
    return engine.enqueue()[0]


def patient(settings: Settings) -> Settings:
    """Settings under which what is not heard of would not be seen in a test's time."""
    return settings.model_copy(update={"safety_poll": 600.0})


async def settle(following: Tail) -> None:
    """Look until there is nothing more and it rests for long."""
    async with asyncio.timeout(60):
        while (rest := (await following.look())[1]) < 1:
            await following.rest(rest)


async def next_event(following: Tail) -> list[int]:
    """Rest and look as a loop does until something comes."""
    rest = 5.0
    async with asyncio.timeout(60):
        while True:
            await following.rest(rest)
            found, rest = await following.look()
            if found:
                return [event.id for event in found]


async def test_it_is_woken(database: Settings, engine: Engine, root: int) -> None:
    following = Tail(patient(database))
    for _ in range(3):
        await settle(following)
        resting = asyncio.create_task(next_event(following))
        await asyncio.sleep(0.05)
        written = write(engine.connection, root)
        assert await resting == written
    await following.close()
    assert engine.query("select from pgflow.idle where until > clock_timestamp()") == []


async def test_what_is_written_at_any_moment_of_going_to_rest_is_seen(
    database: Settings, engine: Engine, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event comes right after each statement that is sent before the rest, once for each of them."""
    sent = 0
    at = -1
    written: list[int] = []
    following = Tail(patient(database))

    def around(send: Callable[..., Any]) -> Callable[..., Any]:
        async def sending(*arguments: Any) -> Any:
            nonlocal sent
            answer = await send(*arguments)
            if sent == at:
                written.extend(write(engine.connection, root))
                await asyncio.sleep(0.02)
                connection = await following._link.connection()
                await connection.execute("select 1")  # hears of it
            sent += 1
            return answer

        return sending

    monkeypatch.setattr(following._link, "run", around(following._link.run))
    monkeypatch.setattr(following._link, "run_together", around(following._link.run_together))
    await settle(following)
    for moment in range(12):
        sent, written, at = 0, [], moment
        write(engine.connection, root)  # begins another going to rest
        seen: list[int] = []
        async with asyncio.timeout(60):
            while not (written and written[0] in seen):
                found, rest = await following.look()
                seen += [event.id for event in found]
                if rest > 1 and sent <= at:
                    break  # it rests, and there was no such moment
                await following.rest(rest)
        if not written:
            assert moment > 3
            break
        at = -1
        await settle(following)
        resting = asyncio.create_task(next_event(following))
        await asyncio.sleep(0.02)
        write(engine.connection, root)
        await resting
    await following.close()


async def test_whoever_is_deaf_polls_faster_until_it_hears(
    database: Settings, engine: Engine, root: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "DEAF_POLL", 0.1)
    following = Tail(database.model_copy(update={"safety_poll": 1.0}))
    await settle(following)
    engine.connection.execute("delete from pgflow.idle")  # as if the notification had got lost
    written = write(engine.connection, root)
    assert await next_event(following) == written
    while (rest := (await following.look())[1]) not in {tail.DEAF_POLL, 1.0}:
        pass  # it looks on for as long as a transaction goes on anywhere
    assert rest == tail.DEAF_POLL
    write(engine.connection, root)
    await next_event(following)
    await settle(following)
    await following.close()


async def test_many_events_bring_few_looks_and_notifications(database: Settings, engine: Engine, root: int) -> None:
    following = Tail(database)
    await settle(following)
    looks = 0
    rest = 5.0
    begun = time.monotonic()
    seen = 0
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(lambda: [write(engine.connection, root) for _ in range(300)]))
        while seen < 300:
            await following.rest(rest)
            found, rest = await following.look()
            looks += 1
            seen += len(found)
    assert looks <= 3 * (time.monotonic() - begun) / tail.COALESCE + 3
    await following.close()


async def test_an_old_transaction_that_does_not_end_is_looked_after_ever_less_often(
    database: Settings, engine: Engine, engines: Callable[..., Engine], root: int
) -> None:
    other = engines().connection
    following = Tail(database)
    with other.transaction():
        write(other, root)
        rests: list[float] = []
        async with asyncio.timeout(60):
            while not rests or rests[-1] <= 2 * tail.COALESCE:
                found, rest = await following.look()
                assert found == []
                rests.append(rest)
                await following.rest(rest)
        waits = [rest for rest in rests if rest]
        assert waits == sorted(waits)
        assert waits[0] == tail.COALESCE < waits[-1] <= tail.LONGEST_LOOK
    assert len(await next_event(following)) == 1
    await following.close()
