"""The protocol, driven by hand and by hypothesis against model nodes; and both drivers against real ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgflow.config import Settings
from pgflow.errors import ConfigError
from pgflow.redis.guard import AsyncKeyGuard, KeyGuard, lock_of
from pgflow.redis.redlock import TTL, Ask, Lock, Pause, Steps, Vote, acquire, release
from tests.fixtures.valkey import Valkey, Valkeys


class Model:
    """A node in memory."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.up = True

    def ask(self, command: tuple[str | int, ...]) -> Vote:
        if not self.up:
            return Vote.LOST
        if command[0] == "SET":
            _, name, token, *rest = command
            assert rest[:2] == ["NX", "PX"]
            if name in self.held:
                return Vote.NO
            self.held[str(name)] = str(token)
            return Vote.YES
        assert command[0] == "EVAL"
        name, token = map(str, command[3:])
        if self.held.get(name) != token:
            return Vote.NO
        del self.held[name]
        return Vote.YES


def turns(steps: Steps[bool], nodes: list[Model]) -> Iterator[bool | None]:
    """One node after another; None while it goes on, then what it returned."""
    votes: list[Vote] = []
    try:
        step: Ask | Pause = next(steps)
        while True:
            votes = []
            for node in nodes if isinstance(step, Ask) else []:
                votes.append(node.ask(step.command))
                yield None  # others may come in between
            yield None
            step = steps.send(votes)
    except StopIteration as stop:
        yield stop.value


@settings(deadline=None)
@given(data=st.data(), size=st.integers(1, 5), contenders=st.integers(2, 3))
def test_no_two_hold_a_lock_whatever_the_order_and_whichever_nodes_are_down(
    data: st.DataObject, size: int, contenders: int
) -> None:
    nodes = [Model() for _ in range(size)]
    clock = iter(range(10**6))
    waiting = {
        n: turns(acquire(Lock("a", str(n)), ttl=10**7, patience=15, clock=lambda: next(clock)), nodes)
        for n in range(contenders)
    }
    holder: int | None = None
    while waiting:
        node = data.draw(st.sampled_from(nodes))
        node.up = data.draw(st.booleans())
        turn = data.draw(st.sampled_from(sorted(waiting)))
        got = next(waiting[turn])
        if got is None:
            continue
        del waiting[turn]
        if got:
            assert holder is None
            assert sum(node.held.get("a") == str(turn) for node in nodes) > size // 2
            holder = turn
            if data.draw(st.booleans()):
                list(turns(release(Lock("a", str(turn))), nodes))  # type: ignore[arg-type]
                holder = None


def test_who_gets_too_few_gives_back_what_it_got() -> None:
    nodes = [Model(), Model(), Model()]
    nodes[0].held["a"] = nodes[1].held["a"] = "other"
    steps = turns(acquire(Lock("a", "mine")), nodes)
    for _ in range(3):
        next(steps)
    assert nodes[2].held == {"a": "mine"}
    for _ in range(4):
        next(steps)
    assert nodes[2].held == {}


def test_without_a_quorum_nothing_is_held_and_nobody_waits() -> None:
    nodes = [Model(), Model(), Model()]
    nodes[0].up = nodes[1].up = False
    assert list(turns(acquire(Lock("a", "mine")), nodes))[-1] is False
    assert nodes[2].held == {}


def test_a_lock_that_took_longer_to_get_than_it_lasts_is_none() -> None:
    clock = iter([0.0, 0.0, 9.95, 20.0])
    nodes = [Model()]
    assert list(turns(acquire(Lock("a", "mine"), ttl=10.0, clock=lambda: next(clock)), nodes))[-1] is False
    assert nodes[0].held == {}


def test_patience_has_an_end() -> None:
    clock = iter(range(100))
    nodes = [Model()]
    nodes[0].held["a"] = "other"
    asked = list(turns(acquire(Lock("a", "mine"), patience=7, clock=lambda: float(next(clock))), nodes))
    assert asked[-1] is False
    assert 4 < len(asked) < 40


def guarded(*servers: Valkey) -> Settings:
    return Settings(redis_url=[server.url for server in servers], schema_name="shop")


def test_a_release_never_frees_the_lock_of_another(valkey: Valkey, patient: None) -> None:
    guard = KeyGuard(guarded(valkey))
    name = lock_of("shop", "mail", "k").name
    with valkey.client() as client:
        with guard.held("mail", "k"):
            client.set(name, "another's")  # ours expired, and somebody took it
        assert client.get(name) == "another's"
    guard.close()


async def test_a_release_never_frees_the_lock_of_another_in_async_code(valkey: Valkey, patient: None) -> None:
    guard = AsyncKeyGuard(guarded(valkey))
    name = lock_of("shop", "mail", "k").name
    with valkey.client() as client:
        async with guard.held("mail", "k"):
            client.set(name, "another's")
        assert client.get(name) == "another's"
    await guard.close()


def test_the_lock_carries_the_schema_and_goes_away_by_itself(valkey: Valkey, patient: None) -> None:
    guard = KeyGuard(guarded(valkey))
    with valkey.client() as client:
        with guard.held("mail", "ann@example.com"):
            (name,) = client.keys()
            assert name.startswith("shop:key:mail:")
            assert "ann" not in name
            assert 0 < client.pttl(name) <= TTL * 1000
        assert client.keys() == []
    guard.close()


def test_duplicates_wait_for_each_other(valkeys: Valkeys, patient: None) -> None:
    servers = valkeys(3)
    guards = [KeyGuard(guarded(*servers)) for _ in range(2)]
    inside: list[int] = []

    def enter(number: int) -> None:
        with guards[number % 2].held("mail", "k"):
            inside.append(number)
            assert len(inside) == 1
            time.sleep(0.001)
            inside.remove(number)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(enter, range(12)))
    for guard in guards:
        guard.close()


async def test_duplicates_wait_for_each_other_in_async_code(valkeys: Valkeys, patient: None) -> None:
    guard = AsyncKeyGuard(guarded(*valkeys(3)))
    inside: list[int] = []

    async def enter(number: int) -> None:
        async with guard.held("mail", "k"):
            inside.append(number)
            assert len(inside) == 1
            await asyncio.sleep(0.001)
            inside.remove(number)

    await asyncio.gather(*(enter(number) for number in range(12)))
    await guard.close()


async def test_who_is_cancelled_while_waiting_holds_nothing(valkey: Valkey, patient: None) -> None:
    guard = AsyncKeyGuard(guarded(valkey))

    async def enter() -> None:
        async with guard.held("mail", "k"):
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(enter()) for _ in range(5)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with valkey.client() as client:
        assert client.keys() == []
        async with guard.held("mail", "k"):
            assert len(client.keys()) == 1
        assert client.keys() == [], "it was ours"
    await guard.close()


def test_without_a_url_nothing_is_guarded_and_a_bad_one_is_named() -> None:
    with KeyGuard(Settings(redis_url=[])).held("mail", "k"):
        pass
    with pytest.raises(ConfigError, match="PGFLOW_REDIS_URL") as refused:
        KeyGuard(Settings(redis_url=["htp://user:secret@host"]))
    assert "secret" not in str(refused.value)
