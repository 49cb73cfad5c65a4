"""Lists of runs: page by page they are what a plain look at everything gives, and no page reads much."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pgflow.db.call import Call
from pgflow.db.statements import statement
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
    assert highest - lowest < (most - least) + 3 * 6000 + 4000  # an hour to either side, and what the search leaves
    engine.query("delete from pgflow.task returning 1")


def explained(engine: Engine, call: Call[Any]) -> tuple[set[str], float]:
    """The indexes that were used, and how many rows were read."""
    cursor = psycopg.ClientCursor(engine.connection)
    cursor.execute("explain (analyze, timing off, format json) " + statement(call.name), call.params)
    ((document,),) = cursor.fetchall()
    indexes: set[str] = set()
    read = 0.0

    def visit(node: dict[str, Any]) -> None:
        nonlocal read
        if node.get("Actual Loops") and "Relation Name" in node:
            assert node["Node Type"] != "Seq Scan" or not node["Relation Name"].startswith(("task_", "outcome_"))
            indexes.add(node.get("Index Name", ""))
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            read += (node["Actual Rows"] + removed) * node["Actual Loops"]
        for child in node.get("Plans", []):
            visit(child)

    visit(document[0]["Plan"])
    return indexes, read


@pytest.fixture
def much(engine: Engine) -> Engine:
    """Two hundred thousand finished runs: of one workflow nearly all, of another a handful of long ago."""
    engine.query(
        "insert into pgflow.task (id, root_id, name, queue, priority, input, created_at, tags, key) "
        "select n, n, case when n < 20 then 'rare' else 'busy' end, 'default', 2, '{}', "
        "pgflow.now() - (200000 - n) * interval '1 second', case when n %% 1000 = 0 then '{\"a\": \"1\"}'::jsonb end, "
        "case when n %% 50000 = 0 then 'k' end from generate_series(1, 200000) n returning 1"
    )
    engine.query(
        "insert into pgflow.outcome (root_id, task_id, state, attempt, error, finished_at) select id, id, "
        "case when id %% 10000 = 0 then 'failed' else 'completed' end::pgflow.state, 1, "
        "case when id %% 10000 = 0 then '{}'::jsonb end, created_at from pgflow.task returning 1"
    )
    engine.query("select setval('pgflow.task_id_seq', 200000)")
    engine.connection.execute("analyze")
    return engine


def test_no_list_reads_more_than_a_window(much: Engine) -> None:
    ((now,),) = much.query("select pgflow.now()")
    day = timedelta(days=1)
    lists: dict[str, Callable[[], Call[Any]]] = {
        "all": lambda: run_list.newest(Wanted(), Position(), EVERYWHERE, 50),
        "completed": lambda: run_list.newest(Wanted(state=State.COMPLETED), Position(), EVERYWHERE, 50),
        "failed": lambda: run_list.newest(Wanted(state=State.FAILED), Position(), EVERYWHERE, 50),
        "failed of a rare name": lambda: run_list.newest(Wanted("rare", State.FAILED), Position(), EVERYWHERE, 50),
        "queued": lambda: run_list.newest(Wanted(state=State.QUEUED), Position(), EVERYWHERE, 50),
        "rare name": lambda: run_list.newest(Wanted("rare"), Position(), EVERYWHERE, 50),
        "busy name with a rare tag": lambda: run_list.newest(
            Wanted("busy", tags={"a": "2"}), Position(), EVERYWHERE, 50
        ),
        "key": lambda: run_list.newest(Wanted(key="k"), Position(), EVERYWHERE, 50),
        "far back": lambda: run_list.newest(Wanted(), Position(30_000), EVERYWHERE, 50),
        "a day": lambda: run_list.newest(
            Wanted("busy", since=now - 2 * day, until=now - day), Position(), much.run(
                run_list.bounds(Wanted(since=now - 2 * day, until=now - day))), 50
        ),
        "a scope": lambda: run_list.newest(Wanted(names=["rare%"], queues=[]), Position(), EVERYWHERE, 50),
        "finished": lambda: run_list.last_finished(Wanted(), Position(), 50),
        "finished, failed": lambda: run_list.last_finished(Wanted(state=State.FAILED), Position(), 50),
        "finished, rare": lambda: run_list.last_finished(Wanted("rare"), Position(), 50),
        "finished before": lambda: run_list.last_finished(Wanted(until=now - day), Position(), 50),
    }  # fmt: skip
    most = {name: explained(much, make())[1] for name, make in lists.items()}
    assert {name: rows for name, rows in most.items() if rows > 4.5 * run_list.WINDOW} == {}
    # What is shown unless something is asked for costs no more than what is shown.
    assert most["all"] < 500
    named = explained(much, lists["rare name"]())[0]
    assert any(index.startswith("task_") and "name_id" in index for index in named), named
