from __future__ import annotations

import asyncio

from pgflow.config import Settings
from tests.cli.conftest import Cli
from tests.fixtures.database import Engine
from tests.fixtures.workers import executing, leading


def test_many_are_counted_confirmed_and_changed_in_the_background(cli: Cli, engine: Engine) -> None:
    engine.enqueue(12, name="orders.ship", queue="nobody", tags=b'{"customer": "4"}')
    engine.enqueue(2, name="mail.send", queue="nobody")
    seen = cli("bulk", "cancel", "--workflow", "orders.ship", "--tag", "customer=4", "--dry-run", "--json").json
    assert (seen["action"], seen["count"], len(seen["sample"])) == ("cancel", 12, 10)
    assert "14 to cancel" in cli("bulk", "cancel", "--dry-run").err
    assert cli("bulk", "redrive", "--yes").err == "none fit\n0 to redrive\n"
    unsure = cli("bulk", "cancel", "--workflow", "orders.ship")
    assert (unsure.code, "nobody to ask" in unsure.err) == (2, True)
    begun = cli("bulk", "cancel", "--workflow", "orders.ship", "--yes", "--rate", "50")
    assert begun.code == 0
    id = begun.out.strip()
    (listed,) = cli("bulk", "list", "--json").json
    assert (listed["id"], listed["state"], listed["count"], listed["changed"]) == (int(id), "queued", 12, 0)
    shown = cli("bulk", "show", id, "--json").json
    assert shown["filter"] == {"workflow": "orders.ship"}
    early = cli("bulk", "undo", id)
    assert (early.code, "goes on" in early.err) == (1, True)
    assert cli("bulk", "show", "1").code == 3
    assert engine.query("select action, target from pgflow.audit_entry") == [("bulk.start", f"bulk:{id}")]
    wrong = cli("bulk", "cancel", "--state", "failed")
    assert (wrong.code, "cannot be changed by cancel" in wrong.err) == (2, True)


async def test_it_can_be_waited_for_and_undone(cli: Cli, database: Settings, engine: Engine) -> None:
    made = engine.enqueue(5, name="orders.ship", queue="nobody")
    async with leading(database), executing(database, {}):
        done = await asyncio.to_thread(cli, "bulk", "cancel", "--yes", "--wait")
        assert "completed: 5 changed, 0 could not be" in done.err
        ((id,),) = engine.query("select id from pgflow.task where name = 'pgflow.bulk'")
        assert {engine.state(one) for one in made} == {"cancelled"}
        back = await asyncio.to_thread(cli, "bulk", "undo", str(id), "--wait")
    assert "completed: 5 changed, 0 could not be" in back.err
    assert {engine.state(one) for one in made} == {"queued"}
