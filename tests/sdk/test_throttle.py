"""Throttled starts: the first in a while counts, whatever the others say."""

from __future__ import annotations

import pytest

from pgflow.engine import timers
from pgflow.errors import ArgumentError, IdempotencyConflict, RegistrationError
from pgflow.model import State
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.client import Client
from tests.fixtures.database import Engine
from tests.fixtures.valkey import Valkey, with_redis
from tests.runtime import apps

MINUTELY = apps.add.options(throttle="1m", key="report")


def test_the_first_starts_at_once_and_is_the_answer_of_those_that_follow(sync_client: Client, engine: Engine) -> None:
    first = sync_client.enqueue(MINUTELY, 1, 2)
    assert engine.state(first.id) == "queued"
    for numbers in ((1, 2), (3, 4), (5, 6)):
        again = sync_client.enqueue(MINUTELY, *numbers)
        assert (again.id, again.existed) == (first.id, True)
    assert engine.query("select input->>'a' from pgflow.task") == [("1",)]


def test_the_window_outlives_the_outcome_and_ends(sync_client: Client, engine: Engine) -> None:
    first = sync_client.enqueue(MINUTELY, 1, 2)
    engine.settle(*engine.claim(), state=State.COMPLETED)
    assert sync_client.enqueue(MINUTELY, 3, 4).id == first.id
    engine.connection.execute("update pgflow.idempotency set expires_at = expires_at - interval '61 s'")
    second = sync_client.enqueue(MINUTELY, 3, 4)
    assert (second.id != first.id, second.existed) == (True, False)
    assert sync_client.enqueue(MINUTELY, 1, 2).id == second.id


def test_a_batch_holds_one_start(sync_client: Client) -> None:
    handles = sync_client.enqueue_many(MINUTELY.request(n, n) for n in range(5))
    assert len({handle.id for handle in handles}) == 1
    assert [handle.existed for handle in handles] == [False, True, True, True, True]


def test_without_throttle_the_same_key_says_nothing_of_other_arguments(sync_client: Client) -> None:
    """A throttled start has not told its arguments, so none contradict them."""
    first = sync_client.enqueue(MINUTELY, 1, 2)
    assert sync_client.enqueue(apps.add.options(key="report"), 3, 4).id == first.id
    plain = sync_client.enqueue(apps.add.options(key="other"), 1, 2)
    assert sync_client.enqueue(apps.add.options(throttle="1m", key="other"), 3, 4).id == plain.id
    with pytest.raises(IdempotencyConflict):
        sync_client.enqueue(apps.add.options(key="other"), 3, 4)


def test_a_delay_begins_with_the_first(sync_client: Client, engine: Engine) -> None:
    first = sync_client.enqueue(MINUTELY.options(delay="30s"), 1, 2)
    assert sync_client.enqueue(MINUTELY.options(delay="30s"), 3, 4).id == first.id
    assert engine.state(first.id) == "scheduled"
    assert engine.run(timers.fire(10)) == 0


async def test_it_is_the_same_in_async_code_and_with_redis(client: AsyncClient, valkey: Valkey) -> None:
    async with AsyncClient(with_redis(client._settings, valkey)) as guarded:
        first = await guarded.enqueue(MINUTELY, 1, 2)
        assert (await client.enqueue(MINUTELY, 3, 4)).id == first.id


def test_it_needs_a_key_and_excludes_what_it_contradicts() -> None:
    with pytest.raises(ArgumentError, match="throttle needs a key"):
        apps.add.options(throttle="1m").request(1, 2)
    for others in ({"debounce": "1s"}, {"hold": "1s"}):
        with pytest.raises(RegistrationError, match="throttle excludes debounce and hold"):
            apps.add.options(throttle="1m", key="k", **others)  # type: ignore[arg-type]
