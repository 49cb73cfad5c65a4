"""`pgflow trigger table`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast, get_args

import click

from pgflow.cli import connection, output
from pgflow.cli.parameters import PRIORITY, duration, pair
from pgflow.engine.table_triggers import TableTrigger
from pgflow.errors import ArgumentError
from pgflow.sdk.registry.table_triggers import OPS, Change, OnError, Runs

F = TypeVar("F", bound=Callable[..., Any])

_EXAMPLE = """as in '{"order_id": "${new.id}"}'"""


def _what(function: F) -> F:
    """What makes up a table trigger."""
    for option in (
        click.option(
            "--on-error", type=click.Choice(get_args(OnError)),
            help="When nothing can be started: fail the change (unless given), or warn and let it pass.",
        ),
        click.option(
            "--runs", type=click.Choice(get_args(Runs)),
            help="Which changes of runs in ctx.tx count: others (unless given) leaves out those of its own runs.",
        ),
        click.option("--direct", is_flag=True, help="Leave out what other triggers change."),
        click.option("--tag", "tags", type=pair, multiple=True, help="A word to find its runs by. Repeat."),
        click.option("--slot", metavar="TEXT", help="Whose share of a limited queue a run takes: ${row.customer}."),
        click.option("--hold", type=duration, help="How long a key is held: until its run ends unless given."),
        click.option("--key", metavar="TEXT", help="While such a run goes on, start no other: order-${row.id}."),
        click.option("--priority", type=PRIORITY, help="How urgent its runs are: normal unless given."),
        click.option("--queue", help="Where they wait: a workflow's own queue unless given, a task's default."),
        click.option(
            "--input", "arguments", metavar="JSON | -", help="The target's arguments; they may hold ${new.id} and such."
        ),
        click.option("--when", metavar="SQL", help="A condition on new and old, as in \"new.status = 'paid'\"."),
        click.option("--columns", metavar="COLUMNS", help="Of updates: only if one of these has another value."),
        click.option("--on", "ops", metavar="CHANGES", help="insert, update, delete; all unless given."),
        click.option("--task", metavar="TASK", help="The task or workflow that it starts."),
        click.option("--table", metavar="TABLE", help='The table: orders, shop.orders, shop."Orders".'),
    ):  # fmt: skip
        function = option(function)
    return function


@click.command(cls=output.Command)
@click.argument("name", required=False)
@_what
@click.option("--remove", is_flag=True, help="Remove it. Runs that it has started go on.")
def table(name: str | None, table: str | None, task: str | None, remove: bool, **given: Any) -> None:
    """Start runs from changes of a table, in the commit that changes a row.

    In the place of the one of that name, if there is one. With NAME alone it is shown; without NAME all are listed.

    \b
    Example:
      pgflow trigger table paid --table orders --on update --columns status \\
        --when "new.status = 'paid'" --task handle_order --input '{"order_id": "${new.id}"}'
    """
    with connection.client() as client:
        if name is None:
            found = [_shown(one) for one in client.table_triggers.list()]
            columns = ["name", "table", "on", "columns", "when", "task", "state"]
            output.rows(found, columns, empty="there are no table triggers; `pgflow trigger table --help` makes one")
        elif remove:
            client.table_triggers.remove(name)
            _tell(name, "removed", "runs that it has started go on")
        elif task is None and table is None:
            output.details(_shown(client.table_triggers.get(name)))
        elif task is None or table is None:
            raise ArgumentError(f"table trigger {name}: it needs --table and --task")
        else:
            done = client.table_triggers.install(name, task, **_change(table=table, **given))
            _tell(name, done, f"changes of {table} start {task}")


def _tell(name: str, done: str, what: str) -> None:
    if output.wants_json():
        output.document({"name": name, "done": done})
    output.note(f"{name} {done}; {what}")


def _change(
    ops: str | None, columns: str | None, arguments: str | None, tags: Sequence[tuple[str, str]], direct: bool,
    **given: Any,
) -> Change:  # fmt: skip
    change: dict[str, Any] = {word: value for word, value in given.items() if value is not None}
    if ops is not None:
        change["on"] = _words(ops)
        if unknown := [word for word in change["on"] if word not in OPS]:
            raise ArgumentError(f"--on {unknown[0]} is no kind of change", hint=f"some of: {','.join(OPS)}")
    if columns is not None:
        change["columns"] = _words(columns)
    if arguments is not None:
        change["input"] = _object(sys.stdin.read() if arguments == "-" else arguments)
    if tags:
        change["tags"] = dict(tags)
    if direct:
        change["direct"] = True
    return cast(Change, change)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ArgumentError(f"--input is no JSON: {error}", hint=_EXAMPLE) from None
    if not isinstance(value, dict):
        raise ArgumentError("--input is no JSON object", hint=_EXAMPLE)
    return value


def _shown(one: TableTrigger) -> dict[str, Any]:
    return {
        "name": one.name,
        "table": one.table,
        "on": list(one.on),
        "columns": list(one.columns) or None,
        "when": one.when,
        "task": one.start["name"],
        **{word: one.start.get(word) for word in ("queue", "priority", "timeout", "retry", "delay", "tags")},
        "input": one.input,
        "key": one.key,
        "hold": one.start.get("hold"),
        "slot": one.slot,
        "direct": one.direct,
        "runs": one.runs,
        "on_error": one.on_error,
        "state": "enabled" if one.enabled else "disabled",
        "triggers": list(one.triggers),
    }
