"""Questions in the database: found by their indexes, cleared away with their runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pgflow.db.call import Call
from pgflow.engine import approvals, upkeep
from pgflow.engine.approvals import Place, Question
from tests.engine.test_plans import explained, explaining, nodes
from tests.fixtures.database import Engine

__all__ = ["explaining"]

FILL = """
insert into pgflow.approval (root_id, task_id, node, workflow, title, asked_at, state, decided_at)
select n, n, 'ask', 'w', 't', pgflow.now(), case when n % 500 = 0 then 'pending' else 'approved' end,
       case when n % 500 <> 0 then pgflow.now() end
  from generate_series(1, 5000) n"""

CALLS: dict[str, tuple[Call[Any], str]] = {
    "pending": (approvals.approvals(state="pending", names=["ann"]), "approval_pending"),
    "withdrawn": (approvals.approvals(state="withdrawn"), "approval_pending"),
    "of a run": (approvals.approvals(run=7), "approval_root_id_task_id_node_key"),
    "one": (approvals.approvals(id=7, limit=1), "approval_pkey"),
    "all": (approvals.approvals(before=4000, limit=10), "approval_pkey"),
    "decide": (approvals.decide(500, True, b"null", by="ann", names=["ann"], comment=None), "approval_pkey"),
    "expire": (approvals.expire(Place(500, 500, "ask")), "approval_root_id_task_id_node_key"),
}


@pytest.mark.parametrize("statistics", ["analyzed empty", "analyzed full"])
def test_questions_are_found_by_their_indexes(
    explaining: Engine, engines: Callable[..., Engine], statistics: str
) -> None:
    if statistics == "analyzed empty":
        explaining.connection.execute("analyze")
    explaining.connection.execute(FILL)  # type: ignore[arg-type]
    if statistics == "analyzed full":
        explaining.connection.execute("analyze")
    for name, (call, index) in CALLS.items():
        seen = [node for plan in explained(explaining, call) for node in nodes(plan)]
        of_ours = [node for node in seen if node.get("Relation Name") == "approval"]
        assert of_ours, name
        assert {node["Node Type"] for node in of_ours} & {"Seq Scan", "Bitmap Heap Scan"} == set(), name
        assert index in {node.get("Index Name") for node in of_ours}, f"{name}: {of_ours}"


def test_questions_are_gone_with_the_history_of_their_runs(engine: Engine) -> None:
    """The first partition that is left begins past them."""
    (run,) = engine.enqueue()
    engine.run(approvals.ask(Place(run, run, "ask"), "w", Question("Well?")))
    (sweep,) = [call for call in upkeep.sweeps(1.0) if call.name == "housekeeping/approvals"]
    engine.run(sweep)
    assert engine.query("select count(*) from pgflow.approval") == [(1,)]
    engine.connection.execute("update pgflow.partition set lower = lower + 1000000 where lower = 0")
    engine.run(sweep)
    assert engine.query("select count(*) from pgflow.approval") == [(0,)]
