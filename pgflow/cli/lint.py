"""`pgflow lint`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from pgflow.cli import output
from pgflow.cli.failures import ExitCode
from pgflow.sdk.lint import Finding, Level, lint_file, python_files

_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow"}


@click.command(cls=output.Command)
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[PATHS]...")
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
def lint(paths: tuple[Path, ...], strict: bool) -> ExitCode | None:
    """Look through workflow code for what breaks its replay: clocks, chance, network and the like.

    PATHS are files and folders; this folder if there are none. Nothing is imported or run. Exits with 1 when there is
    an error. A comment `# pgflow: ignore[PGF101]` on a line silences that code there; without codes, all of them.

    \b
    Examples:
      pgflow lint
      pgflow lint --strict src/flows signup.py
    """
    files = list(python_files(paths or [Path()]))
    found = [finding for file in output.progress(files, "Looking") for finding in lint_file(file)]
    errors = sum(finding.level is Level.ERROR for finding in found)
    failed = errors > 0 or (strict and bool(found))
    if output.wants_json():
        listed = [{**asdict(finding), "path": _printable(finding.path)} for finding in found]
        counts = {"files": len(files), "errors": errors, "warnings": len(found) - errors}
        output.document({"ok": not failed, **counts, "findings": listed})
    else:
        for finding in found:
            _print(finding)
        output.note(_summary(len(files), errors, len(found) - errors))
    return ExitCode.FAILED if failed else None


def _print(finding: Finding) -> None:
    place = f"{output.cell('', _printable(finding.path))}:{finding.line}:{finding.column}"
    code = click.style(finding.code, _COLOURS[finding.level], bold=finding.level is Level.ERROR or None)
    click.echo(f"{place} {code} {output.cell('', finding.message)}")
    click.echo(f"  -> {finding.hint}")


def _printable(path: str) -> str:
    """A path may hold bytes that are no text."""
    return path.encode("utf-8", "replace").decode()


def _summary(files: int, errors: int, warnings: int) -> str:
    return f"{_counted(errors, 'error')} and {_counted(warnings, 'warning')} in {_counted(files, 'file')}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
