"""The reminders: an event wakes a run, its absence sends reminders, the clock writes a report."""

from __future__ import annotations

from datetime import UTC, datetime

from pgflow.config import Settings
from pgflow.sdk.task import Task
from pgflow.testing.database import set_clock
from pgflow.testing.plugin import Engines


async def test_a_payment_ends_the_wait_and_a_small_one_does_not(
    pgflow_engine: Engines, tasks: dict[str, Task[..., object]]
) -> None:
    from reminders.tasks import Paid, app, invoice

    engine = pgflow_engine(app)
    early = await engine.start(invoice, "A-1", 10.0)
    late = await engine.start(invoice, "A-2", 10.0)
    await engine.settle()
    await engine.client.emit("invoice/paid", Paid("ann", 4.0), key="A-1")
    await engine.client.emit("invoice/paid", Paid("ann", 10.0), key="A-1")
    assert await engine.result(early) == "A-1 was paid by ann"
    assert await engine.result(late) == "A-2 goes to collection"


async def test_the_report_comes_at_seven_on_working_days_in_summer_and_in_winter(
    pgflow_database: Settings, pgflow_engine: Engines, tasks: dict[str, Task[..., object]]
) -> None:
    from reminders.tasks import app

    set_clock(pgflow_database, datetime(2026, 3, 27, 0, tzinfo=UTC))
    engine = pgflow_engine(app, schedules=True)
    await engine.advance("5d")
    firings = await engine.client.schedules.firings("reminders.report")
    assert [firing.fire_at for firing in reversed(firings)] == [
        datetime(2026, 3, 27, 6, tzinfo=UTC),
        datetime(2026, 3, 30, 5, tzinfo=UTC),
        datetime(2026, 3, 31, 5, tzinfo=UTC),
    ]
