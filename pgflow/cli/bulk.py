"""`pgflow bulk`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click

from pgflow.cli import connection, output
from pgflow.cli.audited import changing
from pgflow.cli.backfill import bar
from pgflow.cli.parameters import ID, STATE, instant, pair
from pgflow.errors import ArgumentError
from pgflow.sdk.registry import bulk as verbs

_LOOK = 0.3
_WAIT = click.option("--wait", is_flag=True, help="Show how far it has come, until it is done.")


@click.group(cls=output.Group)
def bulk() -> None:
    """Cancel, pause, resume, redrive, re-run many runs at once, in the background."""


def _changing(action: str, summary: str, description: str) -> None:
    """Enter the command of an action."""

    def command(**given: Any) -> None:
        _change(action, **given)

    command.__doc__ = f"{summary}\n\n{description}"
    function: Callable[..., None] = command
    for option in (
        _WAIT,
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--dry-run", is_flag=True, help="Only say how many there are."),
        click.option(
            "--rate", type=click.IntRange(1, verbs.FASTEST), default=verbs.RATE, show_default=True,
            help="How many a second at most.",
        ),
        click.option("--id", "ids", type=ID, multiple=True, help="Only this one. Repeat."),
        click.option("--until", type=instant, help="Only those asked for before then."),
        click.option("--since", type=instant, help="Only those asked for from then on."),
        click.option("--tag", "tags", type=pair, multiple=True, help="Only those with this tag. Repeat."),
        click.option("--state", "states", type=STATE, multiple=True, help="Only those in this state. Repeat."),
        click.option("--queue", help="Only those of this queue."),
        click.option("--workflow", metavar="NAME", help="Only those of this workflow or task."),
    ):  # fmt: skip
        function = option(function)
    bulk.command(action)(function)


_changing(
    "cancel", "Cancel runs that have not ended.",
    "Can be undone for some minutes, but for runs of graphs that have begun.",
)  # fmt: skip
_changing("pause", "Pause runs that have not ended.", "Can be undone for some minutes.")
_changing("resume", "Resume runs that are paused.", "Can be undone for some minutes.")
_changing("redrive", "Make failed tasks and runs ready again.", "With --state cancelled, cancelled ones.")
_changing("rerun", "Start failed runs again, as new runs.", "With --state, others that have ended.")


def _change(
    action: str, workflow: str | None, queue: str | None, states: Sequence[str], tags: Sequence[tuple[str, str]],
    since: datetime | None, until: datetime | None, ids: Sequence[int], rate: int, dry_run: bool, yes: bool, wait: bool,
) -> None:  # fmt: skip
    with connection.client() as client:
        seen = client.bulk.preview(
            action, workflow=workflow, queue=queue, states=states or None, tags=dict(tags) or None, since=since,
            until=until, ids=ids or None,
        )  # fmt: skip
    if dry_run or not seen.count:
        _tell_preview(action, seen)
        return
    if not yes:
        _confirm(action, seen)
    with changing() as changes:
        handle = changes.client.bulk.start(seen, rate=rate)
        after = {"action": action, "filter": dict(seen.which), "rate": rate}
        changes.tell("bulk.start", f"bulk:{handle.id}", after=after)
    _follow(handle.id, seen.count, wait)


def _tell_preview(action: str, seen: verbs.Preview) -> None:
    if output.wants_json():
        output.document({"action": action, "count": seen.count, "sample": [one._asdict() for one in seen.sample]})
        return
    output.rows(
        [one._asdict() for one in seen.sample], ["id", "name", "queue", "state", "created_at"], empty="none fit"
    )
    output.note(f"{seen.count:,} to {action}")
    if seen.undo is not None and seen.count:
        output.note(f"it can be undone for some minutes: {seen.undo}")


def _confirm(action: str, seen: verbs.Preview) -> None:
    if not output.is_interactive():
        raise ArgumentError(
            f"{seen.count:,} to {action}, and nobody to ask", hint="look with --dry-run, then give --yes"
        )
    _tell_preview(action, seen)
    click.confirm(f"{action} {seen.count:,}?", abort=True, err=True)


def _follow(id: int, count: int, wait: bool) -> None:
    if not wait:
        if output.wants_json():
            output.document({"id": id, "count": count})
        else:
            click.echo(id)
            output.note(f"`pgflow bulk show {id}` says how far it is; `pgflow run cancel {id}` ends it")
        return
    with connection.client() as client, bar() as move:
        while (shown := client.bulk.get(id))["finished_at"] is None:
            move(shown["progress"], f"{shown['changed']:,} changed")
            time.sleep(_LOOK)
    if output.wants_json():
        output.document(shown)
        return
    click.echo(id)
    output.note(f"{shown['state']}: {shown['changed']:,} changed, {shown['failed']:,} could not be")
    for error in shown["errors"]:
        output.note(error)


@bulk.command("list")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many at most.")
def list_(limit: int) -> None:
    """List what was changed in bulk, newest first."""
    with connection.client() as client:
        found = client.bulk.list(limit=limit)
    columns = ["id", "action", "state", "count", "changed", "failed", "actor", "created_at", "undo_until"]
    output.rows(found, columns, empty="nothing was changed in bulk")


@bulk.command()
@click.argument("id", type=ID)
def show(id: int) -> None:
    """Show how far one has come."""
    with connection.client() as client:
        output.details(client.bulk.get(id))


@bulk.command()
@click.argument("id", type=ID)
@_WAIT
def undo(id: int, wait: bool) -> None:
    """Take back what one has changed, as far as it still is so.

    Within some minutes of its end: what was cancelled is redriven, what was paused resumed, what was resumed paused.
    """
    with changing() as changes:
        count = changes.client.bulk.get(id)["count"]
        handle = changes.client.bulk.undo(id)
        changes.tell("bulk.undo", f"bulk:{handle.id}", after={"undo": id})
    _follow(handle.id, count, wait)
