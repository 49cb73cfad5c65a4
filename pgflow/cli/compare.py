"""`pgflow run diff`: what differs between two runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from pgflow import duration
from pgflow.cli import connection, output
from pgflow.cli.parameters import ID
from pgflow.sdk.comparing import MOST_TEXT, Comparison, Difference, Side


@click.command("diff", cls=output.Command)
@click.argument("old", type=ID, metavar="OLD")
@click.argument("new", type=ID, metavar="NEW")
def compare(old: int, new: int) -> None:
    """Show what differs between two runs.

    What they were given, what they came to, the versions that they follow, and by node or step: state, branch, results,
    error, attempts and how long it took.

    \b
    Example:
      pgflow run diff 42 57
    """
    with connection.client() as client:
        found = client.compare(old, new)
    if output.wants_json():
        output.document(found.to_json())
        return
    for line in lines(found):
        click.echo(output.cell("", line))


def lines(found: Comparison) -> Iterator[str]:
    """A line for each difference."""
    for sign, run in (("-", found.old), ("+", found.new)):
        version = "" if run.version is None else f" version {run.version}"
        took = "" if run.seconds is None else f" in {duration.text(round(run.seconds, 3))}"
        error = "" if run.error is None else f": {_error(run.error)}"
        yield f"{sign} {run.id} {run.name}{version}, {run.state}{took}{error}"
    if not found and not found.parts:
        yield "no difference"
        return
    if found.definition is not None:
        yield "definition"
        yield from (f"    {line}" for line in str(found.definition).splitlines())
    yield from (change.text(MOST_TEXT) for change in (*found.input, *found.output))
    for part in found.parts:
        yield from _part(part)
    if found.left_out:
        yield f"{found.left_out} more differences are not shown"


def _part(part: Difference) -> Iterator[str]:
    if part.old is None or part.new is None:
        sign, side = ("+", part.new) if part.old is None else ("-", part.old)
        assert side is not None
        yield f"{sign} {part.name}: {', '.join(_side(side))}"
        return
    yield f"~ {part.name}: {', '.join(_both(part.old, part.new)) or 'another result'}"
    yield from (f"    {change.text(MOST_TEXT)}" for change in part.output)
    if part.more:
        yield "    and more" if part.output else "    the results differ, and are too large to be compared"


def _side(side: Side) -> Iterator[str]:
    yield side.state
    if side.error is not None:
        yield _error(side.error)
    if side.seconds is not None:
        yield duration.text(round(side.seconds, 3))


def _both(old: Side, new: Side) -> Iterator[str]:
    if old.state != new.state:
        yield f"{old.state} -> {new.state}"
    if old.branch != new.branch:
        yield f"branch {old.branch} -> {new.branch}"
    if (old.attempt or 0) > 0 and (new.attempt or 0) > 0 and old.attempt != new.attempt:
        yield f"attempts {old.attempt} -> {new.attempt}"
    if old.error != new.error:
        said: Sequence[str] = ["none" if error is None else _error(error) for error in (old.error, new.error)]
        yield f"error {said[0]} -> {said[1]}"
    if old.seconds is not None and new.seconds is not None:
        yield " -> ".join(duration.text(round(seconds, 3)) for seconds in (old.seconds, new.seconds))


def _error(error: dict[str, Any]) -> str:
    return f"{error.get('type')}: {str(error.get('message')).partition(chr(10))[0]}"
