"""Dying at every commit: workflows that stand it, and bugs that are found by it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import psycopg
import pytest

from pgflow import App, Context, RetryPolicy, StepFailed, SyncContext
from pgflow.config import Settings
from pgflow.db import call
from pgflow.db.statements import statement
from pgflow.testing import CrashTestFailed, LocalEngine, Stalled, crash_everywhere
from pgflow.testing.plugin import Engines
from tests.workflows import flows

app = App()
DONE: list[str] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()
    flows.CALLS.clear()


@pytest.mark.parametrize(
    ("workflow", "args", "steps"),
    [
        (flows.steps, (4,), 4),
        (flows.plain_steps, (3,), 3),
        (flows.nap, (30 * 86400.0,), 2),
        (flows.family, ([1, 2],), 0),
        (flows.spread, (list(range(20)), 7), 0),
        (flows.plain_family, ([1, 2],), 0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_the_workflows_of_the_other_tests_stand_it(
    pgflow_engine: Engines, workflow: Any, args: tuple[Any, ...], steps: int
) -> None:
    report = await crash_everywhere(pgflow_engine(flows.app), workflow, *args)
    assert report.checkpoints >= 3
    assert (
        report.crashes >= 2 * report.checkpoints - 2
    )  # what goes on beside each other is not committed alike each time
    assert report.refused >= 3
    assert len(report.reexecuted) >= steps


async def test_signals_are_sent_to_every_run(pgflow_engine: Engines) -> None:
    engine = pgflow_engine(flows.app)
    report = await crash_everywhere(engine, flows.confirm, signals={"confirmed": [flows.Confirmation(by="ann")]})
    assert report.crashes >= 4
    rows = await engine.client.tasks(name="confirm")
    assert {(await engine.client.result(row["id"], timeout=5)) for row in rows} == {"ann"}


async def do(what: str) -> str:
    DONE.append(what)
    return what


@app.task(name="pack", retry=RetryPolicy(2, backoff="fixed", base=60))
async def pack(name: str) -> str:
    return f"packed {name}"


@app.workflow(name="shipment")
def shipment(ctx: SyncContext, names: list[str]) -> list[str]:
    ctx.step(do_plainly, "label")
    ctx.sleep("1h")
    return ctx.map(pack, names)


def do_plainly(what: str) -> str:
    DONE.append(what)
    return what


async def flicker(name: str) -> None:
    raise ConnectionError(f"no {name}")


@app.workflow(name="order", retry=RetryPolicy(2, backoff="fixed", base=30))
async def order(ctx: Context, names: list[str]) -> str:
    at = ctx.now()
    await ctx.step(do, "charge")
    ctx.compensate(do, "refund")
    ctx.set_state({"at": at.isoformat()})

    async def write(db: psycopg.AsyncConnection[Any]) -> int:
        await db.execute("insert into orders values (%s)", (ctx.run_id,))
        return len(names)

    await ctx.tx(write)
    packed = await ctx.run(shipment, names)
    try:
        await ctx.step(flicker, "courier")
    except StepFailed:
        ctx.uuid()
    if await ctx.signal("paid", bool, timeout="2d"):
        return ", ".join(packed)
    raise PermissionError("not paid")


@pytest.fixture
async def shop(pgflow_engine: Engines, pgflow_database: Settings) -> LocalEngine:
    with psycopg.connect(pgflow_database.require_url()) as connection:
        connection.execute("create table orders (run bigint)")
    return pgflow_engine(app)


def orders(database: Settings) -> list[tuple[int, int]]:
    with psycopg.connect(database.require_url()) as connection:
        return connection.execute("select run, count(*) from orders group by run").fetchall()


@pytest.mark.parametrize("paid", [True, False])
async def test_a_saga_with_everything_in_it_stands_it(shop: LocalEngine, pgflow_database: Settings, paid: bool) -> None:
    report = await crash_everywhere(shop, order, ["book", "pen"], signals={"paid": [paid]})
    assert report.checkpoints > 10
    assert {"do", "do_plainly", "write"} <= set(report.reexecuted)
    found = orders(pgflow_database)
    assert len(found) > report.crashes
    assert {times for _, times in found} == {1}, "what ctx.tx wrote is there once a run"


async def test_dropped_connections_change_nothing(shop: LocalEngine) -> None:
    shop.reconnect = True
    report = await crash_everywhere(shop, order, ["book"], signals={"paid": [True]})
    assert report.crashes > 20


@app.workflow(name="unrecorded")
async def unrecorded(ctx: Context) -> str:
    DONE.append("charged")  # not a step: it happens again when the code does
    await ctx.step(do, "something")
    charges = DONE.count("charged")
    DONE.clear()
    return f"charged {charges} times"


async def test_an_effect_outside_of_a_step_is_found(pgflow_engine: Engines) -> None:
    with pytest.raises(CrashTestFailed, match=r"the outcome is .*charged 2 times.* undisturbed .*charged 1 times"):
        await crash_everywhere(pgflow_engine(app), unrecorded)


TURNS = count()


@app.workflow(name="wavering")
async def wavering(ctx: Context) -> str:
    if next(TURNS) % 2:
        await ctx.step(do, "left")
    else:
        await ctx.step(do_plainly, "right")
    await ctx.step(do, "end")
    return "done"


async def test_a_branch_that_is_not_the_same_at_every_replay_is_found(pgflow_engine: Engines) -> None:
    with pytest.raises(CrashTestFailed, match=r"its worker dead right (before|after) commit \d+"):
        await crash_everywhere(pgflow_engine(app), wavering)


@app.workflow(name="impossible")
async def impossible(ctx: Context) -> None:
    await ctx.signal("never")


async def test_a_workflow_that_does_not_end_undisturbed_is_told_as_such(pgflow_engine: Engines) -> None:
    with pytest.raises(Stalled, match=r"impossible .* is waiting"):
        await crash_everywhere(pgflow_engine(app), impossible)


Patch = Callable[[str, Callable[[str], str]], None]


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> Patch:
    """`patch("task/record", change)` plants a bug in a statement."""
    changes: dict[str, Callable[[str], str]] = {}

    def patched(name: str, schema: str = "pgflow") -> str:
        text = statement(name, schema)
        changed = changes[name](text) if name in changes else text
        assert name not in changes or changed != text
        return changed

    monkeypatch.setattr(call, "statement", patched)
    return changes.__setitem__


FENCE = "l.epoch = a.epoch and l.worker_id = %(worker)s::bigint"


@pytest.mark.parametrize("name", ["task/record", "task/settle", "task/spawn"])
async def test_a_write_that_is_not_fenced_is_found(pgflow_engine: Engines, patch: Patch, name: str) -> None:
    fence = FENCE.replace("a.", "p.") if name == "task/spawn" else FENCE
    patch(name, lambda text: text.replace(fence, "%(worker)s::bigint is not null"))
    with pytest.raises(CrashTestFailed, match="what a dead worker wrote late was taken"):
        await crash_everywhere(pgflow_engine(flows.app), flows.family, [1, 2, 3])


async def test_a_step_that_is_recorded_twice_is_found(
    pgflow_engine: Engines, pgflow_database: Settings, patch: Patch
) -> None:
    with psycopg.connect(pgflow_database.require_url()) as connection:
        connection.execute("drop index pgflow.event_step")
    patch("task/record", lambda text: text[: text.index("on conflict")] + text[text.index("returning e.task_id") :])
    patch("workflow/history", lambda text: text.replace("'step.completed', ", ""))
    with pytest.raises(CrashTestFailed, match=r"steps: step\.completed note is recorded twice"):
        await crash_everywhere(pgflow_engine(flows.app), flows.steps, 2)


async def test_a_misplaced_task_is_found(pgflow_engine: Engines, pgflow_database: Settings) -> None:
    with psycopg.connect(pgflow_database.require_url()) as connection:
        connection.execute(
            "insert into pgflow.outcome (root_id, task_id, state, attempt, finished_at)"
            " values (3, 3, 'completed', 1, now()) on conflict do nothing"
        )
        connection.execute("alter sequence pgflow.task_id_seq restart 4")
    with pytest.raises(CrashTestFailed, match="task 3 of run 3: has its outcome, but there is no such task"):
        await crash_everywhere(pgflow_engine(flows.app), flows.steps, 1)
