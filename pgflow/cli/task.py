"""`pgflow task`, and what it shares with `pgflow run`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from pgflow.cli import connection, output
from pgflow.cli.failures import ExitCode
from pgflow.cli.parameters import ID, LIMIT, STATE
from pgflow.errors import ArgumentError
from pgflow.model import State
from pgflow.sdk.client import Client

COLUMNS = ("id", "name", "queue", "priority", "state", "attempt", "created_at", "due_at", "finished_at")
CHUNK = 500


@click.group(cls=output.Group)
def task() -> None:
    """Look at tasks, cancel them, revive those that failed. A run is a task too."""


@task.command("list")
@click.option("--state", type=STATE, help="Only tasks in this state.")
@click.option("--name", help="Only tasks of this name.")
@click.option("--queue", help="Only tasks of this queue.")
@click.option("--run", "run_id", type=ID, help="Only tasks of this run.")
@click.option("--limit", type=LIMIT, default=50, show_default=True, help="How many at most.")
@click.option("--before", type=ID, help="Only tasks older than this one: the next page.")
def list_(
    state: str | None, name: str | None, queue: str | None, run_id: int | None, limit: int, before: int | None
) -> None:
    """List tasks, newest first."""
    chosen = State(state) if state else None
    list_tasks(
        "tasks", state=chosen, name=name, queue=queue, run_id=run_id, limit=limit, before=before,
    )  # fmt: skip


def list_tasks(what: str, *, limit: int, **filters: Any) -> None:
    """Print a page of tasks."""
    with connection.client() as client:
        found = client.tasks(limit=limit, **filters)
    columns = [name for name in COLUMNS if name != "due_at" or any(row["due_at"] for row in found)]
    output.rows(found, columns, empty=f"no {what}")
    if len(found) == limit:
        output.note(f"older {what}: --before {found[-1]['id']}")


@task.command()
@click.argument("task_id", type=ID, metavar="ID")
def show(task_id: int) -> None:
    """Show a task.

    What was asked for, where it is, how it ended.
    """
    with connection.client() as client:
        output.details(client.show(task_id))


@task.command()
@click.argument("task_ids", type=ID, nargs=-1, required=True, metavar="ID...")
@click.option("--force", is_flag=True, help="Outright: what a workflow registered to be undone is not.")
def cancel(task_ids: tuple[int, ...], force: bool) -> None:
    """Cancel tasks.

    A run goes with all that is in it. What has ended already stays as it is. A workflow that has something to undo is
    told to do so, and ends by itself after that.
    """
    cancel_all(task_ids, force=force)


def cancel_all(task_ids: Sequence[int], *, force: bool = False) -> None:
    """Cancel and say what came of it."""
    cancelled: list[int] = []
    with connection.client() as client:
        for part in output.progress(_chunks(task_ids), "cancelling"):
            cancelled += client.cancel(*part, force=force)
        left = _states(client, set(task_ids) - set(cancelled))
    cleaning_up = [task_id for task_id, state in left.items() if not State(state).final]
    ended_before = {task_id: state for task_id, state in left.items() if task_id not in cleaning_up}
    if output.wants_json():
        output.document({"cancelled": cancelled, "cleaning_up": cleaning_up, "ended_before": ended_before})
        return
    for task_id in cancelled:
        click.echo(task_id)
    output.note(f"cancelled {len(cancelled)} task{'' if len(cancelled) == 1 else 's'}")
    for task_id in cleaning_up:
        output.note(f"{task_id} was told; it is cancelled once it has undone what it has to")
    for task_id, state in ended_before.items():
        output.note(f"{task_id} had ended before: {state}")


def _chunks(task_ids: Sequence[int]) -> list[Sequence[int]]:
    return [task_ids[start : start + CHUNK] for start in range(0, len(task_ids), CHUNK)]


def _states(client: Client, task_ids: set[int]) -> dict[int, str]:
    return {task_id: str(client.show(task_id)["state"]) for task_id in sorted(task_ids)}


@task.command()
@click.argument("task_ids", type=ID, nargs=-1, metavar="[ID...]")
@click.option("--name", help="All dead letters of this task.")
@click.option("--queue", help="All dead letters of this queue.")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--limit", type=LIMIT, default=1000, show_default=True, help="How many at most, newest first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def redrive(
    task_ids: tuple[int, ...], name: str | None, queue: str | None, everything: bool, limit: int, yes: bool
) -> ExitCode | None:
    """Revive failed or cancelled tasks.

    By ID or by filter, with a full allowance of attempts. By filter, tells how many there are and asks before it does
    anything, if there is a terminal to ask on.
    """
    filtered = name is not None or queue is not None or everything
    if filtered == bool(task_ids):
        raise ArgumentError("say which tasks: either by ID, or by --name, --queue or --all")
    with connection.client() as client:
        wanted = list(dict.fromkeys(task_ids)) or _dead_letters(client, name, queue, limit)
        if filtered and wanted and not yes and output.is_interactive():
            click.confirm(f"redrive {len(wanted)} tasks?", abort=True, err=True)
        revived: list[int] = []
        for part in output.progress(_chunks(wanted), "redriving"):
            revived += client.redrive(*part)
        left = {} if filtered else _states(client, set(wanted) - set(revived))
    if output.wants_json():
        output.document({"redriven": revived, "refused": left})
    else:
        for task_id in revived:
            click.echo(task_id)
        output.note(f"redrove {len(revived)} task{'' if len(revived) == 1 else 's'}")
        for task_id, state in left.items():
            output.note(f"{task_id} is {state}: only failed and cancelled tasks are redriven")
    return ExitCode.FAILED if left else None


def _dead_letters(client: Client, name: str | None, queue: str | None, limit: int) -> list[int]:
    found: list[int] = []
    while len(found) < limit:
        page = client.tasks(
            state=State.FAILED, name=name, queue=queue, limit=min(CHUNK, limit - len(found)),
            before=found[-1] if found else None,
        )  # fmt: skip
        if not page:
            break
        found += [row["id"] for row in page]
    return found
