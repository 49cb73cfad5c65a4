"""`pgflow workflow`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import click

from pgflow.cli import connection, output
from pgflow.cli.failures import ExitCode
from pgflow.cli.parameters import LIMIT, PRIORITY, duration, instant, pair
from pgflow.cli.run import _arguments, _result
from pgflow.cli.workflow_draft import draft
from pgflow.cli.workflow_file import apply, look, refuse, validate
from pgflow.errors import ArgumentError
from pgflow.graph.differences import Differences
from pgflow.graph.document import Definition
from pgflow.graph.schema import schema as json_schema
from pgflow.nodes.kit import node_types
from pgflow.nodes.publishing import Workflows

_NAME = click.argument("name")
_VERSION = click.IntRange(1, 2**31 - 1)


@click.group(cls=output.Group)
def workflow() -> None:
    """Check, publish, compare, start workflows: graphs in YAML or JSON, and what is known of those in code."""


for _command in (validate, apply, draft):
    workflow.add_command(_command)


@workflow.command("list")
@click.option("--limit", type=LIMIT, default=100, show_default=True, help="How many at most.")
@click.option("--after", default="", help="Only names after this one: the next page.")
def list_(limit: int, after: str) -> None:
    """List the workflows, with their newest versions and their drafts."""
    with connection.client() as client:
        found = [one._asdict() for one in Workflows(client).list(limit=limit, after=after)]
    columns = ["name", "version", "kind", "nodes", "created_at", "actor", "draft"]
    output.rows(found, columns, empty="there are no workflows; `pgflow workflow apply FILE` publishes one")
    if len(found) == limit:
        output.note(f"more: --after {found[-1]['name']}")


@workflow.command()
@_NAME
@click.option("--version", type=_VERSION, help="The newest unless given.")
def show(name: str, version: int | None) -> None:
    """Show a version of a workflow: what it takes, its nodes, what starts it."""
    with connection.client() as client:
        found = Workflows(client).get(name, version)
        started_by = _started_by(client, name)
    shown: dict[str, Any] = {
        "name": name, "version": found.version, "kind": found.kind, "created_at": found.created_at,
        "actor": found.actor, "checksum": found.checksum.hex(),
    }  # fmt: skip
    if output.wants_json():
        output.document(shown | {"document": found.document, "started_by": started_by})
        return
    document = found.document
    words = ("title", "description", "doc", "queue", "priority", "timeout", "on_failure", "concurrency", "tags")
    shown |= {word: document.get(word) or None for word in words}
    output.details(shown | {"input": document.get("input") or None, "started_by": started_by or None})
    if found.kind == "graph":
        click.echo()
        output.rows(_nodes(Definition.model_validate(document)), ["node", "type", "after", "rule"], empty="")


def _started_by(client: Any, name: str) -> list[str]:
    everything = (*client.schedules.list(), *client.triggers.list())
    return [one.name for one in everything if one.start["name"] == name and one.paused_at is None]


def _nodes(definition: Definition) -> list[dict[str, Any]]:
    after: dict[str, list[str]] = {}
    for edge in definition.edges:
        condition = edge.branch or edge.when or ("failed" if edge.on_state == "failed" else "")
        after.setdefault(edge.target, []).append(edge.source + (f" ({condition})" if condition else ""))
    return [
        {"node": name, "type": node.type, "after": after.get(name, []), "rule": node.trigger_rule.value}
        for name, node in definition.nodes.items()
    ]


@workflow.command()
@_NAME
@click.option("--limit", type=LIMIT, default=50, show_default=True, help="How many at most.")
@click.option("--before", type=_VERSION, help="Only versions before this one: the next page.")
def versions(name: str, limit: int, before: int | None) -> None:
    """List the versions of a workflow, newest first."""
    with connection.client() as client:
        found = Workflows(client).versions(name, limit=limit, before=before)
    rows = [
        {"version": one.version, "kind": one.kind, "created_at": one.created_at, "actor": one.actor,
         "checksum": one.checksum.hex()[:12]}
        for one in found
    ]  # fmt: skip
    output.rows(rows, ["version", "kind", "created_at", "actor", "checksum"], empty="there are no older ones")


@workflow.command()
@click.argument("target", metavar="NAME | FILE")
@click.argument("old", type=_VERSION, required=False)
@click.argument("new", type=_VERSION, required=False)
@click.option("--draft", "of_draft", is_flag=True, help="Compare with the draft in the place of NEW.")
def diff(target: str, old: int | None, new: int | None, of_draft: bool) -> None:
    """Show what differs between two versions of a workflow.

    Of NAME: between the versions OLD and NEW; by default the newest two. Of a FILE, or with --draft: between the
    newest version, or OLD, and what applying that would make of it.

    \b
    Example:
      pgflow workflow diff daily_report 3 5
      pgflow workflow diff workflows/daily_report.yaml
    """
    is_file = target == "-" or Path(target).suffix in {".yaml", ".yml", ".json"}
    if new is not None and (is_file or of_draft):
        raise ArgumentError("NEW stands in the place of what a file or the draft holds", hint="leave it out")
    later: Definition | None = None
    name = target
    if is_file:
        looked = look(target)
        refuse([looked])
        assert looked.definition is not None
        later, name = looked.definition, looked.definition.name
    with connection.client() as client:
        workflows = Workflows(client)
        found: Differences
        if later is not None:
            found = workflows.diff(name, _or_newest(workflows, name, old), later)
        elif of_draft:
            found = workflows.diff(name, _or_newest(workflows, name, old), workflows.draft(name).document)
        else:
            newest = new or workflows.get(name).version
            before = old if old is not None else max(1, newest - 1)
            found = workflows.diff(name, before, newest)
    if output.wants_json():
        output.document(found.to_json())
    else:
        click.echo(str(found))


def _or_newest(workflows: Workflows, name: str, version: int | None) -> int:
    return workflows.get(name).version if version is None else version


@workflow.command()
@_NAME
@click.option("--version", type=_VERSION, help="The newest unless given.")
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def export(name: str, version: int | None, form: Literal["yaml", "json"]) -> None:
    """Print a definition, as a file that `apply` takes."""
    with connection.client() as client:
        text = Workflows(client).export(name, version, form="json" if output.wants_json() else form)
    click.echo(text, nl=False)


@workflow.command()
def schema() -> None:
    """Print the JSON Schema of definitions, for editors.

    \b
    Example, in the first line of a YAML file:
      # yaml-language-server: $schema=definition.schema.json
    """
    output.document(json_schema(node_types()))


@workflow.command()
@_NAME
@click.argument("arguments", default="{}", metavar="[JSON | -]")
@click.option("--key", help="Starts at most one: a second start with the key gives the first one's id.")
@click.option("--delay", type=duration, help="Start no sooner than this from now, as in 1h30m.")
@click.option("--at", type=instant, help="Start no sooner than this, as in 2026-05-01T09:00 (local) or with a Z.")
@click.option("--queue", help="Where it waits; the definition's unless given.")
@click.option("--priority", type=PRIORITY, help="The definition's unless given.")
@click.option("--tag", "tags", type=pair, multiple=True, help="A word to find it by. Repeat.")
@click.option("--wait", is_flag=True, help="Wait for the result, as `pgflow run result` does.")
@click.option("--timeout", type=duration, help="Wait no longer than this.")
def start(
    name: str, arguments: str, key: str | None, delay: float | None, at: datetime | None, queue: str | None,
    priority: str | None, tags: Sequence[tuple[str, str]], wait: bool, timeout: float | None,
) -> ExitCode | None:  # fmt: skip
    """Start a run of a workflow that is published.

    Its input is a JSON object, or - to read one from standard input. What the workflow does not take is refused; what
    is left out has its default. Prints the run's id.

    \b
    Example:
      pgflow workflow start daily_report '{"day": "2026-05-01"}' --wait
    """
    if timeout is not None and not wait:
        raise ArgumentError("--timeout is for --wait")
    input = _arguments(sys.stdin.read() if arguments == "-" else arguments)
    with connection.client() as client:
        handle = Workflows(client).start(
            name, input, key=key, tags=dict(tags), priority=priority, delay=delay, at=at, queue=queue
        )
        if handle.existed:
            output.note(f"the key is taken: this is the run that holds it, {handle.id}")
        if wait:
            return _result(client, handle.id, timeout)
    if output.wants_json():
        output.document({"id": handle.id, "existed": handle.existed})
    else:
        click.echo(handle.id)
    return None
