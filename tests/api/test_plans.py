"""What is looked through page by page stops when a page is full, however much there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgflow.db.call import Call
from pgflow.db.statements import statement
from pgflow.engine import bulk, inspection, timers
from pgflow.model import State
from tests.fixtures.database import Engine

FILL = 20_000
TASKS = """insert into pgflow.task (id, root_id, name, queue, priority, input, created_at)
           select g, g, 'orders.ship', 'orders', 2, '{}', now() from generate_series(1, %(fill)s) g"""
ENDED = """insert into pgflow.outcome (root_id, task_id, state, attempt, finished_at, error, output)
           select g, g, (case when g %% 2 = 0 then 'failed' else 'completed' end)::pgflow.state, 1, now(),
                  case when g %% 2 = 0 then '{}'::jsonb end, case when g %% 2 = 1 then '{}'::jsonb end
             from generate_series(1, %(fill)s / 2) g"""
DELAYED = """insert into pgflow.delayed (task_id, root_id, due_at, reason, attempt, crashes)
             select g, g, now() + g * interval '1 s', 'scheduled', 1, 0
               from generate_series(%(fill)s / 2 + 1, %(fill)s) g"""


def which(*states: State, runs: bool = True) -> bulk.Filter:
    return bulk.Filter(runs=runs, states=states, upto=FILL, name="orders.ship", names=["orders.%"], queues=["orders"])


CALLS: dict[str, Call[Any]] = {
    "rerun": bulk.match(which(State.COMPLETED, State.FAILED, State.CANCELLED), 1000, 50),
    "redrive": bulk.match(which(State.FAILED, runs=False), 1000, 50),
    "cancel": bulk.match(which(State.QUEUED, State.SCHEDULED, State.WAITING), FILL // 2 + 1000, 50),
    "timers": timers.timers(name="orders.ship", names=["orders.%"], limit=50),
}


@pytest.fixture
def filled(engine: Engine) -> Iterator[Engine]:
    with engine.connection.transaction():
        for text in (TASKS, ENDED, DELAYED):
            engine.connection.execute(text, {"fill": FILL})
        engine.connection.execute("analyze pgflow.task, pgflow.outcome, pgflow.delayed, pgflow.inbox")
    yield engine
    engine.connection.execute("truncate pgflow.delayed, pgflow.outcome, pgflow.task")


def test_a_page_reads_a_page(filled: Engine) -> None:
    for name, call in CALLS.items():
        assert len(filled.run(call)) == 50, name
        most = read(filled, call)
        assert most <= 200, f"{name} reads {most} rows for a page of 50"


def read(engine: Engine, call: Call[Any]) -> int:
    """The most rows that any part of the plan reads."""
    cursor = psycopg.ClientCursor(engine.connection)
    text = statement(call.name)
    query = text if isinstance(text, bytes) else text.encode()
    ((plan,),) = cursor.execute(b"explain (analyze, format json) " + query, call.params).fetchall()
    return int(max(rows(plan[0]["Plan"])))


@pytest.mark.parametrize("names", [["orders.%"], ["other.%"]], ids=["all are theirs", "none is"])
def test_a_page_of_what_is_theirs_reads_a_window(filled: Engine, names: list[str]) -> None:
    within = inspection.Within(names, [])
    for given in ({}, {"state": State.FAILED}, {"name": "orders.ship"}, {"before": FILL // 4}, {"roots_only": True}):
        call = inspection.task_page(within=within, **given, limit=50)  # type: ignore[arg-type]
        page = filled.run(call)
        assert (len(page.tasks), page.before is None) == (50 if names == ["orders.%"] else 0, False), given
        most = read(filled, call)
        assert most <= inspection.WINDOW + 200, f"{given} reads {most} rows"


def rows(node: dict[str, Any]) -> list[float]:
    own = node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
    return [own, *(most for inner in node.get("Plans", ()) for most in rows(inner))]
