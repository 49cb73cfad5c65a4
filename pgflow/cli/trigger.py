"""`pgflow trigger`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

import click

from pgflow import duration as durations
from pgflow.cli import connection, output
from pgflow.cli.parameters import PRIORITY, duration, pair
from pgflow.cli.trial import COMMANDS as TRIALS
from pgflow.engine.triggers import Trigger
from pgflow.errors import ArgumentError
from pgflow.sdk.registry.triggers import UNSIGNED, When
from pgflow.signature import TOLERANCE, Form, Kind, Scheme

F = TypeVar("F", bound=Callable[..., Any])

_NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")


@click.group(cls=output.Group)
def trigger() -> None:
    """Start runs from HTTP requests, application events and changes of tables."""


for _command in TRIALS:
    trigger.add_command(_command)
if find_spec("pgflow.cli.trigger_table"):
    trigger.add_command(import_module("pgflow.cli.trigger_table").table)


def _target(function: F) -> F:
    """What both kinds of triggers take."""
    for option in (
        click.option("--tag", "tags", type=pair, multiple=True, help="A word to find its runs by. Repeat."),
        click.option("--priority", type=PRIORITY, help="How urgent its runs are: normal unless given."),
        click.option(
            "--queue", help="Where they wait: a workflow's in its own queue unless given, a task's in default."
        ),
        click.option("--filter", "condition", metavar="EXPRESSION", help="What it does not hold for starts nothing."),
        click.option("--input", "arguments", metavar="JSON | -", help="The target's arguments; they may hold ${...}."),
        click.option("--task", required=True, metavar="TASK", help="The task or workflow that it starts."),
    ):
        function = option(function)
    return function


@trigger.command()
@click.argument("name")
@click.option("--path", required=True, help="Where it listens, below /hooks/.")
@_target
@click.option(
    "--signature", type=click.Choice([*(kind.value for kind in Kind), UNSIGNED]), default="standard", show_default=True,
    help="How requests are signed.",
)  # fmt: skip
@click.option("--secret", "secrets", multiple=True, metavar="NAME", help="A stored secret that may sign. Repeat.")
@click.option("--signature-header", metavar="HEADER", help="Of `header`: which one.")
@click.option(
    "--signature-form", type=click.Choice([form.value for form in Form]), default="hex", show_default=True,
    help="Of `header`: what it holds.",
)  # fmt: skip
@click.option("--signature-prefix", default="", metavar="TEXT", help="Of `header`: what stands before that.")
@click.option(
    "--tolerance", type=duration, default=TOLERANCE, help="How old, or new, a signed timestamp may be: 5m unless given."
)
@click.option("--header", "headers", multiple=True, metavar="HEADER", help="One that is kept for expressions. Repeat.")
@click.option("--id-header", "id_headers", multiple=True, metavar="HEADER", help="Where a delivery's id is. Repeat.")
@click.option("--id", "id_expression", metavar="EXPRESSION", help="A delivery's id, as in body.id.")
@click.option("--keep", type=duration, help="How long a delivery's id is remembered: 3d unless given.")
@click.option("--limit", type=click.IntRange(0), metavar="BYTES", help="The largest body.")
def webhook(
    name: str, path: str, task: str, arguments: str | None, condition: str | None, queue: str | None,
    priority: str | None, tags: Sequence[tuple[str, str]], signature: str, secrets: Sequence[str],
    signature_header: str | None, signature_form: str, signature_prefix: str, tolerance: float, headers: Sequence[str],
    id_headers: Sequence[str], id_expression: str | None, keep: float | None, limit: int | None,
) -> None:  # fmt: skip
    """Start runs from HTTP requests.

    In the place of a trigger of that name, if there is one. --input and --filter may refer to body, headers, delivery,
    trigger and received_at; without --input the target is given body and headers.

    \b
    Example:
      pgflow secret set SHOP_SECRET
      pgflow trigger webhook orders --path shop/orders --secret SHOP_SECRET \\
        --task fulfil --input '{"order": "${body.order}"}' --filter 'body.paid'
    """
    if id_headers and id_expression:
        raise ArgumentError("--id and --id-header exclude each other", hint="where the id is, is told once")
    when = _when(arguments, condition, queue, priority, tags)
    when["path"] = path
    when["signature"] = signature
    if signature != UNSIGNED:
        when["signature"] = Scheme(
            Kind(signature), signature_header, Form(signature_form), signature_prefix, tolerance
        )  # fmt: skip
    when["secrets"] = secrets
    when["headers"] = headers
    if id_headers or id_expression:
        when["delivery"] = id_expression or id_headers
    if keep is not None:
        when["keep"] = keep
    if limit is not None:
        when["limit"] = limit
    _put(name, task, when, f"it listens at /hooks/{path.removeprefix('/hooks/').strip('/')}")


@trigger.command()
@click.argument("name")
@click.option("--event", "pattern", required=True, metavar="EVENT", help="Its name, or the beginning of names and *.")
@_target
def event(
    name: str, pattern: str, task: str, arguments: str | None, condition: str | None, queue: str | None,
    priority: str | None, tags: Sequence[tuple[str, str]],
) -> None:  # fmt: skip
    """Start runs from application events.

    In the place of a trigger of that name, if there is one. --input and --filter may refer to event, with its name,
    payload, key, id and at; without --input the target is given event.

    \b
    Example:
      pgflow trigger event paid --event order/paid --task ship \\
        --input '{"order": "${event.payload.order}"}' --filter 'event.payload.total > 100.0'
    """
    when = _when(arguments, condition, queue, priority, tags)
    when["event"] = pattern
    _put(name, task, when, f"it is started by {pattern}")


def _when(
    arguments: str | None, condition: str | None, queue: str | None, priority: str | None,
    tags: Sequence[tuple[str, str]],
) -> When:  # fmt: skip
    when = When()
    if arguments is not None:
        when["input"] = _object(sys.stdin.read() if arguments == "-" else arguments)
    if condition is not None:
        when["filter"] = condition
    if queue is not None:
        when["queue"] = queue
    if priority is not None:
        when["priority"] = priority
    if tags:
        when["tags"] = dict(tags)
    return when


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ArgumentError(f"--input is no JSON: {error}", hint="""as in '{"order": "${body.order}"}'""") from None
    if not isinstance(value, dict):
        raise ArgumentError("--input is no JSON object", hint="""as in '{"order": "${body.order}"}'""")
    return value


def _put(name: str, task: str, when: When, what: str) -> None:
    with connection.client() as client:
        done = client.triggers.put(name, task, **when)
    if output.wants_json():
        output.document({"name": name, "done": done})
    output.note(f"{name} {done}; {what}")


@trigger.command("list")
@click.option("--kind", type=click.Choice(["webhook", "event"]), help="Only these.")
def list_(kind: str | None) -> None:
    """List the triggers."""
    with connection.client() as client:
        found = [_shown(one) for one in client.triggers.list(kind)]
    columns = ["name", "kind", "listens", "task", "filter", "state"]
    output.rows(found, columns, empty="there are no triggers; `pgflow trigger webhook --help` makes one")


@trigger.command()
@click.argument("name")
def show(name: str) -> None:
    """Show a trigger."""
    with connection.client() as client:
        output.details(_shown(client.triggers.get(name)))


def _shown(one: Trigger) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": one.name,
        "kind": one.kind,
        "listens": f"/hooks/{one.path}" if one.path else one.event,
        "state": "paused" if one.paused_at else "active",
        "task": one.start["name"],
        **{word: one.start.get(word) for word in ("queue", "priority", "timeout", "retry", "delay", "tags", "input")},
        "filter": one.filter,
    }
    if one.kind == "webhook":
        stored = dict(one.settings)
        scheme = stored.pop("signature") or {"kind": UNSIGNED}
        shown |= {"signature": scheme["kind"]} | stored
        shown["keep"] = stored["keep"] if output.wants_json() else durations.text(stored["keep"])
        if scheme["kind"] == Kind.HEADER:
            shown |= {f"signature_{word}": scheme[word] for word in ("header", "form", "prefix")}
    more = ("paused_at", "paused_by", "source", "revision", "created_at", "changed_at", "actor")
    return shown | {word: getattr(one, word) for word in more}


@trigger.command()
@_NAMES
def pause(names: tuple[str, ...]) -> None:
    """Let triggers start nothing more.

    Senders of webhooks are told to come again. What was received already is started all the same.
    """
    with connection.client() as client:
        output.verdict("paused", client.triggers.pause(*names), names)


@trigger.command()
@_NAMES
def resume(names: tuple[str, ...]) -> None:
    """Let triggers start runs again."""
    with connection.client() as client:
        output.verdict("resumed", client.triggers.resume(*names), names)


@trigger.command()
@_NAMES
def remove(names: tuple[str, ...]) -> None:
    """Remove triggers.

    Runs that they have started go on.
    """
    with connection.client() as client:
        output.verdict("removed", client.triggers.remove(*names), names)


@trigger.command()
@click.argument("name")
@click.argument("secret", metavar="SECRET")
@click.option(
    "--keep", type=click.IntRange(0, 10), default=1, show_default=True, help="How many of those before may still sign."
)
def rotate(name: str, secret: str, keep: int) -> None:
    """Check a webhook with another secret.

    SECRET is the name of a stored one. Those before it may sign too until they are dropped: rotate to the same SECRET
    with --keep 0 once the sender uses it.
    """
    with connection.client() as client:
        secrets = client.triggers.rotate(name, secret, keep=keep)
    if output.wants_json():
        output.document({"name": name, "secrets": secrets})
    output.note(f"{name} is signed with {' or '.join(secrets)}")
