"""`pgflow approval`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import click

from pgflow.cli import connection, output
from pgflow.cli.parameters import ID, LIMIT
from pgflow.engine.approvals import Approval
from pgflow.errors import ArgumentError
from pgflow.sdk.registry.approvals import STATES

F = TypeVar("F", bound=Callable[..., Any])


@click.group(cls=output.Group)
def approval() -> None:
    """List what people are asked to decide; approve, reject."""


@approval.command("list")
@click.option("--state", type=click.Choice([*STATES, "all"]), default="pending", show_default=True)
@click.option("--for", "names", multiple=True, metavar="NAME", help="Only what NAME may decide now. Repeat.")
@click.option("--run", type=ID, help="Only those of this run.")
@click.option("--workflow", metavar="NAME", help="Only those of this workflow.")
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="How many.")
def list_(state: str, names: Sequence[str], run: int | None, workflow: str | None, limit: int) -> None:
    """List what people are asked, newest first."""
    with connection.client() as client:
        found = client.approvals.list(
            state=None if state == "all" else state, assignee=names or None, run=run, workflow=workflow, limit=limit
        )
    columns = ["id", "title", "workflow", "run_id", "assignees", "asked_at", "due_at"]
    if state != "pending":
        columns += ["state", "decided_by"]
    output.rows([asdict(one) for one in found], columns, empty="nobody is asked anything")


@approval.command()
@click.argument("id", type=ID)
def show(id: int) -> None:
    """Show all about a question."""
    with connection.client() as client:
        output.details(_shown(client.approvals.get(id)))


def _shown(one: Approval) -> dict[str, Any]:
    if output.wants_json():
        return asdict(one)
    empty = {"form": one.form or None, "assignees": one.assignees or None, "escalations": one.escalations or None}
    return asdict(one) | empty


def _deciding(function: F) -> F:
    """What both decisions take."""
    for option in (
        click.option("--by", metavar="NAME", help="Who decides; you on this host unless given."),
        click.option("--group", "groups", multiple=True, metavar="NAME", help="What else they go by. Repeat."),
        click.option("--comment", help="For whoever reads it."),
        click.option("--form", metavar="JSON | -", help="What is filled in, as a JSON object."),
        click.argument("id", type=ID),
    ):
        function = option(function)
    return function


@approval.command()
@_deciding
def approve(id: int, form: str | None, comment: str | None, groups: Sequence[str], by: str | None) -> None:
    """Approve. The run goes on at once.

    \b
    Example:
      pgflow approval approve 7 --by ann@example.com --form '{"edition": "morning"}'
    """
    _decide(id, True, form, comment, groups, by)


@approval.command()
@_deciding
def reject(id: int, form: str | None, comment: str | None, groups: Sequence[str], by: str | None) -> None:
    """Reject. The run goes on at once."""
    _decide(id, False, form, comment, groups, by)


def _decide(
    id: int, approved: bool, form: str | None, comment: str | None, groups: Sequence[str], by: str | None
) -> None:
    with connection.client() as client:
        done = client.approvals.decide(id, approved, form=_object(form), comment=comment, actor=by, groups=groups)
    if output.wants_json():
        output.document(asdict(done))
    output.note(f"{done.state} {id}; run {done.run_id} goes on")


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(sys.stdin.read() if text == "-" else text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ArgumentError(f"--form is no JSON: {error}", hint="""as in '{"edition": "morning"}'""") from None
    if not isinstance(value, dict):
        raise ArgumentError("--form is no JSON object", hint="""as in '{"edition": "morning"}'""")
    return value
