"""`pgflow queue`."""

from __future__ import annotations

import click

from pgflow.cli import connection, output
from pgflow.sdk.task import check_queue


@click.group(cls=output.Group)
def queue() -> None:
    """Look at queues; stop and resume claiming from them."""


@queue.command("list")
def list_() -> None:
    """List the queues.

    All that have a task in motion, a worker or a setting.
    """
    with connection.client() as client:
        found = client.queues()
    columns = ["name", "queued", "running", "delayed", "oldest", "workers"]
    if any(row["paused_at"] for row in found):
        columns += ["paused_at", "paused_by"]
    output.rows(found, columns, empty="no queue has a task or a worker")


@queue.command()
@click.argument("name")
def pause(name: str) -> None:
    """Stop claiming from a queue.

    Until it is resumed. Running tasks go on.
    """
    check_queue(name, "pause")
    with connection.client() as client:
        client.pause_queue(name)
    if output.wants_json():
        output.document({"queue": name, "paused": True})
    output.note(f"paused {name}; `pgflow queue resume {name}` resumes it")


@queue.command()
@click.argument("name")
def resume(name: str) -> None:
    """Claim from a queue again."""
    check_queue(name, "resume")
    with connection.client() as client:
        was_paused = client.resume_queue(name)
    if output.wants_json():
        output.document({"queue": name, "paused": False, "was_paused": was_paused})
    output.note(f"resumed {name}" if was_paused else f"{name} was not paused")
