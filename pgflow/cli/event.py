"""`pgflow event`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from pgflow.cli import connection, output
from pgflow.cli.parameters import ID, LIMIT
from pgflow.engine import emissions
from pgflow.errors import ArgumentError


@click.group(cls=output.Group)
def event() -> None:
    """Emit application events, and look at them. They start what has a trigger for them, and wake who waits."""


def payload_of(text: str) -> Any:
    """A payload given as JSON, or - for standard input."""
    try:
        return json.loads(sys.stdin.read() if text == "-" else text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ArgumentError(f"the payload is no JSON: {error}", hint="""a text needs quotes, as in '"yes"'""") from None


@event.command()
@click.argument("name")
@click.argument("payload", default="null", metavar="[JSON | -]")
@click.option("--key", help="Whom or what it is about: waits for this key see it, and waits for none.")
@click.option("--id", "given_id", metavar="TEXT", help="One of your own: the same id emits once.")
def emit(name: str, payload: str, key: str | None, given_id: str | None) -> None:
    """Emit the event NAME. Prints the id of the run that tells of it.

    \b
    Example:
      pgflow event emit order/paid '{"amount": 450}' --key order-42 --id payment-7
    """
    value = payload_of(payload)
    with connection.client() as client:
        handle = client.emit(name, value, key=key, id=given_id)
    if output.wants_json():
        output.document({"id": handle.id, "event": name, "existed": handle.existed})
        return
    click.echo(handle.id)
    if handle.existed:
        output.note(f"{name} was emitted before with the id {given_id}")


@event.command("list")
@click.option("--name", help="Only events of this name.")
@click.option("--key", help="Only events with this key.")
@click.option("--limit", type=LIMIT, default=50, show_default=True, help="How many at most.")
@click.option("--before", type=ID, help="Only events older than this one: the next page.")
def list_(name: str | None, key: str | None, limit: int, before: int | None) -> None:
    """List events, newest first, with the run that tells of each and its state."""
    with connection.session("cli") as session:
        found = session.run(emissions.emissions(name=name, key=key, before=before, limit=limit))
    output.rows(found, ("id", "name", "key", "at", "task_id", "state", "payload"), empty="no events")
