"""`pgflow migrate`."""

from __future__ import annotations

import click

from pgflow import config
from pgflow.cli import output
from pgflow.config import Settings
from pgflow.db import connect, migrations
from pgflow.db.migrations import Plan, Step
from pgflow.errors import ArgumentError


@click.command(cls=output.Command)
@click.option("--status", is_flag=True, help="Only say which version the database has and what it lacks.")
@click.option("--plan", "planned", is_flag=True, help="Only list the SQL files that would be applied.")
def migrate(status: bool, planned: bool) -> None:
    """Bring the database to this version's schema.

    It only goes forward, works under one lock, and may be run from many hosts at once.
    """
    if status and planned:
        raise ArgumentError("--status and --plan exclude each other")
    settings = config.load()
    if status:
        _status(settings)
    elif planned:
        _plan(settings)
    else:
        _migrate(settings)


def _look(settings: Settings) -> Plan:
    with connect.open_sync(settings, "migrate", direct=True) as connection:
        return migrations.plan(connection, settings.schema_name)


def _file(step: Step) -> str:
    return f"migrations/{step.name}.sql" if step.version is not None else f"sql/{step.name}.sql"


def _status(settings: Settings) -> None:
    found = _look(settings)
    output.details(
        {
            "schema": settings.schema_name,
            "current": found.current,
            "latest": found.latest,
            "pending": [_file(step) for step in found.pending],
        }
    )


def _plan(settings: Settings) -> None:
    files = [_file(step) for step in _look(settings).pending]
    if output.wants_json():
        output.document(files)
        return
    for file in files:
        click.echo(file)
    if not files:
        output.note("nothing to do")


def _migrate(settings: Settings) -> None:
    applied = migrations.migrate(settings)
    version = migrations.latest_version()
    if output.wants_json():
        output.document({"schema": settings.schema_name, "version": version, "applied": applied})
        return
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"schema {settings.schema_name} is at version {version}")
