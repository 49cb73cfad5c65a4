"""Which queues a worker serves when nobody says."""

from __future__ import annotations

import pytest

from pgflow import App
from pgflow.config import Settings
from pgflow.runtime.executor import Executor
from pgflow.tasks import QUEUES

app = App()


@app.task(name="heavy", queue="gpu")
def heavy() -> None: ...


@pytest.mark.parametrize(
    ("weights", "besides", "served"),
    [
        ({}, (), {"gpu"}),
        ({}, ("default", "slow"), {"gpu", "default", "slow"}),
        ({"mail": 3.0}, ("default",), {"mail"}),
    ],
)
async def test_those_of_its_tasks_and_those_besides_unless_there_are_weights(
    database: Settings, weights: dict[str, float], besides: tuple[str, ...], served: set[str]
) -> None:
    executor = Executor(database, app.tasks, weights, 1, besides=besides)
    assert set(executor.lanes.queues) == served | set(QUEUES)


async def test_a_worker_without_tasks_serves_the_queue_of_graphs(database: Settings) -> None:
    assert set(Executor(database, {}, {}, 1).lanes.queues) == {"default", *QUEUES}
