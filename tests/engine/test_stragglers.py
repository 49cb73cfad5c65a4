"""Rows that surface below the floors, by a late commit or a rolled-back claim, are found by every claim again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from pgflow.config import Settings
from pgflow.db.link import Link
from pgflow.engine import workers
from pgflow.model import Claimed
from pgflow.runtime.stragglers import Stragglers
from tests.fixtures.database import Engine


@pytest.fixture
async def leader(database: Settings) -> AsyncIterator[Link]:
    link = Link(database, "leader")
    yield link
    await link.close()


def publish(engine: Engine, floor: int) -> None:
    engine.run(workers.beat([workers.Pulse(1, 0, {"default": [0, 0, floor, 0]})], 30))


def safe(engine: Engine) -> int:
    rows = engine.query("select safe from pgflow.lane where queue = 'default' and priority = 2")
    return rows[0][0] if rows else 0


async def look(stragglers: Stragglers, leader: Link) -> int:
    """A look, even if the last one was so slow that the duty would rest first, as on a busy machine."""
    stragglers._not_before = 0.0
    return await stragglers.look(leader.run)


def claim_all(engine: Engine) -> tuple[list[Claimed], int]:
    claimed = engine.claim(1000)
    return claimed, max(row.epoch for row in claimed)


async def test_a_late_commit_below_the_floor_is_claimed_after_the_leaders_look(
    engines: Callable[..., Engine], leader: Link
) -> None:
    worker, late = engines(), engines()
    worker.register(1)
    stragglers = Stragglers()
    with late.connection.transaction():
        (straggler,) = late.enqueue()
        worker.enqueue(20)
        claimed, floor = claim_all(worker)
        worker.settle(*claimed)
        publish(worker, floor)
        await look(stragglers, leader)
        assert safe(worker) <= claimed[0].epoch, "the safe position waits for the transaction that is still open"
        assert not stragglers.settled
    assert worker.claim(floor=floor) == [], "below the floor it would never be seen"
    assert await look(stragglers, leader) == 1
    assert [row.task_id for row in worker.claim(floor=floor)] == [straggler]


async def test_a_rolled_back_claim_is_re_seated(engines: Callable[..., Engine], leader: Link) -> None:
    worker, killed = engines(1), engines(2)
    worker.register(1)
    worker.enqueue(10)
    stragglers = Stragglers()
    with killed.connection.transaction(force_rollback=True):
        lost = [row.task_id for row in killed.claim(3)]
        claimed, floor = claim_all(worker)
        worker.settle(*claimed)
        publish(worker, floor)
        for _ in range(3):
            await look(stragglers, leader)
        assert not stragglers.settled, "a row that is being claimed may come back"
    assert worker.claim(floor=floor) == []
    assert await look(stragglers, leader) == 3
    assert sorted(row.task_id for row in worker.claim(floor=floor)) == lost


async def test_the_safe_position_follows_and_then_all_is_settled(engine: Engine, leader: Link) -> None:
    engine.register(1)
    engine.enqueue(50)
    claimed, floor = claim_all(engine)
    engine.settle(*claimed)
    publish(engine, floor)
    stragglers = Stragglers()
    for _ in range(500):  # transactions in other databases of the server hold it back too
        assert await look(stragglers, leader) == 0
        if stragglers.settled:
            break
        await asyncio.sleep(0.01)
    assert stragglers.settled
    assert safe(engine) == floor


async def test_rows_above_the_floors_keep_their_place(engine: Engine, leader: Link) -> None:
    engine.register(1)
    engine.enqueue(10)
    ((fifth,),) = engine.query("select seq from pgflow.ready order by seq offset 5 limit 1")
    engine.settle(*engine.claim(5))
    before = engine.query("select task_id, seq from pgflow.ready order by seq")
    publish(engine, fifth)
    await Stragglers().look(leader.run)
    assert engine.query("select task_id, seq from pgflow.ready order by seq") == before


async def test_no_task_is_stranded_among_hostile_writers(  # noqa: C901, PLR0912 (one loop, one choice)
    engines: Callable[..., Engine], leader: Link
) -> None:
    """Writers that commit late or roll back, a worker that claims with its floor and sometimes rolls back."""
    import random

    rng = random.Random(11)
    writers = [engines() for _ in range(5)]
    worker = engines(1)
    worker.register(1)
    stragglers = Stragglers()
    floor, done = 0, set()
    enqueued: set[int] = set()
    open_batches: dict[int, list[int]] = {}
    for writer in writers:
        writer.connection.autocommit = False
    for _ in range(300):
        number = rng.randrange(5)
        match rng.randrange(6):
            case 0 | 1:
                open_batches.setdefault(number, []).extend(writers[number].enqueue(rng.randint(1, 4)))
            case 2:
                if rng.random() < 0.8:
                    writers[number].connection.commit()
                    enqueued.update(open_batches.pop(number, []))
                else:
                    writers[number].connection.rollback()
                    open_batches.pop(number, None)
            case 3 | 4:
                if rng.random() < 0.2:
                    with worker.connection.transaction(force_rollback=True):
                        worker.claim(5, floor=floor)
                else:
                    claimed = worker.claim(5, floor=floor)
                    floor = max([floor, *(row.epoch for row in claimed)])
                    done |= {row.task_id for row in claimed}
                    if claimed:
                        worker.settle(*claimed)
            case 5:
                publish(worker, floor)
                await look(stragglers, leader)
    for number, writer in enumerate(writers):
        writer.connection.commit()
        enqueued.update(open_batches.pop(number, []))
        writer.connection.autocommit = True
    for _ in range(4):
        publish(worker, floor)
        await look(stragglers, leader)
        while claimed := worker.claim(100, floor=floor):
            floor = max(floor, *(row.epoch for row in claimed))
            done |= {row.task_id for row in claimed}
            worker.settle(*claimed)
    assert done == enqueued
    assert stragglers.reseated > 0, "a test without a straggler proves nothing"
