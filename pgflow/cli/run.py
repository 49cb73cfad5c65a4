"""`pgflow run`."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

import click

from pgflow import codec, config
from pgflow.cli import connection, graph_state, output, standing
from pgflow.cli.check import replay
from pgflow.cli.failures import ExitCode
from pgflow.cli.history import history
from pgflow.cli.parameters import ID, LIMIT, PRIORITY, STATE, duration, instant, pair
from pgflow.cli.steering import COMMANDS as STEERING
from pgflow.cli.task import COLUMNS, list_tasks
from pgflow.engine import definitions, diagnosis
from pgflow.engine.diagnosis import Registered
from pgflow.engine.enqueue import Request, Spec
from pgflow.errors import ArgumentError, NotFound, TaskCancelled, TaskFailed
from pgflow.model import Priority, State
from pgflow.sdk.client import Client
from pgflow.sdk.registry.start import queue_in
from pgflow.sdk.task import check_queue


@click.group(cls=output.Group)
def run() -> None:
    """Start runs, see what becomes of them, change it. A run is a task that was asked for, with all its children."""


for _command in (*STEERING, history, replay):
    run.add_command(_command)


@run.command()
@click.argument("name")
@click.argument("arguments", default="{}", metavar="[JSON | -]")
@click.option("--key", help="Starts at most one: a second start with the key gives the first one's id.")
@click.option("--delay", type=duration, help="Start no sooner than this from now, as in 1h30m.")
@click.option("--at", type=instant, help="Start no sooner than this, as in 2026-05-01T09:00 (local) or with a Z.")
@click.option("--queue", help="Where it waits: a workflow in its own queue, a task in `default`, unless given.")
@click.option("--priority", type=PRIORITY, help="A graph's own, else normal, unless given.")
@click.option("--tag", "tags", type=pair, multiple=True, help="A word to find it by. Repeat.")
@click.option("--wait", is_flag=True, help="Wait for the result, as `pgflow run result` does.")
@click.option("--timeout", type=duration, help="Wait no longer than this.")
def start(
    name: str, arguments: str, key: str | None, delay: float | None, at: datetime | None, queue: str | None,
    priority: str | None, tags: Sequence[tuple[str, str]], wait: bool, timeout: float | None,
) -> ExitCode | None:  # fmt: skip
    """Start a run of the task or workflow NAME.

    Its arguments go by name, as a JSON object, or - to read one from standard input.

    Prints the run's id. A task's own queue is known to its code alone: name it with --queue. That of a workflow is
    known once a worker has had its code.

    \b
    Example:
      pgflow run start send_email '{"to": "ann@example.com", "template": "welcome"}' --queue mail --wait
    """
    if delay is not None and at is not None:
        raise ArgumentError("--delay and --at exclude each other")
    if timeout is not None and not wait:
        raise ArgumentError("--timeout is for --wait")
    if not name.strip() or len(name) > 200:
        raise ArgumentError("a task's name is 1 to 200 characters long")
    if key is not None and not 0 < len(key) <= 500:
        raise ArgumentError("a key is 1 to 500 characters long")
    text = sys.stdin.read() if arguments == "-" else arguments
    given, limit = _arguments(text), config.load().payload_limit
    if queue is not None:
        check_queue(queue, "--queue")
    with connection.session("cli") as session:
        client = Client(config.load(), actor=connection.actor()).on(session.connection)
        known = session.run(definitions.newest(name))
        graph = known is not None and known.kind == "graph"
        if known is not None and graph:
            from pgflow.nodes import publishing_verbs  # who starts no graph does not pay for importing it

            options = publishing_verbs.Asked(key, dict(tags), priority, delay, at, queue)
            asked = publishing_verbs.request(name, known.document, given, options, limit=limit)
        else:
            spec = Spec(name, queue or queue_in(known), Priority[(priority or "normal").upper()])
            payload = codec.encode(given, limit=limit)
            asked = Request(spec, payload, key, delay, at, codec.encode(dict(tags)) if tags else None)
        (handle,) = client.enqueue_many([asked])
        crew = session.run(diagnosis.registered())
        warning = _unheard(crew, name, asked.spec.queue, graph=graph)
        if handle.existed:
            output.note(f"the key is taken: this is the run that holds it, {handle.id}")
        elif warning:
            output.note(f"note: {warning}")
        if wait:
            return _result(client, handle.id, timeout)
    if output.wants_json():
        output.document({"id": handle.id, "existed": handle.existed, "warning": warning})
    else:
        click.echo(handle.id)
    return None


def _arguments(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ArgumentError(
            f"the arguments are no JSON: {error}", hint="""write an object, as in '{"to": "ann@example.com"}'"""
        ) from None
    if not isinstance(value, dict):
        raise ArgumentError(
            f"the arguments have to be a JSON object, not {_KINDS[type(value)]}", hint="arguments go by their names"
        )
    return value


_KINDS = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}


def _refuse_constant(text: str) -> NoReturn:
    raise ArgumentError(f"{text} is no JSON")


def _unheard(crew: Sequence[Registered], name: str, queue: str, *, graph: bool) -> str | None:
    """Why nobody will run this task as things are, if so."""
    if not crew:
        return "no worker is running; start one with `pgflow worker`"
    knowing = [worker for worker in crew if graph or name in worker.tasks]  # every worker can follow a graph
    if not knowing:
        close = difflib.get_close_matches(name, {task for worker in crew for task in worker.tasks})
        meant = f"; did you mean {' or '.join(close)}?" if close else "; it waits until one has"
        return f"no running worker has code for a task named {name!r}{meant}"
    served = sorted({served for worker in knowing for served in worker.queues})
    if queue not in served:
        return f"no running worker that knows {name!r} serves the queue {queue!r}; they serve: {', '.join(served)}"
    return None


@run.command("list")
@click.option("--state", type=STATE, help="Only runs in this state.")
@click.option("--name", help="Only runs of this task.")
@click.option("--queue", help="Only runs of this queue.")
@click.option("--limit", type=LIMIT, default=50, show_default=True, help="How many at most.")
@click.option("--before", type=ID, help="Only runs older than this one: the next page.")
def list_(state: str | None, name: str | None, queue: str | None, limit: int, before: int | None) -> None:
    """List runs, newest first."""
    chosen = State(state) if state else None
    list_tasks(
        "runs", roots_only=True, state=chosen, name=name, queue=queue, limit=limit, before=before,
    )  # fmt: skip


@run.command()
@click.argument("run_id", type=ID, metavar="ID")
def show(run_id: int) -> None:
    """Show a run.

    What was asked for, where it is, how it ended, and its children; of a graph, what became of its nodes.
    """
    with connection.client() as client:
        shown = _root(client, run_id)
        children = [row for row in client.tasks(run_id=run_id, limit=101) if row["id"] != run_id]
        things = client.standing(run_id)
        told = client.state(run_id)
        graph = graph_state.of(client, run_id)
    if output.wants_json():
        kept_by = [thing._asdict() for thing in things]
        document = {**shown, "told": told, "standing": kept_by, "children": children}
        output.document(document | ({} if graph is None else graph_state.document(graph)))
        return
    if told is not None:  # its own word for where it is, beside the engine's
        shown |= {"told": told["state"], "progress": told["progress"], "note": told["note"]}
    output.details(shown)
    for line in standing.lines(things, run_id, str(shown["state"])):
        click.echo(output.cell("", line))
    if graph is not None:
        graph_state.show(graph)
    elif children:
        click.echo()
        output.rows(children, ("id", "parent_id", *COLUMNS[1:]), empty="")


def _root(client: Client, run_id: int) -> dict[str, Any]:
    shown = dict(client.show(run_id))
    if shown["parent_id"] is not None:
        raise NotFound(
            f"{run_id} is no run, but a task of run {shown['root_id']}", hint=f"see `pgflow task show {run_id}`"
        )
    del shown["root_id"], shown["parent_id"], shown["step"]
    return shown


@run.command()
@click.argument("run_id", type=ID, metavar="ID")
@click.option("--timeout", type=duration, help="Wait no longer than this; for ever unless given.")
def result(run_id: int, timeout: float | None) -> ExitCode | None:
    """Wait for a run's result.

    Prints it as JSON. Exits with 1 when the run failed or was cancelled, with 6 when the time was over.
    """
    with connection.client() as client:
        return _result(client, run_id, timeout)


def _result(client: Client, run_id: int, timeout: float | None) -> ExitCode | None:
    try:
        value: Any = client.result(run_id, timeout=timeout)
    except (TaskFailed, TaskCancelled) as error:
        if not output.wants_json():
            error.hint = f"`pgflow task show {run_id}` has the details"
            raise
    else:
        if not output.wants_json():
            output.document(value)
            return None
    shown = client.show(run_id)
    output.document({name: shown[name] for name in ("id", "state", "output", "error", "attempt", "finished_at")})
    return ExitCode.OK if shown["state"] in {State.COMPLETED, State.SKIPPED} else ExitCode.FAILED
