"""No plan of a statement about application events depends on statistics, as tests/engine/test_plans.py has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pgflow.db.call import Call
from pgflow.engine import emissions, runs, upkeep
from pgflow.engine.emissions import Awaited, Emission, Expected, Forgotten, Sought
from tests.engine.test_plans import HOT, explained, explaining, fill, nodes
from tests.fixtures.database import Engine

__all__ = ["explaining"]

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
EVENT = Emission(1, "tick", "k1", 1, None, LONG_AGO)
WAITS = [Awaited(5, "$event:tick", None, None), Awaited(6, "$event:tick", None, None)]

CALLS: dict[str, tuple[Call[Any], set[str]]] = {
    "emit": (emissions.emit("tick", b"1", key="k1", given_id="mine"), set()),
    "emission": (emissions.emission(1), {"emission_pkey"}),
    "triggers": (emissions.triggers(["tick", "*"]), {"trigger_event"}),
    "waiting": (emissions.waiting("tick", "k1", (5, "a"), 10), {"awaited_name"}),
    "deliver": (emissions.deliver(EVENT, WAITS), {"awaited_pkey"}),
    "expect": (emissions.expect([Expected(5, 5, "$event:tick", "tick", "k1")]), {"lease_pkey"}),
    "look by key": (emissions.look([Sought("tick", "k1", (LONG_AGO, 0), None, (1, 2))]), {"emission_key"}),
    "look": (emissions.look([Sought("tick", None, (LONG_AGO, 0), LONG_AGO)]), {"emission_name"}),
    "forget": (emissions.forget([Forgotten(5, "$event:tick")]), {"awaited_pkey"}),
    "since": (emissions.since(1), set()),
    "by_key": (runs.by_key("noop", "k1"), set()),
    "sweep": (upkeep.sweep_emissions(1.0, 10), {"emission_pkey"}),
}

FILL = """
insert into pgflow.emission (name, key, payload, given_id, task_id, at)
select 'tick', 'k' || n % 100, '1', 'id' || n, n, pgflow.now() from generate_series(1, 5000) n"""
WAIT = """
insert into pgflow.awaited (root_id, task_id, step, name, key, since)
select n, n, '$event:tick', 'tick', 'k' || n % 100, pgflow.now() from generate_series(1, 5000) n"""
TRIGGER = """
insert into pgflow.trigger (name, kind, event, start, created_at, changed_at)
select 't' || n, 'event', 'other' || n, '{"name": "noop"}', now(), now() from generate_series(1, 1000) n"""


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("statistics", ["analyzed empty", "analyzed full", "cached empty then filled"])
def test_statements_about_events_reach_their_rows_by_index(
    explaining: Engine, engines: Callable[..., Engine], statistics: str, mode: str
) -> None:
    engine, filler = explaining, engines()
    filler.register(9)
    engine.connection.execute(f"set plan_cache_mode = {mode}")
    if statistics == "analyzed empty":
        engine.connection.execute("analyze")
    if statistics == "cached empty then filled":
        for call, _ in CALLS.values():
            for _ in range(7):
                explained(engine, call)
    fill(filler)
    for text in (FILL, WAIT, TRIGGER):
        filler.connection.execute(text)
    if statistics == "analyzed full":
        engine.connection.execute("analyze")
    for name, (call, indexes) in CALLS.items():
        seen = [node for plan in explained(engine, call) for node in nodes(plan)]
        assert seen, f"{name}: no plan was seen"
        for node in seen:
            relation = node.get("Relation Name", "").rstrip("0123456789").rstrip("_")
            slow = node["Node Type"] in {"Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join"}
            if slow and relation in {*HOT, "emission", "awaited", "trigger"}:
                pytest.fail(f"{name} ({statistics}, {mode}): {node['Node Type']} on {relation}")
        used = {node["Index Name"]: node for node in seen if "Index Name" in node}
        assert indexes <= used.keys(), f"{name} ({statistics}, {mode}): uses {sorted(used)}"
        for index in indexes & {"emission_key", "emission_name", "awaited_name"}:
            condition = used[index].get("Index Cond", "")
            assert "ROW(" in condition, f"{name} ({statistics}, {mode}): {index} begins at the first: {condition}"
