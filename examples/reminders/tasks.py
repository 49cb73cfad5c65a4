"""Invoices that wait to be paid: an application event, reminders when it does not come, and a report by the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pgflow import App, Context

app = App()

REMINDERS = 3


@dataclass
class Paid:
    """What `invoice/paid` says."""

    by: str
    amount: float


@app.task(name="reminders.remind")
def remind(number: str, count: int) -> str:
    print(f"invoice {number} is not paid: reminder {count} of {REMINDERS}")
    return f"reminder {count}"


@app.workflow(name="reminders.invoice")
async def invoice(ctx: Context, number: str, amount: float, rest: str = "14d") -> str:
    """Waits for the payment, also for one that came before it was waited for."""
    for count in range(1, REMINDERS + 1):
        paid = await ctx.event(
            "invoice/paid", Paid, key=number, match="event.payload.amount >= due", values={"due": amount}, timeout=rest
        )
        if paid is not None:
            return f"{number} was paid by {paid.by}"
        await ctx.run(remind, number, count)
    return f"{number} goes to collection"


@app.schedule(cron="0 7 * * 1-5", timezone="Europe/Berlin", input={"day": "${trigger.fire_date}"}, overlap="skip")
@app.task(name="reminders.report")
def report(day: date) -> str:
    """What an accountant finds on the desk each working day at seven, in summer and in winter."""
    line = f"invoices of {day:%A, %d %B %Y}"
    print(line)
    return line
