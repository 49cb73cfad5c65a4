"""The commands of `pgflow run` that change what becomes of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from pgflow.cli import connection, output
from pgflow.cli.compare import compare
from pgflow.cli.event import payload_of
from pgflow.cli.parameters import ID, pair
from pgflow.cli.task import cancel_all
from pgflow.engine.definitions import MOST
from pgflow.errors import ArgumentError
from pgflow.sdk.client import Client
from pgflow.sdk.run_verbs import Version
from pgflow.sdk.task import Key


def _version(text: str) -> Version:
    if text in ("same", "newest"):
        return text  # type: ignore[return-value]
    if not text.isdecimal() or not 0 < int(text) <= MOST:
        raise click.BadParameter(f"{text!r} is no version: same, newest or a number")
    return int(text)


_IDS = click.argument("run_ids", type=ID, nargs=-1, required=True, metavar="ID...")
_SET = click.option(
    "--set", "changes", type=pair, multiple=True, metavar="PATH=VALUE",
    help="Change the input, as in input.order.amount=5; a value that is no JSON is a text. Repeat.",
)  # fmt: skip
_VERSION = click.option(
    "--version", type=_version, metavar="VERSION",
    help="Of a graph: which version it follows: same, newest or a number. Unless given the same if something is kept, "
    "else the newest.",
)  # fmt: skip


@click.command(cls=output.Command)
@_IDS
@click.option("--force", is_flag=True, help="Outright: what workflows registered to be undone is not.")
def cancel(run_ids: tuple[int, ...], force: bool) -> None:
    """Cancel runs.

    All that is in them goes with them. What has ended already stays as it is. A workflow that has something to undo
    (`ctx.compensate`, `ctx.on_cancel`) is told to do so, and ends by itself after that.
    """
    cancel_all(run_ids, force=force)


@click.command(cls=output.Command)
@_IDS
def pause(run_ids: tuple[int, ...]) -> None:
    """Pause runs.

    What is ready in them, and what becomes ready, waits until they are resumed. What is running goes on until it
    suspends or ends; timers go on counting.
    """
    with connection.client() as client:
        _tell("paused", client.pause(*run_ids), run_ids, client)


@click.command(cls=output.Command)
@_IDS
def resume(run_ids: tuple[int, ...]) -> None:
    """Let runs go on.

    Those that are paused, and those that need attention once their code is mended; should it not be, they come back. A
    task of a run that needs attention may be given as well.
    """
    with connection.client() as client:
        _tell("resumed", client.resume(*run_ids), run_ids, client)


def _tell(what: str, done: list[int], asked: Sequence[int], client: Client) -> None:
    left = {id: str(client.show(id)["state"]) for id in dict.fromkeys(asked) if id not in done}
    if output.wants_json():
        output.document({what: done, "left": left})
        return
    for id in done:
        click.echo(id)
    for id, state in left.items():
        output.note(f"{id} is {state}: there was nothing to be {what}")


@click.command(cls=output.Command)
@click.argument("run", metavar="ID | WORKFLOW")
@click.argument("name")
@click.argument("payload", default="null", metavar="[JSON | -]")
@click.option("--key", help="The key that the run of this WORKFLOW was started with.")
def signal(run: str, name: str, payload: str, key: str | None) -> None:
    """Send the signal NAME to a run: by its id, or by its workflow's name and the key it was started with.

    \b
    Examples:
      pgflow run signal 42 confirmed '{"by": "ann"}'
      pgflow run signal signups.signup confirmed '{"by": "ann"}' --key signup-42
    """
    value = payload_of(payload)
    target = Key(run, key) if key is not None else _id(run)
    with connection.client() as client:
        client.signal(target, name, value)
    if output.wants_json():
        to = {"id": target} if isinstance(target, int) else {"workflow": run, "key": key}
        output.document({**to, "signal": name})
    else:
        output.note(f"{name} sent to {run}" + (f" with the key {key}" if key is not None else ""))


def _id(run: str) -> int:
    try:
        return int(ID(run))
    except click.BadParameter:
        raise ArgumentError(f"{run!r} is no run's id", hint="for a workflow's name give --key, too") from None


@click.command(cls=output.Command)
@click.argument("run_id", type=ID, metavar="ID")
@click.option("--from-node", "nodes", multiple=True, metavar="NODE", help="Of a graph: begin from this node. Repeat.")
@click.option("--whole", is_flag=True, help="Of a graph: keep nothing, also of what did not fail.")
@_VERSION
@_SET
def rerun(
    run_id: int, nodes: Sequence[str], whole: bool, version: Version | None, changes: Sequence[tuple[str, str]]
) -> None:
    """Start a run again, as a new run of the same name, input and options.

    A graph begins from the nodes that failed, or from those that are named, with all that is downstream of them; what
    all other nodes came to is kept. If none failed, and all else, from the beginning. Prints the new run's id.

    \b
    Examples:
      pgflow run rerun 42
      pgflow run rerun 42 --from-node clean --version newest --set input.limit=10
    """
    with connection.client() as client:
        edits = _values(changes) or None
        again = client.rerun(run_id, from_node=nodes or None, whole=whole, version=version, set=edits)
        _started(again.id, run_id)


@click.command(cls=output.Command)
@click.argument("run_id", type=ID, metavar="ID")
@click.option(
    "--from-step", required=True, metavar="STEP", help="What it is recorded under, as in charge or charge#2; or a node."
)
@_VERSION
@_SET
def fork(run_id: int, from_step: str, version: Version | None, changes: Sequence[tuple[str, str]]) -> None:
    """Start a new run from a step of a run, or from a node of a graph.

    It takes over what the run had recorded before that step, and does that step anew; of a graph, what is not
    downstream of the node. Prints the new run's id.

    \b
    Example:
      pgflow run fork 42 --from-step charge --set input.amount=5
    """
    with connection.client() as client:
        forked = client.fork(run_id, from_step=from_step, version=version, set=_values(changes) or None)
        _started(forked.id, run_id)


def _values(changes: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {path: _value(text) for path, text in changes}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return text


def _started(id: int, old: int) -> None:
    if output.wants_json():
        output.document({"id": id, "from": old})
    else:
        click.echo(id)


COMMANDS = (cancel, pause, resume, signal, rerun, fork, compare)
