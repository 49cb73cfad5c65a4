"""`pgflow schedule backfill`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from pgflow import cron
from pgflow.cli import connection, output
from pgflow.cli.schedule_request import reading, timetable
from pgflow.errors import ArgumentError, ResultTimeout
from pgflow.sdk.client import Client
from pgflow.sdk.verbs import Handle

_MANY = 1000
_LOOK = 0.5


@click.command(cls=output.Command)
@click.argument("name")
@click.option("--from", "start", required=True, metavar="INSTANT", help="The first instant, as in 2026-05-01.")
@click.option("--to", "end", metavar="INSTANT", help="The instant to stop before: now unless given.")
@click.option("--wait", is_flag=True, help="Show how far it has come, until it is done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def backfill(name: str, start: str, end: str | None, wait: bool, yes: bool) -> None:
    """Start the runs of past instants that never had one.

    From one instant on and before another, both read in the schedule's time zone. Its overlap policy is not heeded:
    limit the queue if its runs would crowd others. What is done already is not done again. Prints the id of the run
    that does it; interrupted, it goes on.

    \b
    Example:
      pgflow schedule backfill report --from 2026-01-01 --to 2026-02-01 --wait
    """
    with connection.client() as client:
        found = client.schedules.get(name)
        assert found.now is not None
        low = cron.instant(start, found.timezone)
        high = found.now if end is None else cron.instant(end, found.timezone)
        if high > found.now:
            raise ArgumentError("--to is in the future", hint="what is yet to come fires by itself")
        count = timetable(found).count(low, high)
        if not count:
            span = f"{reading(low, found.timezone)} and {reading(high, found.timezone)}"
            raise ArgumentError(f"{name} has no instant between {span}")
        if count > _MANY and not yes and output.is_interactive():
            click.confirm(f"start up to {count:,} runs?", abort=True, err=True)
        handle = client.schedules.backfill(name, low, high)
        if not output.wants_json():
            click.echo(handle.id)
        output.note(f"{count:,} instant{'' if count == 1 else 's'}")
        result = _wait(client, handle) if wait else None
    if output.wants_json():
        output.document({"id": handle.id, "instants": count, "started": None if result is None else result["started"]})
    elif result is not None:
        had = result["instants"] - result["started"]
        output.note(
            f"started {result['started']:,} runs" + (f"; {had:,} instants had been decided before" if had else "")
        )


def _wait(client: Client, handle: Handle[Any]) -> dict[str, int]:
    with bar() as move:
        while True:
            try:
                result: dict[str, int] = client.result(handle, timeout=_LOOK)
            except ResultTimeout:
                told = client.state(handle) or {}
                move(told.get("progress") or 0.0, told.get("note") or "waiting for a worker")
            else:
                return result


@contextmanager
def bar() -> Iterator[Callable[[float, str], None]]:
    """A bar to move, for whoever watches."""
    if output.wants_json() or not output.is_watched():
        yield lambda done, note: None  # noqa: ARG005 (nobody watches)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}% {task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=1.0)
        yield lambda done, note: progress.update(bar, completed=done, description=note)
