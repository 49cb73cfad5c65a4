"""Lists of runs: page by page they are what a plain look at everything gives."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest

from pgflow.engine import run_list
from pgflow.engine.run_list import Bounds, Listing, Position, Wanted
from pgflow.model import FINAL_STATES, State
from tests.fixtures.database import Engine

EVERYWHERE = Bounds(0, run_list.MAX_ID)
STATES = [State.COMPLETED, State.FAILED, State.CANCELLED, State.QUEUED, State.SCHEDULED, None]


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """Three hundred runs of three workflows, in many states, some with children."""
    chance = random.Random(7)
    for number in range(60):
        for name in ("orders.ship", "orders.bill", "mail.send"):
            tags = b'{"customer":"%d"}' % chance.randrange(4) if chance.random() < 0.5 else None
            engine.enqueue(
                name=name, queue=name.partition(".")[0], tags=tags, key=f"k{number % 7}" if number % 3 == 0 else None,
                hold=0.001, delay=1000.0 if chance.random() < 0.2 else None,
            )  # fmt: skip
    for queue in ("orders", "mail"):
        for claimed in engine.claim(100, queue=queue):
            if chance.random() < 0.2:
                engine.settle(claimed, state=State.FAILED, error=b'{"type":"E","message":"m"}')
            else:
                engine.settle(claimed)
    ids = [id for (id,) in engine.query("select task_id from pgflow.delayed order by 1 limit 9")]
    from pgflow.engine import control

    engine.run(control.cancel(ids))
    # Children, which are nobody's run: newer than all, so that the newest list has to get past them.
    engine.query(
        "insert into pgflow.task (id, root_id, parent_id, name, queue, priority, input, created_at, step) "
        "select nextval('pgflow.task_id_seq'), r.id, r.id, 'orders.ship', 'orders', 2, '{}', pgflow.now(), 's' || n "
        "from (select max(root_id) as id from pgflow.task) r, generate_series(1, 3000) n returning id"
    )
    engine.query(
        "insert into pgflow.outcome (root_id, task_id, parent_id, state, attempt, finished_at) select root_id, id, "
        "parent_id, 'completed', 1, pgflow.now() from pgflow.task where parent_id is not null returning task_id"
    )
    return engine


def walk(engine: Engine, wanted: Wanted, limit: int, *, by_end: bool = False) -> list[dict[str, Any]]:
    """All pages, one after the other."""
    position: Position | None = Position()
    within = engine.run(run_list.bounds(wanted))
    found: list[dict[str, Any]] = []
    for _ in range(1000):
        assert position is not None
        page: Listing = engine.run(
            run_list.last_finished(wanted, position, limit)
            if by_end
            else run_list.newest(wanted, position, within, limit)
        )
        assert len(page.runs) <= limit
        found += page.runs
        position = page.next
        if position is None:
            return found
    raise AssertionError("it never ends")


def plain(engine: Engine, wanted: Wanted, *, by_end: bool = False) -> list[int]:
    """The ids by looking at everything."""
    rows = engine.query("select id, name, queue, state::text, key, tags, created_at, finished_at from pgflow.run")
    fitting = []
    for id, name, queue, state, key, tags, created, finished in rows:
        at = finished if by_end else created
        fits = (
            wanted.workflow in {None, name}
            and wanted.state in {None, state}
            and wanted.queue in {None, queue}
            and wanted.key in {None, key}
            and (not wanted.tags or dict(wanted.tags).items() <= (tags or {}).items())
            and (not by_end or finished is not None)
            and (wanted.since is None or at >= wanted.since)
            and (wanted.until is None or at < wanted.until)
            and (wanted.names is None or name.startswith("orders."))
        )
        if fits:
            fitting.append((at, id) if by_end else (id, id))
    return [id for _, id in sorted(fitting, reverse=True)]


@pytest.mark.parametrize("window", [4, 50, 4000])
@pytest.mark.parametrize("by_end", [False, True], ids=["newest", "finished"])
def test_the_pages_of_every_combination_of_filters_are_what_there_is(
    filled: Engine, monkeypatch: pytest.MonkeyPatch, window: int, by_end: bool
) -> None:
    monkeypatch.setattr(run_list, "WINDOW", window)
    monkeypatch.setattr(run_list, "STEPS", window)
    times = [at for (at,) in filled.query("select created_at from pgflow.task where parent_id is null order by id")]
    spans = [(None, None), (times[60], times[150])]
    names = [None, ["orders.%"]]
    chance = random.Random(window)
    combinations = list(
        itertools.product([None, "orders.ship"], STATES, [None, "k3"], [None, {"customer": "2"}], spans, names)
    )
    for workflow, state, key, tags, (since, until), likes in chance.sample(combinations, 60):
        wanted = Wanted(workflow, state, None, key, tags, since, until, likes, [] if likes else None)
        if by_end and state is not None and state not in FINAL_STATES:
            continue
        found = [one["id"] for one in walk(filled, wanted, 7, by_end=by_end)]
        assert found == plain(filled, wanted, by_end=by_end), wanted


def test_a_list_tells_where_a_run_is(filled: Engine) -> None:
    (one, *_) = walk(filled, Wanted(state=State.FAILED), 5)
    assert (one["state"], one["priority"]) == ("failed", "normal")
    assert one["finished_at"] >= one["created_at"]


def test_the_bounds_of_a_span_of_time_hold_what_was_asked_for_in_it(engine: Engine) -> None:
    engine.query(
        "insert into pgflow.task (id, root_id, name, queue, priority, input, created_at) "
        "select n * 100, n * 100, 'noop', 'default', 2, '{}', pgflow.now() - (100000 - n) * interval '1 minute' "
        "from generate_series(1, 90000) n returning 1"
    )
    engine.query("select setval('pgflow.task_id_seq', 9000000)")
    ((now,),) = engine.query("select pgflow.now()")
    since, until = now - timedelta(days=30), now - timedelta(days=29)
    lowest, highest = engine.run(run_list.bounds(Wanted(since=since, until=until)))
    ((least, most),) = engine.query(
        "select min(id), max(id) from pgflow.task where created_at >= %s and created_at < %s", since, until
    )
    assert lowest <= least < most < highest
    assert highest - lowest < (most - least) + 2 * 500 + 5000  # five minutes to either side, and what the search leaves
    engine.query("delete from pgflow.task returning 1")
