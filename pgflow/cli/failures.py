"""How a command ends badly: one message for a person or a program, and a stable exit code."""

from __future__ import annotations

import os
import traceback
from enum import IntEnum

import click
import orjson

from pgflow import errors
from pgflow.redaction import redact

BUG_HINT = "this is a bug; run with PGFLOW_DEBUG=1 for the traceback"


class ExitCode(IntEnum):
    """What the shell is told; documented in `pgflow --help` and never changed."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    DATABASE = 4
    PERMISSION = 5
    TIMEOUT = 6
    BUG = 70
    INTERRUPTED = 130


EXIT_CODES = """\b
Exit codes:
  0   done
  1   what was asked about failed (a failed run's result, a check of the doctor)
  2   wrong usage, or a value that makes no sense
  3   there is no such run, task or audit
  4   the database is unreachable, or its schema is missing, old or newer
  5   the database role may not do this
  6   no result in the time given; the run goes on
  70  a bug in pgflow
  130 interrupted"""

_CODES: list[tuple[tuple[type[BaseException], ...], ExitCode]] = [
    ((errors.NotFound,), ExitCode.NOT_FOUND),
    ((errors.DatabaseUnavailable, errors.SchemaError), ExitCode.DATABASE),
    ((errors.PermissionDenied,), ExitCode.PERMISSION),
    ((errors.ResultTimeout,), ExitCode.TIMEOUT),
    (
        (errors.ConfigError, errors.ArgumentError, errors.PayloadError, errors.RegistrationError, errors.UnknownTask),
        ExitCode.USAGE,
    ),
    ((errors.PgflowError,), ExitCode.FAILED),
]


def report(error: BaseException, *, as_json: bool) -> ExitCode:
    """Tell standard error what went wrong. Returns the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return ExitCode.USAGE
    code, message, hint = _explain(error)
    message, hint = redact(message), hint and redact(hint)
    if code is ExitCode.INTERRUPTED and not as_json:
        click.echo("interrupted", err=True)
        return code
    if code is ExitCode.BUG and os.environ.get("PGFLOW_DEBUG", "0") not in {"", "0"}:
        click.echo(redact("".join(traceback.format_exception(error))), err=True, nl=False)
    if as_json:
        problem = {"type": type(error).__name__, "message": message, "hint": hint, "exit_code": int(code)}
        click.echo(orjson.dumps({"error": problem}).decode(), err=True)
    else:
        click.echo(f"error: {message}", err=True)
        if hint:
            click.echo(f"  -> {hint}", err=True)
    return code


def _explain(error: BaseException) -> tuple[ExitCode, str, str | None]:
    """The exit code, what is wrong, and what to do."""
    if isinstance(error, errors.PgflowError):
        code = next(code for kinds, code in _CODES if isinstance(error, kinds))
        return code, error.message, error.hint
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "pgflow"
        return ExitCode.USAGE, error.format_message(), f"`{command} --help` has the usage"
    if isinstance(error, click.ClickException):
        return ExitCode.USAGE, error.format_message(), None
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return ExitCode.INTERRUPTED, "interrupted", None
    if isinstance(error, UnicodeEncodeError):
        return ExitCode.USAGE, "an argument is no valid UTF-8", None
    first_line = (str(error).strip() or "no message").splitlines()[0]
    return ExitCode.BUG, f"{type(error).__name__}: {first_line}", BUG_HINT
