"""`pgflow audit`."""

from __future__ import annotations

import click
from psycopg import errors as pg

from pgflow import config
from pgflow.cli import connection, output
from pgflow.cli.parameters import pair
from pgflow.engine.audit import Audit, Parameter, audits
from pgflow.engine.audit import audit as find
from pgflow.errors import ArgumentError

# A person's question about everything is planned for what the tables hold now, and writes nothing.
_SETTINGS = {
    "enable_seqscan": "on",
    "enable_bitmapscan": "on",
    "plan_cache_mode": "auto",
    "default_transaction_read_only": "on",
}


@click.command(cls=output.Command)
@click.argument("name", required=False)
@click.argument("values", nargs=-1, type=pair, metavar="[NAME=VALUE]...")
@click.option("--sql", "as_sql", is_flag=True, help="Only print the SQL with the values in it, as for psql.")
def audit(name: str | None, values: tuple[tuple[str, str], ...], as_sql: bool) -> None:
    """Ask a prepared question about what happened. Without a NAME, lists them all with their parameters.

    \b
    Examples:
      pgflow audit dead_letters since='2 days' limit=10
      pgflow audit run_timeline run=4711
      pgflow audit failures_by_error --sql | psql "$PGFLOW_DATABASE_URL"
    """
    if name is None:
        _list()
        return
    asked = find(name)
    given = dict(values)
    if as_sql:
        click.echo(asked.text(given, config.load().schema_name))
        return
    call = asked.call(given)
    with connection.session("audit", **_SETTINGS) as session:
        try:
            found = session.run(call)
        except (pg.DataError, pg.InvalidTextRepresentation) as error:
            raise ArgumentError(
                f"the audit {name} cannot use a value: {str(error).splitlines()[0]}",
                hint=f"it takes: {', '.join(f'{p.name} ({p.type})' for p in asked.parameters)}",
            ) from error
    output.rows(found, asked.columns, empty="nothing")


def _list() -> None:
    if output.wants_json():
        output.document([_described(audit) for audit in audits()])
        return
    lines = [
        {"audit": audit.name, "purpose": audit.purpose, "parameters": " ".join(map(_shown, audit.parameters))}
        for audit in audits()
    ]
    output.rows(lines, ("audit", "parameters", "purpose"), empty="")


def _shown(parameter: Parameter) -> str:
    if parameter.default is None:
        return f"{parameter.name}=..."
    quoted = f"'{parameter.default}'" if " " in parameter.default else parameter.default
    return f"{parameter.name}={quoted}"


def _described(audit: Audit) -> dict[str, object]:
    return {
        "name": audit.name,
        "purpose": audit.purpose,
        "columns": list(audit.columns),
        "parameters": [{"name": p.name, "type": p.type, "default": p.default} for p in audit.parameters],
    }
