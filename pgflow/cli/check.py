"""`pgflow check` and `pgflow run replay`: whether today's code fits what runs have recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click

from pgflow import config
from pgflow.cli import connection, output
from pgflow.cli.failures import ExitCode
from pgflow.cli.parameters import ID
from pgflow.config import Settings
from pgflow.db import connect
from pgflow.db.call import Session
from pgflow.engine import runs, workflows
from pgflow.sdk import loading
from pgflow.sdk.checking import Checker, Finding, Recorded, Verdict
from pgflow.sdk.client import Client
from pgflow.sdk.task import Task
from pgflow.sdk.workflow import Workflow

HISTORIES = 100
"""How many histories are read in one statement."""


@click.command(cls=output.Command)
@click.argument("targets", nargs=-1)
@click.option(
    "--against", metavar="URL", help="The database whose runs to check; the one of the settings unless given."
)
@click.option("--strict", is_flag=True, help="Exit with 1 also when there are runs of which nothing can be told.")
def check(targets: tuple[str, ...], against: str | None, strict: bool) -> ExitCode:
    """Check that the code at hand fits all workflows in flight, before it is deployed.

    Runs the code of the apps in TARGETS (modules, files or folders; this folder unless given) against the history of
    each workflow that has no outcome yet. Calls no step, and writes nothing: the connection is read-only. Lists those
    that would break, and where; exits with 1 if there are any.

    \b
    Example:
      pgflow check shop.flows --against postgresql://readonly@db.example.com/shop
    """
    tasks = loading.load(targets or (".",))
    settings = config.load(database_url=against) if against else config.load()
    found: list[Finding] = []
    counts: Counter[Verdict] = Counter()
    with _reading(settings) as opened, Checker(tasks) as checker:
        connection.require_schema(opened, settings)
        for recorded in in_flight(Session(opened, settings.schema_name), tasks):
            finding = checker.check(recorded)
            counts[finding.verdict] += 1
            if finding.verdict is not Verdict.FITS:
                found.append(finding)
    bad = any(verdict.bad for verdict in counts)
    if output.wants_json():
        output.document(
            {"checked": counts.total(), "verdicts": dict(counts), "findings": [asdict(finding) for finding in found]}
        )
    else:
        for alike in _grouped(found):
            _print(alike)
        click.echo(_summary(counts))
    return ExitCode.FAILED if bad or (strict and counts[Verdict.UNTOLD]) else ExitCode.OK


def _reading(settings: Settings) -> Any:
    return connect.open_sync(settings, "check", default_transaction_read_only="on")


def in_flight(session: Session, tasks: Mapping[str, Task[..., Any]]) -> Iterator[Recorded]:
    """Every workflow without an outcome, with its history, a page at a time."""
    names = [name for name, task in tasks.items() if isinstance(task, Workflow)]
    last: int | None = 0
    while last is not None:
        found, last = session.run(runs.in_flight(names, last))
        for start in range(0, len(found), HISTORIES):
            part = found[start : start + HISTORIES]
            histories = session.run(workflows.history([(one.root_id, one.task_id) for one in part]))
            for one in part:
                yield Recorded(one.task_id, one.root_id, one.name, one.state, one.input, histories.get(one.task_id, []))


def _grouped(found: list[Finding]) -> list[list[Finding]]:
    """Alike ones together, the worst first."""
    order = [Verdict.NO_CODE, Verdict.BREAKS, Verdict.UNTOLD, Verdict.PUT_IN]
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in found:
        key = (finding.verdict, finding.name, finding.message, finding.place, *finding.diff, *finding.put_in)
        groups.setdefault(key, []).append(finding)
    return sorted(groups.values(), key=lambda alike: (order.index(alike[0].verdict), alike[0].name))


def _print(alike: list[Finding]) -> None:
    first = alike[0]
    ids = ", ".join(str(finding.task_id) for finding in alike[:5]) + (", ..." if len(alike) > 5 else "")
    click.echo(f"{first.verdict}: {len(alike)} of {first.name} ({ids})")
    for line in _lines(first):
        click.echo(f"    {output.cell('', line)}")


def _lines(finding: Finding) -> Iterator[str]:
    if finding.message:
        yield finding.message
    if finding.place:
        yield f"at {finding.place}"
    for new in finding.put_in[:5]:
        yield f"not recorded, before or beside what is: {new}"
    if finding.verdict is not Verdict.PUT_IN:
        yield from finding.diff


def _summary(counts: Counter[Verdict]) -> str:
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    total = counts.total()
    return f"{total} workflow{'' if total == 1 else 's'} in flight" + (f": {said}" if said else "")


@click.command(cls=output.Command)
@click.argument("run_id", type=ID, metavar="ID")
@click.argument("targets", nargs=-1)
def replay(run_id: int, targets: tuple[str, ...]) -> ExitCode:
    """Run the code at hand against the history of a run, without effect, and compare.

    The run may be in flight or finished; TARGETS are as for `pgflow worker`, this folder unless given. Exits with 1
    when the code asks for something else, or ends in another way.
    """
    tasks = loading.load(targets or (".",))
    settings = config.load()
    with _reading(settings) as opened, Checker(tasks) as checker:
        connection.require_schema(opened, settings)
        finding = checker.check(Client(settings).on(opened).recorded(run_id))
    if output.wants_json():
        output.document(asdict(finding))
    else:
        click.echo(f"{finding.name} {finding.task_id}, {finding.state}: {finding.verdict}")
        click.echo(f"    {finding.recorded} recorded, {finding.asked} asked for")
        if finding.stands:
            click.echo(f"    the code is {output.cell('', finding.stands)}")
        for line in _lines(finding):
            click.echo(f"    {output.cell('', line)}")
        if finding.reordered:
            output.note("in another order than they were recorded in, which is of no consequence")
    return ExitCode.OK if finding.verdict in {Verdict.FITS, Verdict.PUT_IN} else ExitCode.FAILED
