"""Lists, charts and metrics are served by an index, or bounded, whatever the statistics say: as generic and as custom
plans, with tables analyzed when empty, when full, or never."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgflow.db.call import Call
from pgflow.engine import measures, run_list
from pgflow.engine.measures import Span
from pgflow.engine.run_list import Bounds, Listing, Position, Wanted
from pgflow.model import FINAL_STATES, State
from tests.engine.test_plans import explained, explaining, nodes
from tests.fixtures.database import Engine

__all__ = ["explaining"]

EVERYWHERE = Bounds(0, run_list.MAX_ID)
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
RARE = {"a": "nobody's"}
RUNS, WIDTH = 20_000, 10_000_000

# Four partitions, as the leader turns them: nearly all of one name, all with a key that comes again and again.
TASKS = f"""
insert into pgflow.task (id, root_id, name, queue, priority, input, created_at, tags, key)
select i, i, case when n < 20 then 'rare' else 'busy' end, 'default', 2, '{{}}', now() - (20000 - n) * interval '16 s',
       '{{"a": "1"}}', 'k'
  from (select n, n / 5000 * {WIDTH} + n % 5000 + 1 as i from generate_series(0, {RUNS - 1}) n) r"""
ENDED = """
insert into pgflow.outcome (root_id, task_id, state, attempt, error, finished_at)
select id, id, s, 1, case when s = 'failed' then '{}'::jsonb end, created_at + interval '1 s'
  from (select *, (array['failed', 'cancelled', 'skipped', 'completed'])[1 + id % 4]::pgflow.state as s
          from pgflow.task where id % 50 > 0) t"""
EVENTS = """
insert into pgflow.event (root_id, task_id, type, attempt, at)
select root_id, task_id, e::pgflow.event_type, 1, finished_at
  from pgflow.outcome, unnest(array['task.started', 'task.completed']) e order by finished_at"""
PLACES = """
insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
select 'q' || n % 3, n % 2, 900000000 + n, 900000000 + n, 1, 0 from generate_series(1, 5000) n;
insert into pgflow.lease (task_id, root_id, epoch, attempt, crashes, worker_id, claimed_at)
select 910000000 + n, 910000000 + n, 1, 1, 1, 9, now() from generate_series(1, 5000) n;
insert into pgflow.delayed (task_id, root_id, due_at, reason, attempt, crashes)
select 920000000 + n, 920000000 + n, now(), 'sleeping', 1, 0 from generate_series(1, 5000) n;
insert into pgflow.inbox (task_id, root_id, arrived, needed, attempt, crashes)
select 930000000 + n, 930000000 + n, 0, 1, 1, 0 from generate_series(1, 5000) n;
insert into pgflow.throttled (queue, slot, priority, task_id, root_id, attempt, crashes)
select 'q' || n % 3, 's', 2, 940000000 + n, 940000000 + n, 1, 0 from generate_series(1, 5000) n;
insert into pgflow.parked (task_id, root_id, reason, since, attempt, crashes)
select 950000000 + n, 950000000 + n, 'paused', now(), 1, 0 from generate_series(1, 5000) n"""
BEGIN = Position()


def newest(wanted: Wanted, position: Position = BEGIN, within: Bounds = EVERYWHERE) -> Call[Listing]:
    return run_list.newest(wanted, position, within, 50)


def ended(wanted: Wanted, position: Position = BEGIN) -> Call[Listing]:
    return run_list.last_finished(wanted, position, 50)


LISTS: dict[str, tuple[Call[Listing], str]] = {
    "all": (newest(Wanted()), "pkey"),
    "all, far back": (newest(Wanted(), Position(2 * WIDTH)), "pkey"),
    "tag": (newest(Wanted(tags=RARE)), "pkey"),
    "scope": (newest(Wanted(names=["other%"], queues=[])), "pkey"),
    "queue": (newest(Wanted(queue="other")), "pkey"),
    "time": (newest(Wanted(since=NOW - 2 * DAY, until=NOW - DAY), within=Bounds(WIDTH, 2 * WIDTH)), "pkey"),
    "completed": (newest(Wanted(state=State.COMPLETED, tags=RARE)), "pkey"),
    "name": (newest(Wanted("busy", tags=RARE)), "name_id"),
    "rare name": (newest(Wanted("rare")), "name_id"),
    "name, completed": (newest(Wanted("busy", State.COMPLETED, tags=RARE)), "name_id"),
    "key": (newest(Wanted(key="k", tags=RARE)), "key_id"),
    "key that is not there": (newest(Wanted(key="none")), "key_id"),
    "key, far back": (newest(Wanted(key="k"), Position(2 * WIDTH)), "key_id"),
    **{
        f"key, {state}": (newest(Wanted(key="k", state=state, tags=RARE)), "key_id")
        for state in (State.FAILED, State.SLEEPING)
    },
    **{f"{state}": (newest(Wanted(state=state, tags=RARE)), "") for state in State if state is not State.COMPLETED},
    **{
        f"{state} of a name": (newest(Wanted("rare", state), Position(2 * WIDTH)), "")
        for state in FINAL_STATES
        if state is not State.COMPLETED
    },
    "by end": (ended(Wanted()), "finished_at"),
    "by end, tag": (ended(Wanted(tags=RARE)), "finished_at"),
    "by end, name": (ended(Wanted("rare")), "finished_at"),
    "by end, failed": (ended(Wanted(state=State.FAILED, tags=RARE)), "finished_at"),
    "by end, far back": (ended(Wanted(key="none"), Position(WIDTH, NOW - 2 * DAY)), "finished_at"),
    "by end, time": (ended(Wanted(since=NOW - 3 * DAY, until=NOW - DAY, tags=RARE)), "finished_at"),
}
FULL = ("all", "all, far back", "key, far back", "by end")
"""What is shown unless something is asked for costs no more than what is shown."""
SPAN = Span(NOW - 2 * DAY, NOW, timedelta(hours=1))
CHARTS: dict[str, Call[Any]] = {
    "series": measures.series(SPAN),
    "series by workflow": measures.series(SPAN, "workflow"),
    "series by queue of a name": measures.series(SPAN._replace(workflow="busy"), "queue"),
    "latency": measures.latency(SPAN),
    "latency of a queue": measures.latency(SPAN._replace(queue="default", workflow="busy")),
    "metrics": measures.measures(),
    "bounds": run_list.bounds(Wanted(since=NOW - 2 * DAY, until=NOW - DAY)),
}
GREAT = ("task", "outcome", "event")
PLACED = ("ready", "lease", "delayed", "inbox", "throttled", "parked")


def relation(node: dict[str, Any]) -> str:
    name: str = node.get("Relation Name", "")
    return name.rstrip("0123456789").rstrip("_")


def read(node: dict[str, Any]) -> float:
    """Rows that a scan gave or passed over."""
    passed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node.get("Actual Rows", 0) + passed) * node.get("Actual Loops", 0))


def check(name: str, seen: list[dict[str, Any]]) -> None:
    """Nothing great is walked through, nor sorted as a whole."""
    for node in seen:
        if relation(node) in (*GREAT, *PLACED) and node.get("Actual Loops"):
            how = node["Node Type"]
            assert how in {"Index Scan", "Index Only Scan", "Tid Range Scan"}, f"{name}: {how} of {relation(node)}"
        if relation(node) in GREAT and node.get("Actual Loops"):
            bounded = node.get("Index Cond") or node.get("TID Cond") or "task_id_idx" in node.get("Index Name", "")
            assert bounded or read(node) <= 100, f"{name}: all of {node['Relation Name']} by {node.get('Index Name')}"


@pytest.fixture
def great(explaining: Engine, engines: Callable[..., Engine]) -> Iterator[tuple[Engine, Engine]]:
    filler = engines()
    explaining.connection.execute("set auto_explain.log_analyze = on")
    explaining.connection.execute("set auto_explain.log_timing = off")
    yield explaining, filler
    for table in (*GREAT, *PLACED):
        filler.connection.execute(f"truncate pgflow.{table}")


def look(engine: Engine, how: str) -> None:
    """At all plans."""
    for name, (call, index) in LISTS.items():
        seen = [node for plan in explained(engine, call) for node in nodes(plan)]
        assert seen, name
        check(name, seen)
        scans = [node for node in seen if relation(node) and node.get("Actual Loops")]
        rows = sum(read(node) for node in scans)
        # Candidates (where the window ends is looked for apart), and of each its task and its places.
        assert rows <= 4 * run_list.WINDOW + 500, f"{name} ({how}): reads {rows} rows"
        if name in FULL:
            assert rows <= 500, f"{name} ({how}): reads {rows} rows for a page of 50"
        used = {node.get("Index Name", "") for node in scans}
        assert any(index in one for one in used), f"{name} ({how}): uses {sorted(used)}"
        sorts = [node for node in seen if "Sort" in node["Node Type"] and node.get("Actual Rows", 0) > 50]
        assert not sorts, f"{name} ({how}) sorts"
    for name, chart in CHARTS.items():
        seen = [node for plan in explained(engine, chart) for node in nodes(plan)]
        assert seen, name
        check(f"{name} ({how})", seen)


@pytest.mark.parametrize("analyzed", ["when empty", "never, then when full"])
def test_lists_charts_and_metrics_read_no_more_than_they_may(great: tuple[Engine, Engine], analyzed: str) -> None:
    engine, filler = great
    if analyzed == "when empty":
        engine.connection.execute("analyze")
    filler.connection.execute(f"select setval('pgflow.task_id_seq', {4 * WIDTH})")
    filler.query("select pgflow.make_partitions(1)")
    for text in (TASKS, ENDED, EVENTS, PLACES):
        filler.connection.execute(text)
    for again in range(1 if analyzed == "when empty" else 2):
        if again:
            engine.connection.execute("analyze")
        for mode in ("force_generic_plan", "force_custom_plan"):
            engine.connection.execute(f"set plan_cache_mode = {mode}")
            look(engine, f"analyzed {analyzed}, {'now' if again else 'not yet'}, {mode}")
    assert [len(engine.run(call).runs) for call in (newest(Wanted()), ended(Wanted()))] == [50, 50]
