"""The command line. Modules of commands are imported when their command is used, so that `pgflow --help` is quick."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import click

from pgflow import __version__
from pgflow.cli.failures import EXIT_CODES, ExitCode, report
from pgflow.cli.output import Command, Group
from pgflow.errors import PgflowError

SECTIONS = {
    "Run": {
        "dev": ("pgflow.cli.dev", "Run everything here: database, workers, reloading on change."),
        "worker": ("pgflow.cli.worker", "Run tasks of your apps."),
        "scheduler": ("pgflow.cli.worker", "Stand for leader without running tasks."),
        "api": ("pgflow.cli.api", "Serve the REST API."),
        "migrate": ("pgflow.cli.migrate", "Bring the database to this version's schema."),
    },
    "Look and act": {
        "run": ("pgflow.cli.run", "Start, look at, cancel, pause, signal, fork, replay runs."),
        "task": ("pgflow.cli.task", "List, show, cancel, redrive tasks."),
        "queue": ("pgflow.cli.queue", "List, pause and resume queues."),
        "approval": ("pgflow.cli.approval", "List what people are asked to decide; approve, reject."),
        "bulk": ("pgflow.cli.bulk", "Cancel, pause, resume, redrive, re-run many runs at once."),
        "event": ("pgflow.cli.event", "Emit and list application events."),
        "schedule": ("pgflow.cli.schedule", "Start runs by the clock: at times of day, at intervals, once."),
        "secret": ("pgflow.cli.secret", "Set, list, remove, check secrets; rotate their keys."),
        "subscription": ("pgflow.cli.subscription", "Tell others of events: by webhook, in a chat, by mail."),
        "token": ("pgflow.cli.token", "Make, list, revoke tokens for the REST API."),
        "trigger": ("pgflow.cli.trigger", "Start runs from HTTP requests, events, changes of tables."),
        "user": ("pgflow.cli.user", "Make, list, remove those who sign in to the dashboard."),
        "workflow": ("pgflow.cli.workflow", "Check, publish, compare, start workflows written as graphs."),
        "workers": ("pgflow.cli.workers", "List the workers."),
    },
    "Check": {
        "check": ("pgflow.cli.check", "Check that the code fits all workflows in flight, before it is deployed."),
        "lint": ("pgflow.cli.lint", "Look through workflow code for what breaks its replay."),
        "audit": ("pgflow.cli.audit", "Ask a prepared question about what happened."),
        "doctor": ("pgflow.cli.doctor", "Examine the database and the engine, and say what to do."),
    },
}
_MODULES = {name: module for commands in SECTIONS.values() for name, (module, _) in commands.items()}


class Commands(Group):
    """Finds a command's module when it is needed, and turns every error into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click calls it so)
        """The commands, as the help orders them."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (see above)
        """Import the command."""
        if cmd_name not in _MODULES:
            return None
        try:
            command = getattr(import_module(_MODULES[cmd_name]), cmd_name)
        except ImportError as error:
            raise PgflowError(
                f"`pgflow {cmd_name}` cannot be loaded: {error}", hint="reinstall: pip install 'pgflow-engine[dev]'"
            ) from error
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (see above)
        """The commands with what they do, importing none of them."""
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
        standalone_mode: bool = True, **extra: Any,
    ) -> Any:  # fmt: skip
        """Run; never ends in a traceback."""
        given = list(sys.argv[1:] if args is None else args)
        if os.environ.get("NO_COLOR"):
            extra.setdefault("color", False)
        logging.getLogger("psycopg").addFilter(_is_worth_telling)
        run = partial(super().main, given, prog_name, complete_var, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        try:
            code: Any = run()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (the last line of defence)
            code = report(error, as_json="--json" in given)
        sys.exit(int(code) if isinstance(code, int) else ExitCode.OK)


def _is_worth_telling(said: logging.LogRecord) -> bool:
    """An interrupt in the midst of a statement ends the connection with it: nothing that a person has to be told."""
    return not said.getMessage().startswith("error ignored")


@click.group(
    cls=Commands, epilog=EXIT_CODES, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="pgflow", message="%(prog)s %(version)s")
def main() -> None:
    """Durable workflows and tasks on Postgres.

    Settings come from PGFLOW_* variables or a .env file; the database from PGFLOW_DATABASE_URL, or from a `pgflow dev`
    that runs in this folder. With --json, answers go to standard output as JSON and errors to standard error.
    """


__all__ = ["Command", "Commands", "main"]
