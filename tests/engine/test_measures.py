"""What charts are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pgflow.engine import measures
from pgflow.engine.measures import Span
from tests.fixtures.database import Engine

WIDTH = 10_000_000
EVENTS = """
insert into pgflow.event (root_id, task_id, type, attempt, at)
select %s, %s, 'task.completed', 1, now() - interval '1 day' * %s + n * interval '1 s' + interval '10 min'
  from generate_series(1, %s) n
returning 1"""


def test_charts_count_the_events_of_every_partition_and_estimate_them_from_an_even_share(engine: Engine) -> None:
    engine.query("select setval('pgflow.task_id_seq', %s)", 2 * WIDTH + 5)
    engine.query("select pgflow.make_partitions(1)")
    for number, (days, events) in enumerate([(3, 20_000), (2, 30_000), (1, 40_000)]):
        root = number * WIDTH + 7
        engine.query(EVENTS, root, root, days, events)
    now = datetime.now(UTC)

    def counted(since: timedelta, pages: int) -> tuple[float, float]:
        found = engine.run(measures.series(Span(now - since, now, timedelta(hours=1)), pages=pages))
        return sum(one.completed or 0 for one in found), max(one.weight for one in found)

    assert counted(timedelta(days=4), 100_000) == (90_000, 1.0)
    assert counted(timedelta(days=2), 100_000) == (70_000, 1.0)
    completed, weight = counted(timedelta(days=4), 100)
    assert weight > 4, "a quarter of those pages at most was taken"
    assert completed == pytest.approx(90_000, rel=0.1)
    engine.query("delete from pgflow.event returning 1")
