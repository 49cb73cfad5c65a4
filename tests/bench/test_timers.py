from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.ground import Ground
from bench.lanes.timers import Lags, ask, lags, pend
from bench.server import database
from bench.worker import Worker


@pytest.fixture
def ground(server_url: str) -> Iterator[Ground]:
    """A fresh database to fill."""
    with database(server_url) as settings:
        ground = Ground(settings)
        yield ground
        ground.close()


def test_what_is_pending_is_due_in_hours(ground: Ground) -> None:
    pend(ground, 1_234)
    assert ground.value("select count(*) from pgflow.delayed where due_at > pgflow.now() + interval '59 min'") == 1_234


def test_timers_that_do_not_end_are_waited_for_in_vain(ground: Ground) -> None:
    ask(ground, [0.0, 30.0])
    with pytest.raises(TimeoutError, match="0 of 2 timers have ended"):
        lags(ground, 2, 0.1)


def test_both_lags_count_from_the_instant_that_was_asked_for(ground: Ground) -> None:
    with Worker(ground.settings, 10) as worker:
        worker.wait_registered(ground.connection)
        ask(ground, [0.3, 0.3, 0.5])
        found = lags(ground, 3, 60)
    assert all(0 <= fired <= begun < 60 for fired, begun in zip(sorted(found.fired), sorted(found.begun), strict=True))
    assert ground.value("select count(*) from pgflow.outcome") == 0, "the next ones are counted by themselves"


def test_what_is_early_is_counted() -> None:
    assert Lags([0.1, -0.001], [0.2, 0.3]).document()["early"] == 1
