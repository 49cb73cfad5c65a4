"""Workflows are known to the database: with the JSON Schema of their input, a new version when they change."""

from __future__ import annotations

from pgflow import App, Context
from pgflow.config import Settings
from tests.fixtures.database import Engine
from tests.workflows.conftest import working
from tests.workflows.every_method import Order


async def test_a_definition_has_the_schema_and_gets_a_version_when_it_changes(
    database: Settings, engine: Engine
) -> None:
    first, second = App(), App()

    @first.workflow(name="ship")
    async def ship(ctx: Context, order: Order) -> None:
        """Ships what was ordered."""

    @second.workflow(name="ship")
    async def ship_fast(ctx: Context, order: Order, express: bool = False) -> None:
        """Ships what was ordered."""

    for app in (first, first, second):
        async with working(database, app.tasks):
            pass
    rows = engine.query("select name, version, kind, document from pgflow.definition order by version")
    assert [row[:3] for row in rows] == [("ship", 1, "code"), ("ship", 2, "code")]
    assert rows[0][3]["doc"] == "Ships what was ordered."
    assert rows[0][3]["input"]["properties"].keys() == {"order"}
    assert rows[1][3]["input"]["properties"]["express"]["default"] is False
