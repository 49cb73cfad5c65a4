"""What each run asks about its definition is found by index, whatever the statistics say."""

from __future__ import annotations

from typing import Any

import pytest

from pgflow.db.call import Call
from pgflow.engine import definitions
from tests.engine.test_plans import explained, explaining, nodes
from tests.fixtures.database import Engine

__all__ = ["explaining"]

CALLS: dict[str, tuple[Call[Any], set[str]]] = {
    "newest": (definitions.newest("w5"), {"definition_pkey"}),
    "version": (definitions.version("w5", 3), {"definition_pkey"}),
    "versions": (definitions.versions("w5"), {"definition_pkey"}),
    "publish": (definitions.publish("w5", b"1", b"{}"), {"definition_pkey"}),
    "list": (definitions.listed(10, "w5"), {"definition_pkey", "draft_pkey"}),
    "draft": (definitions.draft("w5"), {"draft_pkey"}),
    "save_draft": (definitions.save_draft("w5", b"{}", expected=1), {"definition_pkey"}),
    "discard_draft": (definitions.discard_draft("w5", expected=9), {"draft_pkey"}),
}

FILL = """
insert into pgflow.definition (name, version, kind, checksum, document, created_at)
select 'w' || n % 500, n / 500 + 1, 'graph', '', '{"nodes": {}}', pgflow.now() from generate_series(0, 9999) n"""
DRAFT = """
insert into pgflow.draft (name, document, base, created_at, changed_at)
select 'w' || n, '{}', 0, pgflow.now(), pgflow.now() from generate_series(0, 499) n"""


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("analyzed", [False, True])
def test_statements_about_definitions_reach_their_rows_by_index(explaining: Engine, analyzed: bool, mode: str) -> None:
    engine = explaining
    engine.connection.execute(f"set plan_cache_mode = {mode}")
    engine.connection.execute("analyze pgflow.definition, pgflow.draft")
    engine.connection.execute(FILL)
    engine.connection.execute(DRAFT)
    if analyzed:
        engine.connection.execute("analyze pgflow.definition, pgflow.draft")
    for name, (call, indexes) in CALLS.items():
        seen = [node for plan in explained(engine, call) for node in nodes(plan)]
        assert seen, f"{name}: no plan was seen"
        for node in seen:
            slow = node["Node Type"] in {"Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join"}
            assert not (slow and node.get("Relation Name") in {"definition", "draft"}), (name, node)
        used = {node["Index Name"] for node in seen if "Index Name" in node}
        assert indexes <= used, f"{name} ({mode}): uses {sorted(used)}"
