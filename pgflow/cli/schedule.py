"""`pgflow schedule`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import click

from pgflow import config, cron, duration
from pgflow.cli import connection, output
from pgflow.cli.backfill import backfill
from pgflow.cli.parameters import LIMIT, PRIORITY, instant, pair
from pgflow.cli.parameters import duration as seconds
from pgflow.cli.schedule_file import apply
from pgflow.cli.schedule_request import asked, reading, state, timetable, unheard, upcoming
from pgflow.engine.schedules import Schedule
from pgflow.errors import ArgumentError
from pgflow.sdk.client import Client
from pgflow.sdk.registry import schedules as verbs

_NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")
_COUNT = click.option("--count", type=LIMIT, default=5, show_default=True, help="How many.")


@click.group(cls=output.Group)
def schedule() -> None:
    """Start runs by the clock: at times of day, at intervals, once."""


for _command in (apply, backfill):
    schedule.add_command(_command)


@schedule.command()
@click.argument("name")
@click.argument("task")
@click.option("--cron", metavar="EXPRESSION", help="Minute, hour, day of month, month, day of week; or @daily.")
@click.option("--every", type=seconds, help="An interval, as in 90s or 1h30m.")
@click.option("--at", metavar="INSTANT", help="Once, as in 2026-05-01T09:00.")
@click.option("--timezone", help="Where clocks and instants are read: UTC unless given.")
@click.option("--input", "arguments", metavar="JSON | -", help="The target's arguments; they may hold ${...}.")
@click.option("--starts", "starts_at", metavar="INSTANT", help="Nothing before it; intervals are counted from it.")
@click.option("--ends", "ends_at", metavar="INSTANT", help="Nothing from it on.")
@click.option("--jitter", type=seconds, help="Each run may start later by up to this.")
@click.option("--overlap", type=click.Choice(verbs.OVERLAPS), help="While the run before goes on: allow unless given.")
@click.option("--catch-up", type=int, metavar="N", help="How many missed instants are made up for: 1 unless given.")
@click.option("--queue", help="Where its runs wait: a workflow's in its own queue unless given, a task's in default.")
@click.option("--priority", type=PRIORITY, help="How urgent its runs are: normal unless given.")
@click.option("--tag", "tags", type=pair, multiple=True, help="A word to find its runs by. Repeat.")
@click.option("--replace", is_flag=True, help="Change the schedule of that name, if there is one.")
def create(
    name: str, task: str, arguments: str | None, tags: Sequence[tuple[str, str]], replace: bool, **given: Any
) -> None:
    """Start TASK by the clock.

    TASK is the name of a task or a workflow. One of --cron, --every and --at says when. --input may refer to
    trigger.fire_at, trigger.fire_date, trigger.timezone, trigger.schedule and trigger.kind.

    \b
    Example:
      pgflow schedule create report reports.daily --cron '0 6 * * MON-FRI' --timezone Europe/Berlin \\
        --input '{"day": "${trigger.fire_date}"}' --overlap skip
    """
    given |= {"input": _object(arguments), "tags": dict(tags) or None}
    wanted = asked(name, task, given)
    with connection.session("cli") as session:
        client = Client(config.load(), actor=connection.actor()).on(session.connection)
        done = "created"
        if replace:
            done = client._drive(verbs.put(wanted, actor=connection.actor()))
        else:
            client._drive(verbs.create(wanted, actor=connection.actor()))
        found = client.schedules.get(name)
        warning = unheard(session, task)
    following = upcoming(found, 1)
    if output.wants_json():
        says = timetable(found).explain()
        output.document({"name": name, "done": done, "explanation": says, "next": following, "warning": warning})
        return
    output.note(f"{name} {done}: {timetable(found).explain()}")
    for first in following:
        output.note(f"it fires next at {reading(first, found.timezone)}")
    if found.paused_at is not None:
        output.note(f"it is paused; `pgflow schedule resume {name}` resumes it")
    if warning:
        output.note(f"note: {warning}")


def _object(arguments: str | None) -> dict[str, Any] | None:
    if arguments is None:
        return None
    example = """as in '{"day": "${trigger.fire_date}"}'"""
    try:
        value = json.loads(sys.stdin.read() if arguments == "-" else arguments, parse_constant=_refuse_constant)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ArgumentError(f"--input is no JSON: {error}", hint=example) from None
    if not isinstance(value, dict):
        raise ArgumentError("--input is no JSON object", hint=example)
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ArgumentError(f"--input: {text} is no JSON")


@schedule.command("list")
def list_() -> None:
    """List the schedules."""
    with connection.client() as client:
        found = client.schedules.list()
    rows = [_properties(one) | {"when": _when(one)} for one in found]
    columns = ["name", "task", "when", "timezone", "state", "next_at", "last_at", "last_run"]
    output.rows(rows, columns, empty="there are no schedules; `pgflow schedule create --help` makes one")


@schedule.command()
@click.argument("name")
def show(name: str) -> None:
    """Show a schedule.

    What it says, in English; its next instants; what became of the last ones.
    """
    with connection.client() as client:
        found = client.schedules.get(name)
        firings = [one._asdict() for one in client.schedules.firings(name, limit=5)]
    shown = {"name": name, "says": timetable(found).explain()} | _properties(found)
    if output.wants_json():
        output.document(shown | {"next": upcoming(found, 5), "firings": firings})
        return
    output.details({word: None if value in ({}, 0.0) else value for word, value in shown.items()})
    click.echo()
    _tell_next(found, 5)
    if firings:
        click.echo()
        output.rows(firings, ["fire_at", "kind", "state", "run", "outcome"], empty="")


def _properties(one: Schedule) -> dict[str, Any]:
    words = (
        "cron", "every", "at", "timezone", "starts_at", "ends_at", "jitter", "overlap", "catch_up", "next_at",
        "last_at", "last_run", "paused_at", "paused_by", "source", "revision", "created_at", "changed_at", "actor",
    )  # fmt: skip
    start = {word: one.start.get(word) for word in ("queue", "priority", "timeout", "retry", "delay", "tags", "input")}
    found = {"name": one.name, "state": state(one), "task": one.start["name"], **start}
    return found | {word: getattr(one, word) for word in words}


def _when(one: Schedule) -> str:
    if one.every is not None:
        return f"every {duration.text(one.every)}"
    return one.cron or "once"


def _tell_next(found: Schedule, count: int) -> None:
    _print_instants(upcoming(found, count), found.timezone)
    if found.paused_at is not None:
        output.note(f"it is paused since {output.cell('', found.paused_at)}; `pgflow schedule resume` resumes it")


def _print_instants(instants: Sequence[datetime], timezone: str) -> None:
    rows = [{"next": reading(at, timezone), "utc": f"{at:%Y-%m-%d %H:%M:%S}"} for at in instants]
    output.rows(rows, ["next", "utc"], empty="it never fires again")


@schedule.command("next")
@click.argument("name")
@_COUNT
def next_(name: str, count: int) -> None:
    """List the next instants of a schedule."""
    with connection.client() as client:
        found = client.schedules.get(name)
    if output.wants_json():
        output.document({"name": name, "state": state(found), "next": upcoming(found, count)})
        return
    _tell_next(found, count)


@schedule.command()
@click.argument("expression", metavar="CRON")
@click.option("--timezone", default="UTC", show_default=True, help="Where it is read.")
@_COUNT
@click.option("--after", metavar="INSTANT", help="From then on, in place of now.")
def explain(expression: str, timezone: str, count: int, after: str | None) -> None:
    """Say in English what a cron expression means, and when it fires next.

    Asks no database.

    \b
    Example:
      pgflow schedule explain '30 2 * * SUN#1' --timezone Europe/Berlin
    """
    found = cron.Cron(expression, timezone)
    since = datetime.now(UTC) if after is None else cron.instant(after, timezone)
    instants = found.next(count, since)
    if output.wants_json():
        output.document(
            {"cron": expression, "timezone": timezone, "explanation": found.explain(), "next": instants}
            | {"follows_the_clock": found.follows}
        )
        return
    click.echo(found.explain())
    click.echo(
        "where clocks are set forward it skips what they skip; set back, it repeats what they repeat"
        if found.follows
        else "where clocks are set, each of its times still comes once"
    )
    click.echo()
    _print_instants(instants, timezone)


@schedule.command()
@click.argument("name")
@click.option("--limit", type=LIMIT, default=20, show_default=True, help="How many at most.")
@click.option("--before", type=instant, help="Only instants before this one: the next page.")
def history(name: str, limit: int, before: datetime | None) -> None:
    """List what became of a schedule's instants, newest first."""
    with connection.client() as client:
        found = [one._asdict() for one in client.schedules.firings(name, limit=limit, before=before)]
    output.rows(found, ["fire_at", "kind", "state", "run", "outcome", "at"], empty=f"{name} has not fired yet")
    if len(found) == limit:
        output.note(f"older ones: --before {found[-1]['fire_at'].astimezone(UTC).isoformat()}")


@schedule.command()
@_NAMES
def pause(names: tuple[str, ...]) -> None:
    """Let schedules fire no more.

    Until they are resumed. What they have started goes on.
    """
    with connection.client() as client:
        output.verdict("paused", client.schedules.pause(*names), names)


@schedule.command()
@_NAMES
def resume(names: tuple[str, ...]) -> None:
    """Let schedules fire again.

    From now on: what they passed over is not made up for. `pgflow schedule backfill` does that.
    """
    with connection.client() as client:
        output.verdict("resumed", client.schedules.resume(*names), names)


@schedule.command()
@_NAMES
def remove(names: tuple[str, ...]) -> None:
    """Remove schedules.

    Runs that they have started go on.
    """
    with connection.client() as client:
        output.verdict("removed", client.schedules.remove(*names), names)


@schedule.command()
@click.argument("name")
def trigger(name: str) -> None:
    """Start a schedule's run now.

    Whatever its timetable and its overlap policy say. Prints the run's id.
    """
    with connection.client() as client:
        handle = client.schedules.trigger(name)
    if output.wants_json():
        output.document({"id": handle.id})
    else:
        click.echo(handle.id)
