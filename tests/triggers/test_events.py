"""What application events start: each trigger's run once, in the transaction of whoever emits, through any failure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.db.call import Call
from pgflow.engine import emissions, upkeep
from pgflow.errors import ArgumentError, IdempotencyConflict, PayloadError, TaskFailed
from pgflow.model import State
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from pgflow.sdk.event_verbs import check_pattern, patterns_of
from pgflow.tasks import OwnTasks
from tests.fixtures.database import Engine
from tests.fixtures.workers import eventually
from tests.workflows.conftest import working

app = App()


@app.task(name="bill")
async def bill(order: str, amount: int) -> str:
    return f"{order}: {amount}"


@app.task(name="whole", queue="elsewhere")
async def whole(event: dict[str, Any]) -> dict[str, Any]:
    return event


@dataclass
class Stage:
    """A worker, a client and a look into the database."""

    client: AsyncClient
    engine: Engine

    async def emit(self, name: str, payload: Any = None, **rest: Any) -> Any:
        """Emit, and wait until it is told."""
        return await self.client.result(await self.client.emit(name, payload, **rest), timeout=60)


@pytest.fixture
async def stage(database: Settings, engine: Engine) -> AsyncIterator[Stage]:
    async with working(database, app.tasks), AsyncClient(database, app.tasks) as client:
        yield Stage(client, engine)


def paid(amount: int) -> dict[str, Any]:
    return {"order": "42", "amount": amount}


async def test_an_event_starts_what_has_a_trigger_for_it(stage: Stage) -> None:
    input = {"order": "${event.key}", "amount": "${event.payload.amount}"}
    await stage.client.triggers.create(
        "bill", bill, event="order/paid", input=input, filter="event.payload.amount > 10"
    )
    assert (await stage.emit("order/paid", paid(5), key="42"))["started"] == []
    assert (await stage.emit("order/sent", paid(50), key="42"))["started"] == []
    (run,) = (await stage.emit("order/paid", paid(50), key="42"))["started"]
    assert await stage.client.result(run, timeout=60) == "42: 50"
    shown = await stage.client.show(run)
    assert (shown["key"].startswith("event:"), shown["tags"]) == (True, {"trigger": "bill"})


async def test_a_pattern_takes_all_names_below_it(stage: Stage) -> None:
    for pattern in ("*", "order/*", "order/paid", "order/paid/*", "other/*"):
        await stage.client.triggers.create(f"on-{len(pattern)}-{pattern[:5].strip('/*')}", whole, event=pattern)
    handle = await stage.client.emit("order/paid", 1, key="k", id="mine")
    started = (await stage.client.result(handle, timeout=60))["started"]
    assert len(started) == 3
    event = await stage.client.result(started[0], timeout=60)
    assert {name: event[name] for name in ("name", "payload", "key", "id")} == {
        "name": "order/paid", "payload": 1, "key": "k", "id": "mine"
    }  # fmt: skip
    assert len((await stage.emit("order/paid/late"))["started"]) == 3
    assert len((await stage.emit("ordering"))["started"]) == 1


def test_which_patterns_a_name_fits() -> None:
    assert patterns_of("a") == ["a", "*"]
    assert patterns_of("a/b/c") == ["a/b/c", "a/b/*", "a/*", "*"]
    for pattern in ("*", "a", "a/*", "a.b/c-d/*"):
        assert check_pattern(pattern) == pattern
    for pattern in ("", "/*", "a*", "*/a", "a/*/b", "a b", "$a"):
        with pytest.raises(ArgumentError):
            check_pattern(pattern)


async def test_what_is_told_again_starts_nothing_again(stage: Stage, database: Settings) -> None:
    """As after a crash: the task has started the runs, and its own end was never committed."""
    await stage.client.triggers.create("whole", whole, event="tick")
    await stage.emit("tick", 1)
    own = OwnTasks(database)
    try:
        again = await own.tasks["pgflow.emit"].function(emission=1)
    finally:
        await own.close()
    runs = stage.engine.query("select id from pgflow.task where name = 'whole'")
    assert [again["started"]] == [[run for (run,) in runs]]
    assert len(runs) == 1


async def test_a_trigger_that_cannot_start_its_run_is_told_and_keeps_no_other_from_it(stage: Stage) -> None:
    create = stage.client.triggers.create
    await create("a-bad", bill, event="tick", input={"order": "${event.payload.order}", "amount": 1})
    await create("b-worse", whole, event="tick", filter="event.payload")
    await create("c-good", whole, event="tick")
    handle = await stage.client.emit("tick", 1)
    with pytest.raises(TaskFailed, match=r"a-bad.*b-worse"):
        await stage.client.result(handle, timeout=60)
    await eventually(
        lambda: stage.engine.query("select count(*) from pgflow.outcome where state = 'completed'") == [(1,)]
    )
    await stage.client.triggers.put("a-bad", whole, event="tick")
    await stage.client.triggers.remove("b-worse")
    await stage.client.redrive(handle.id)
    assert len((await stage.client.result(handle, timeout=60))["started"]) == 2
    assert stage.engine.query("select count(*) from pgflow.task where name = 'whole'") == [(2,)]


async def test_a_paused_trigger_starts_nothing(stage: Stage) -> None:
    await stage.client.triggers.create("whole", whole, event="tick")
    await stage.client.triggers.pause("whole")
    assert (await stage.emit("tick", 1))["started"] == []


# Emitting.


def test_an_event_exists_if_and_only_if_its_transaction_commits(
    sync_client: Client, engine: Engine, database: Settings
) -> None:
    with psycopg.connect(database.require_url()) as connection:
        sync_client.on(connection).emit("tick", 1)
        connection.rollback()
        handle = sync_client.on(connection).emit("tick", 2)
        assert engine.query("select count(*) from pgflow.emission") == [(0,)]
    assert engine.query("select payload, task_id from pgflow.emission") == [(2, handle.id)]
    assert engine.query("select name, queue, root_id from pgflow.task") == [("pgflow.emit", "pgflow", handle.id)]


async def test_the_same_id_emits_once_in_either_colour(
    sync_client: Client, client: AsyncClient, engine: Engine
) -> None:
    first = sync_client.emit("tick", {"b": 1, "a": [1.5]}, key=7, id="mine")
    again = await client.emit("tick", {"a": [1.5], "b": 1}, key="7", id="mine")
    assert (first.existed, again.existed, again.id) == (False, True, first.id)
    assert not sync_client.emit("tock", 2, id="mine").existed, "an id is one of its name"
    for payload, key in ((2, "7"), ({"a": [1.5], "b": 1}, "8"), ({"a": [1.5], "b": 1}, None)):
        with pytest.raises(IdempotencyConflict) as caught:
            await client.emit("tick", payload, key=key, id="mine")
        assert caught.value.task_id == first.id
    assert engine.query("select count(*) from pgflow.emission") == [(2,)]
    assert engine.query("select count(*) from pgflow.task") == [(2,)]


def test_what_cannot_be_emitted_is_told(sync_client: Client, engine: Engine) -> None:
    for name in ("", "order paid", "/order", "order/*", "$order", "x" * 201):
        with pytest.raises(ArgumentError, match="no name for an event"):
            sync_client.emit(name)
    for words in ({"key": ""}, {"id": ""}, {"key": "x" * 501}, {"id": "a\0b"}):
        with pytest.raises(ArgumentError, match="1 to 500 characters"):
            sync_client.emit("tick", **words)
    with pytest.raises(PayloadError):
        sync_client.emit("tick", float("nan"))
    with pytest.raises(PayloadError, match="limit"):
        sync_client.emit("tick", "x" * 2_000_000)
    assert engine.query("select count(*) from pgflow.emission") == [(0,)]


# Keeping house.


def test_events_are_kept_for_their_retention_and_until_they_were_told(engine: Engine) -> None:
    def emit(number: int) -> emissions.Emitted:
        emitted: emissions.Emitted = engine.run(emissions.emit("tick", str(number).encode()))
        return emitted

    emit(1)
    emit(2)
    engine.settle(*engine.claim(1, queue="pgflow"))
    engine.shift_clock(8 * 86400)
    emit(3)
    assert engine.run(upkeep.sweep_emissions(7 * 86400.0)) is False
    assert engine.query("select payload from pgflow.emission order by id") == [(2,), (3,)]
    engine.settle(*engine.claim(queue="pgflow"))
    assert engine.run(upkeep.sweep_emissions(7 * 86400.0, limit=1)) is True
    assert engine.query("select payload from pgflow.emission order by id") == [(3,)]


def test_nobody_counts_as_waiting_whose_run_has_ended(engine: Engine) -> None:
    first, second = engine.enqueue(2)
    one, two = engine.claim()
    expected = [emissions.Expected(task.task_id, task.epoch, "$event:tick", "tick") for task in (one, two)]
    assert None not in engine.run(emissions.expect(expected))
    engine.settle(one)
    assert engine.run(emissions.expect(expected))[0] is None, "its lease is gone"
    for sweep in upkeep.sweeps(86400.0):
        engine.run(sweep)
    assert engine.query("select task_id from pgflow.awaited") == [(second,)]
    assert first != second


def test_who_has_ended_meanwhile_is_not_told(engine: Engine) -> None:
    engine.enqueue()
    (task,) = engine.claim()
    engine.run(emissions.expect([emissions.Expected(task.task_id, task.epoch, "$event:tick", "tick")]))
    engine.settle(task)
    emitted = engine.run(emissions.emit("tick", b"1"))
    event = engine.run(emissions.emission(emitted.id))
    waits = engine.run(emissions.waiting("tick", None, (0, ""), 10))
    assert engine.run(emissions.deliver(event, waits)) == 0
    assert engine.query("select count(*) from pgflow.awaited") == [(0,)]
    assert engine.query("select count(*) from pgflow.inbox") == [(0,)]


def test_waits_are_found_page_by_page_by_key_and_without(engine: Engine) -> None:
    engine.enqueue(9)
    tasks = engine.claim()
    keys = [None, "a", "b"] * 3
    expected = [
        emissions.Expected(task.task_id, task.epoch, "$event:tick", "tick", key)
        for task, key in zip(tasks, keys, strict=True)
    ]
    engine.run(emissions.expect(expected))
    for key, count in ((None, 3), ("a", 6), ("c", 3)):
        found: list[int] = []
        after = (0, "")
        while page := engine.run(emissions.waiting("tick", key, after, 2)):
            found += [wait.task_id for wait in page]
            after = (page[-1].task_id, page[-1].step)
        assert len(found) == len(set(found)) == count
    assert engine.run(emissions.waiting("tock", "a", (0, ""), 2)) == []


def test_events_are_listed_newest_first(engine: Engine) -> None:
    for number in range(4):
        engine.run(
            emissions.emit("tick" if number % 2 else "tock", str(number).encode(), key=f"k{number}", actor="ann")
        )
    listed = engine.run(emissions.emissions())
    assert [row["payload"] for row in listed] == [3, 2, 1, 0]
    assert (listed[0]["state"], listed[0]["actor"], listed[0]["key"]) == ("queued", "ann", "k3")
    assert [row["payload"] for row in engine.run(emissions.emissions(name="tick", before=4))] == [1]
    assert [row["payload"] for row in engine.run(emissions.emissions(key="k2"))] == [2]


def test_many_calls_are_one(engine: Engine) -> None:
    """What looks for many is answered for each, whatever it finds."""
    for number in range(6):
        engine.run(emissions.emit("tick", str(number).encode(), key=f"k{number % 2}"))
    long_ago = engine.query("select pgflow.now() - interval '1 day'")[0][0]
    sought = [
        emissions.Sought("tick", "k0", (long_ago, 0), None, (1,), 2),
        emissions.Sought("tock", None, (long_ago, 0)),
        emissions.Sought("tick", None, (long_ago, 0), long_ago, (), 5),
        emissions.Sought("tick", None, (long_ago, 0), None, (1, 2, 4), 9),
    ]
    found = engine.run(emissions.look(sought))
    assert [[event.payload for event in page] for page in found] == [[2, 4], [], [], [2, 4, 5]]
    assert isinstance(emissions.forget([]), Call)


async def test_telling_many_that_is_cut_off_goes_on_with_those_who_are_left(
    database: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgflow.tasks.emit.PAGE", 100)
    engine.enqueue(950)
    tasks = engine.claim(1000)
    bounds = [b"null", b'{"least": 5}', b'{"least": 50}']
    expected = [
        emissions.Expected(
            task.task_id,
            task.epoch,
            "$event:tick",
            "tick",
            None,
            "event.payload >= least" if number % 3 else None,
            bounds[number % 3],
        )
        for number, task in enumerate(tasks)
    ]
    engine.run(emissions.expect(expected))
    engine.settle(*tasks, state=State.WAITING, needed=1)
    emitted = engine.run(emissions.emit("tick", b"10"))
    deliver, pages = emissions.deliver, []

    def cut_off(event: emissions.Emission, waits: list[emissions.Awaited]) -> Call[int]:
        pages.append(len(waits))
        if len(pages) == 3:
            raise ConnectionError("cut off")
        return deliver(event, waits)

    own = OwnTasks(database)
    try:
        with monkeypatch.context() as patched:
            patched.setattr("pgflow.engine.emissions.deliver", cut_off)
            with pytest.raises(ConnectionError):
                await own.tasks["pgflow.emit"].function(emission=emitted.id)
        told = sum(pages[:2])
        assert engine.query("select count(*) from pgflow.ready where queue = 'default'") == [(told,)]
        again = await own.tasks["pgflow.emit"].function(emission=emitted.id)
    finally:
        await own.close()
    fitting = {task.task_id for number, task in enumerate(tasks) if number % 3 < 2}
    assert told + again["woken"] == len(fitting)
    signals = engine.query("select task_id from pgflow.event where type = 'signal.received'")
    assert sorted(task for (task,) in signals) == sorted(fitting)
    assert engine.query("select count(*) from pgflow.awaited") == [(950 - len(fitting),)]
    assert engine.query("select count(*) from pgflow.ready where queue = 'default'") == [(len(fitting),)]
