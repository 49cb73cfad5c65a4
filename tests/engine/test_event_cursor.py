"""Following the history: exactly the committed events, in an order that never goes back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.config import Settings
from pgflow.db import connect, migrations
from pgflow.db.call import Session
from pgflow.engine.events import EVERYTHING, Cursor, Event, Filter, Page, after, filter_of, identity, latest, summarize
from pgflow.errors import ArgumentError
from tests.engine.crowd import Crowd, write
from tests.engine.test_plans import explained, explaining, nodes
from tests.fixtures.database import Engine

__all__ = ["explaining"]  # a fixture


@pytest.fixture
def root(engine: Engine) -> int:
    """A run to write events of."""
    return engine.enqueue()[0]


def follow(engine: Engine, cursor: Cursor = Cursor(), limit: int = 1000, asked: Filter = EVERYTHING) -> list[Event]:  # noqa: B008
    """All pages up to what is committed by now; another test's transaction on the server may hold that back."""
    ((mark,),) = engine.query("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    events: list[Event] = []
    deadline = time.monotonic() + 60
    while True:
        page: Page = engine.run(after(cursor, limit, asked))
        events += page.events
        cursor = page.cursor
        if page.final >= mark and not page.full:
            return events
        assert time.monotonic() < deadline


def test_a_late_commit_is_not_skipped(engines: Callable[..., Engine], engine: Engine, root: int) -> None:
    early, late = engines(), engines()
    with early.connection.transaction():
        (first,) = write(early.connection, root)
        (second,) = write(late.connection, root)
        page = engine.run(after(Cursor()))
        assert page.events == []  # the second's place is not known yet
        assert engine.run(after(page.cursor)).events == []
    assert [event.id for event in follow(engine, page.cursor)] == [first, second]


def test_what_is_rolled_back_is_never_seen(engines: Callable[..., Engine], engine: Engine, root: int) -> None:
    other = engines()
    with other.connection.transaction(force_rollback=True):
        write(other.connection, root)
    (kept,) = write(other.connection, root)
    assert [event.id for event in follow(engine)] == [kept]


def test_an_event_tells_all_about_itself(engine: Engine) -> None:
    (root,) = engine.enqueue(name="mail", delay=60.0)
    (event,) = follow(engine)
    assert (event.type, event.root_id, event.task_id, event.key) == ("timer.created", root, root, "$scheduled")
    assert (event.name, event.workflow, event.step) == ("mail", "mail", None)
    assert set(event.data) == {"due_at"}
    ((xid,),) = engine.query("select xid::text::bigint from pgflow.task where id = %s", root)
    assert event.cursor == Cursor(xid, event.id)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_of_any_size_make_the_whole(engine: Engine, root: int, limit: int) -> None:
    written = [id for count in (1, 5, 1, 1, 12) for id in write(engine.connection, root, count)]
    assert [event.id for event in follow(engine, limit=limit)] == written
    middle = follow(engine)[8]
    assert [event.id for event in follow(engine, middle.cursor, limit)] == written[9:]


def test_filters_take_what_fits_and_go_on_past_the_rest(engine: Engine) -> None:
    mail, post = engine.enqueue(name="mail")[0], engine.enqueue(name="post")[0]
    engine.settle(*engine.claim())
    every = [(event.root_id, event.type) for event in follow(engine)]
    assert sorted(every) == sorted((run, kind) for run in (mail, post) for kind in ("task.started", "task.completed"))
    for limit in (1, 2, 1000):

        def found(limit: int = limit, **asked: Any) -> list[tuple[int, str]]:
            return [(e.root_id, e.type) for e in follow(engine, limit=limit, asked=filter_of(**asked))]

        assert found(run=post) == [pair for pair in every if pair[0] == post]
        assert found(workflows=["mail"]) == [pair for pair in every if pair[0] == mail]
        assert found(types=["task.completed"]) == [pair for pair in every if pair[1] == "task.completed"]
        assert found(types=["task.*"], workflows=["mail", "post"]) == every
        assert found(types=["workflow.*"]) == []
        assert found(run=post, types=["task.started"], workflows=["post"]) == [(post, "task.started")]
        assert found(run=post, workflows=["mail"]) == []


def test_python_and_the_database_filter_alike(engine: Engine) -> None:
    engine.enqueue(2, name="mail")
    engine.enqueue(name="post", delay=60.0)
    engine.settle(*engine.claim())
    every = follow(engine)
    for asked in (
        filter_of(run=every[0].root_id),
        filter_of(types=["timer.*"]),
        filter_of(workflows=["mail"], types=["task.started"]),
    ):
        assert follow(engine, asked=asked) == [event for event in every if asked.fits(event)]


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"workflow\.finished"):
        filter_of(types=["workflow.ended"])


@given(xid=st.integers(0, 2**63 - 1), id=st.integers(0, 2**63 - 1))
def test_a_cursor_is_written_and_read(xid: int, id: int) -> None:
    assert Cursor.parse(str(Cursor(xid, id))) == Cursor(xid, id)


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "-1", "1-2-3", "a-b", " 1-2", "1-2\n", "9999999999999999999-1", "\u0661-1"]
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="no cursor"):
        Cursor.parse(text)


def test_a_cursor_of_another_database_is_refused(engine: Engine) -> None:
    with pytest.raises(ArgumentError, match="ahead of this database"):
        engine.run(after(Cursor(10**15, 1)))


def test_the_latest_is_behind_all_that_is_final(engine: Engine, root: int) -> None:
    write(engine.connection, root)
    follow(engine)
    now = engine.run(latest())
    (later,) = write(engine.connection, root)
    assert [event.id for event in follow(engine, now)] == [later]


def test_deserts_and_crowds_of_transactions_are_crossed(engine: Engine, root: int) -> None:
    """Written as if other databases had used millions of transaction ids in between."""
    ((now,),) = engine.query("select txid_current()")
    places = [now - 1, now - 2, now - 2, now - 40, now - 700, now - 701]
    engine.query("select setval('pgflow.event_id_seq', 100000)")
    for xid in places:
        engine.connection.execute(
            "insert into pgflow.event (root_id, task_id, type, at, xid) values (%s, %s, 'task.started', now(), %s)",
            (root, root, xid),
        )
    for limit in (1, 4, 1000):
        assert [event.xid for event in follow(engine, limit=limit)] == sorted(places)


def test_a_page_is_full_of_a_crowded_stretch(engine: Engine, root: int) -> None:
    engine.query("select setval('pgflow.event_id_seq', 1000)")
    engine.connection.execute(
        """insert into pgflow.event (root_id, task_id, type, at, xid)
           select %(root)s, %(root)s, 'task.started', now(), txid_current() - 1 - n / 100
             from generate_series(0, 29999) n""",
        {"root": root},
    )
    follow(engine)
    begun = time.monotonic()
    page = engine.run(after(Cursor(), 100))
    assert time.monotonic() - begun < 30
    assert (len(page.events), page.full) == (100, True)
    assert [event.xid for event in page.events] == sorted(event.xid for event in page.events)
    assert len(follow(engine, limit=2000)) == 30_000


@pytest.fixture
def unsummarized(engine: Engine) -> None:
    """Nobody else summarizes what is written; on a server that is not the tests' own, autovacuum would at times."""
    engine.connection.execute("alter table pgflow.event_0 set (autovacuum_enabled = off)")


@pytest.mark.usefixtures("unsummarized")
def test_summaries_change_nothing_and_are_made_by_a_worker(engine: Engine, root: int) -> None:
    written = [id for _ in range(40) for id in write(engine.connection, root, 500)]
    engine.connection.execute("set role pgflow_worker")
    assert engine.run(summarize()) >= 1
    assert engine.run(summarize()) == 0
    engine.connection.execute("reset role")
    assert [event.id for event in follow(engine)] == written
    written += write(engine.connection, root, 3)
    assert [event.id for event in follow(engine)] == written


@pytest.mark.usefixtures("unsummarized")
def test_the_end_of_a_long_history_is_read_without_reading_it_all(engine: Engine, root: int) -> None:
    """And so is any stretch in its midst, by those who send the statement as by those who plan it anew each time."""
    engine.query("select setval('pgflow.event_id_seq', 1000)")
    engine.connection.execute(
        """insert into pgflow.event (root_id, task_id, type, at, xid)
           select %(root)s, %(root)s, 'task.started', now(), 1 + n / 500 from generate_series(0, 199999) n""",
        {"root": root},
    )
    assert blocks(engine, Cursor(395, 0)) > 1500  # nothing is summarized yet
    engine.run(summarize())
    for mode in ("force_generic_plan", "force_custom_plan"):
        engine.connection.execute(f"set plan_cache_mode = {mode}")
        for start in (Cursor(395, 0), Cursor(150, 0), Cursor(401, 0)):
            assert blocks(engine, start) < 800


def blocks(engine: Engine, cursor: Cursor) -> int:
    """How many it takes to read a page."""
    ((plan,),) = engine.query(
        "explain (analyze, buffers, format json) select * from pgflow.events_after(%s, %s, 500, 1000)", *cursor
    )
    return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])


@pytest.mark.parametrize("asked", [EVERYTHING, filter_of(workflows=["noop"], types=["task.*"]), filter_of(run=1)])
def test_tasks_are_found_by_key(explaining: Engine, engine: Engine, asked: Filter) -> None:
    engine.enqueue(500)
    engine.settle(*engine.claim(500))
    seen = [node for plan in explained(explaining, after(Cursor(), 100, asked)) for node in nodes(plan)]
    scans = {
        (node["Node Type"], node["Relation Name"].rstrip("_0123456789")) for node in seen if "Relation Name" in node
    }
    wanted = ("Index Scan", "event") if asked.run else ("Bitmap Heap Scan", "event")
    assert scans == {wanted, ("Index Scan", "task")}


def test_a_reader_role_may_follow(engine: Engine, root: int) -> None:
    written = write(engine.connection, root, 2)
    engine.connection.execute("set role pgflow_reader")
    assert [event.id for event in follow(engine)] == written


def test_a_summary_does_not_wait_for_vacuum(engines: Callable[..., Engine], engine: Engine, root: int) -> None:
    write(engine.connection, root, 5)
    vacuum = engines()
    with vacuum.connection.transaction():
        vacuum.connection.execute("lock table pgflow.event_0 in share update exclusive mode")
        begun = time.monotonic()
        engine.run(summarize())
        assert time.monotonic() - begun < 20


def test_an_engine_is_known_by_the_same_name_to_all(engines: Callable[..., Engine], empty_database: Settings) -> None:
    assert engines().run(identity()) == engines().run(identity())
    migrations.migrate(empty_database)
    with connect.open_sync(empty_database, "test") as other:
        assert Session(other).run(identity()) != engines().run(identity())


def mark(engine: Engine) -> int:
    """The transaction after the last one that wrote an event."""
    ((greatest,),) = engine.query("select max(xid) from pgflow.event")
    return int(greatest) + 1


def chase(engine: Engine, crowd: Crowd) -> Iterator[Event]:
    """Read along while they write, and then to the end."""
    chance = random.Random(0)
    cursor, ending = Cursor(), False
    while True:
        ending = not crowd.writing
        page = engine.run(after(cursor, chance.choice([1, 3, 20, 1000])))
        yield from page.events
        if ending and not page.full and page.final >= mark(engine):
            return
        cursor = page.cursor


def test_a_reader_beside_twenty_writers_sees_exactly_what_was_committed(
    database: Settings, engine: Engine, root: int
) -> None:
    crowd = Crowd(database, root, 3.0, least=600)
    seen = list(chase(engine, crowd))
    places = [event.cursor for event in seen]
    assert places == sorted(places)
    assert len(set(places)) == len(places)
    assert {event.id for event in seen} == crowd.committed
    assert len(seen) > 500


def test_the_stress_finds_a_reader_that_goes_by_ids(database: Settings, engine: Engine, root: int) -> None:
    crowd = Crowd(database, root, 1.5, least=600)
    seen = {event.id for event in chase_by_id(engine, crowd)}
    assert seen < crowd.committed, "events were missed, as they must be"


def chase_by_id(engine: Engine, crowd: Crowd) -> Iterator[Event]:
    last, ending = 0, False
    while True:
        ending = not crowd.writing
        rows = engine.query(
            "select id, xid, root_id, task_id, type::text, at from pgflow.event where id > %s order by id", last
        )
        for row in rows:
            yield Event(*row, *[None] * 5, "", None, "")
            last = row[0]
        if ending and not rows:
            return
