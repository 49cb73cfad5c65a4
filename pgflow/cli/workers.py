"""`pgflow workers`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from pgflow.cli import connection, output


@click.command(cls=output.Command)
@click.option("--all", "everything", is_flag=True, help="Also those that ended within the last day.")
def workers(everything: bool) -> None:
    """List the workers: one a process that runs tasks."""
    with connection.client() as client:
        found = [row for row in client.workers() if everything or row["closed_at"] is None]
    now = datetime.now(UTC)
    for row in found:
        alive = "alive" if row["lease_until"] > now else "silent"
        row["state"] = alive if row["closed_at"] is None else f"ended: {row['closed_why']}"
    columns = ("id", "host", "pid", "state", "queues", "tasks", "concurrency", "running", "started_at", "seen_at")
    output.rows(found, columns, empty="no worker is running; start one with `pgflow worker`, or with `pgflow dev`")
