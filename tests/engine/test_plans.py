"""No plan of a hot statement depends on statistics: the places are empty one second and full the next.

Every statement is run on one connection as the engine runs it, and the plans really used are taken from auto_explain:
with the tables analyzed when empty, analyzed when full, never analyzed, and cached when empty and then filled; as
generic and as custom plans.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pgflow.db.call import Call
from pgflow.engine import audit_entries, control, facts, inspection, leases, reaping, runs, timers, upkeep, workers
from pgflow.engine.enqueue import Request, Spec, enqueue, enqueue_plain
from pgflow.model import EventType, Lane, Priority, Settlement, State
from tests.fixtures.database import Engine

HOT = ("ready", "lease", "delayed", "inbox", "idle", "task", "outcome", "event", "idempotency", "throttled", "parked")
LANES = [Lane("default", p) for p in Priority]
FILL = 5000
EITHER = "lease_pkey, or lease_worker by worker and task"
"""One row either way: which of the two a plan takes is all the same."""

CALLS: dict[str, tuple[Call[Any], set[str]]] = {
    "enqueue": (enqueue([Request(Spec("noop"), b"{}"), Request(Spec("noop"), b"{}", "key", delay=5.0)]), set()),
    "enqueue_plain": (enqueue_plain(Request(Spec("noop"), b"{}")), {"idle_queue"}),
    "enqueue told": (
        audit_entries.enqueue_told([(Request(Spec("noop"), b"{}"), audit_entries.Entry("token:t", "run.start"))]),
        {"idle_queue"},
    ),
    "claim": (leases.claim(LANES, [1] * 4, 10, 1), {"ready_lane"}),
    "settle": (
        leases.settle(
            [
                Settlement(5, 5, State.COMPLETED),
                Settlement(6, 6, State.WAITING, needed=1, delay=3.0),
                Settlement(7, 7, State.QUEUED),
                Settlement(8, 8, State.RETRYING, delay=1.0),
            ],
            9,
        ),
        {EITHER},
    ),
    "record": (facts.record([facts.Fact(5, 5, EventType.STEP_COMPLETED, "k", b"1")], 9), {EITHER}),
    "inputs": (leases.inputs([(5, 5)]), set()),
    "fire": (timers.fire(10), {"delayed_due"}),
    "time_out": (timers.time_out(10), {"inbox_wake"}),
    "reap": (reaping.reap([9], max_crashes=3), {"lease_worker", "lease_deadline"}),
    "cancel": (control.cancel([1, 2]), {"lease_pkey", "ready_pkey", "delayed_pkey", "inbox_pkey"}),
    "redrive": (control.redrive([control.Located(1, 1, True)]), set()),
    "locate": (control.locate([1]), set()),
    "outcomes": (control.outcomes([control.Located(1, 1, True)]), set()),
    "beat": (workers.beat([workers.Pulse(9, 0, {})], 30), {"worker_pkey", "cancellation_pkey", "lease_deadline"}),
    "locate guarded": (control.locate([1], guards=True), set()),
    "events": (inspection.events(1, None, 10), set()),
    "unfinished": (runs.unfinished(1, upto=5), set()),
    "pause": (runs.pause([1]), set()),
    "park run": (runs.park(1), set()),
    "unpark": (runs.unpark([1], [2]), set()),
    "fork": (runs.fork(runs.Copy(1, 1, b"{}", None, b"{}", "", [1], [2], [("$kept", b"{}")])), set()),
    "outline": (runs.outline(1, 1), set()),
    "graph": (runs.graph(1, 1), set()),
    "compare": (runs.compare((1, 1), (2, 2), limit=10, size=1000), set()),
    "of_graphs": (runs.of_graphs([(1, 1)]), set()),
    "in_flight": (runs.in_flight(["noop"], 0, 100), set()),
    "standing": (runs.standing(1, 1), set()),
    "idle": (workers.idle(["default"], "c", 12), {"idle_queue"}),
}

SWEEPS = [*upkeep.sweeps(1.0, 10), upkeep.sweep_emissions(1.0, 10)]
"""They read the places, and look into the history by key alone."""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def fill(engine: Engine) -> None:
    """A full engine: ready, leased, delayed, waiting and finished tasks."""
    spec = Spec("noop")
    for _ in range(FILL // 1000):
        engine.run(enqueue([Request(spec, b"{}")] * 1000))
        engine.run(enqueue([Request(spec, b"{}", delay=1000.0)] * 1000))
        claimed = engine.claim(600, worker=9)
        engine.settle(*claimed[:200], worker=9)
        engine.settle(*claimed[200:400], worker=9, state=State.WAITING, needed=1, delay=1000.0)
        engine.run(workers.idle(["default"], "c", 12))


def explained(engine: Engine, call: Call[Any]) -> list[dict[str, Any]]:
    """The plans of the call and of what it calls, as they ran; its work is undone."""
    plans: list[dict[str, Any]] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        text = diagnostic.message_primary or ""
        if "plan:" in text:
            plans.append(json.loads(text.split("plan:", 1)[1])["Plan"])

    engine.connection.add_notice_handler(note)
    with engine.connection.transaction(force_rollback=True):
        engine.run(call)
    engine.connection.remove_notice_handler(note)
    return plans


def read_whole(engine: Engine, call: Call[Any]) -> list[str]:
    """The tables of the history of which the call reads more than what it asks for by key."""
    seen = [node for plan in explained(engine, call) for node in nodes(plan) if "Relation Name" in node]
    history = [node for node in seen if node["Relation Name"].rstrip("0123456789") in {"task_", "outcome_"}]
    return [node["Relation Name"] for node in history if "Index Cond" not in node]


@pytest.fixture
def explaining(engines: Callable[..., Engine]) -> Engine:
    engine = engines()
    engine.connection.execute("load 'auto_explain'")
    for name, value in {
        "log_min_duration": "0", "log_nested_statements": "on", "log_format": "json", "log_analyze": "off"
    }.items():  # fmt: skip
        engine.connection.execute(f"set auto_explain.{name} = '{value}'")
    engine.connection.execute("set client_min_messages = log")
    return engine


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize(
    "statistics", ["analyzed empty", "analyzed full", "never analyzed", "cached empty then filled"]
)
def test_hot_statements_reach_their_rows_by_index(
    explaining: Engine, engines: Callable[..., Engine], statistics: str, mode: str
) -> None:
    engine, filler = explaining, engines()
    filler.register(9)
    engine.connection.execute(f"set plan_cache_mode = {mode}")
    if statistics == "analyzed empty":
        engine.connection.execute("analyze")
    if statistics == "cached empty then filled":
        for call in 7 * [*(call for call, _ in CALLS.values()), *SWEEPS]:
            explained(engine, call)
    fill(filler)
    if statistics == "analyzed full":
        engine.connection.execute("analyze")
    for name, (call, indexes) in CALLS.items():
        seen = [node for plan in explained(engine, call) for node in nodes(plan)]
        assert seen, f"{name}: no plan was seen"
        for node in seen:
            relation = node.get("Relation Name", "").rstrip("0123456789").rstrip("_")
            slow = node["Node Type"] in {"Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join"}
            if slow and relation in HOT:
                pytest.fail(f"{name} ({statistics}, {mode}): {node['Node Type']} on {relation}")
        used = {node["Index Name"] for node in seen if "Index Name" in node}
        by_both = [n for n in seen if n.get("Index Name") == "lease_worker" and "task_id" in n.get("Index Cond", "")]
        if by_both or "lease_pkey" in used:
            used.add(EITHER)
        assert indexes <= used, f"{name} ({statistics}, {mode}): uses {sorted(used)}"
        if name == "claim":
            assert not any("Sort" in node["Node Type"] for node in seen), "the index gives the order"
    whole = {sweep.name: found for sweep in SWEEPS if (found := read_whole(engine, sweep))}
    assert not whole, f"{statistics}, {mode}"
