"""`pgflow workflow draft`: what somebody works on before it is published."""

from __future__ import annotations

from typing import Any

import click

from pgflow.cli import connection, output
from pgflow.cli.workflow_file import open_file
from pgflow.engine.definitions import Draft
from pgflow.errors import ArgumentError
from pgflow.graph.writing import to_yaml
from pgflow.nodes.publishing import Workflows

_NAME = click.argument("name")
_REVISION = click.option(
    "--revision", type=click.IntRange(0), help="Only if it has this revision; 0: if there is none."
)


@click.group(cls=output.Group)
def draft() -> None:
    """Keep what is not ready yet, and publish it."""


def _properties(found: Draft) -> dict[str, Any]:
    return {
        "name": found.name, "revision": found.revision, "base": found.base or None, "created_at": found.created_at,
        "changed_at": found.changed_at, "actor": found.actor,
    }  # fmt: skip


@draft.command()
@_NAME
def show(name: str) -> None:
    """Print a draft, as YAML."""
    with connection.client() as client:
        found = Workflows(client).draft(name)
    if output.wants_json():
        output.document(_properties(found) | {"document": found.document})
        return
    click.echo(to_yaml(found.document), nl=False)
    by = f" by {found.actor}" if found.actor else ""
    output.note(f"revision {found.revision}, {output.cell('', found.changed_at)}{by}")


@draft.command()
@click.argument("file")
@_REVISION
def save(file: str, revision: int | None) -> None:
    """Store a file as a draft of the workflow that it names.

    It need not make sense yet. - reads standard input.
    """
    source = open_file(file)
    name = source.value.get("name") if isinstance(source.value, dict) else None
    if not isinstance(name, str):
        raise ArgumentError(f"{file} does not say whose draft it is", hint="it has to have a `name`")
    with connection.client() as client:
        found = Workflows(client).save_draft(name, source.value, revision=revision)
    if output.wants_json():
        output.document(_properties(found))
    else:
        output.note(f"the draft of {name} is at revision {found.revision}")


@draft.command()
@_NAME
@_REVISION
@click.option("--force", is_flag=True, help="Also when a version was published since it was begun.")
def publish(name: str, revision: int | None, force: bool) -> None:
    """Publish a draft."""
    with connection.client() as client:
        done = Workflows(client).publish_draft(name, revision=revision, force=force)
    if output.wants_json():
        output.document({"name": name, "version": done.version, "done": done.done, "triggers": dict(done.triggers)})
    else:
        output.note(f"{name} version {done.version} {done.done}")


@draft.command()
@_NAME
@_REVISION
def discard(name: str, revision: int | None) -> None:
    """Drop a draft."""
    with connection.client() as client:
        Workflows(client).discard_draft(name, revision=revision)
    if output.wants_json():
        output.document({"name": name, "discarded": True})
    else:
        output.note(f"the draft of {name} is gone")
