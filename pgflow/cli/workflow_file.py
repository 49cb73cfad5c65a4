"""`pgflow workflow validate | apply`: definitions in files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pgflow import config
from pgflow.cli import connection, output
from pgflow.cli.failures import ExitCode
from pgflow.errors import ArgumentError, PgflowError
from pgflow.graph.document import Definition
from pgflow.graph.reading import Placed, Source, read
from pgflow.nodes.publishing import Workflows
from pgflow.nodes.publishing_verbs import advised, examined
from pgflow.sdk.client import Client

FILES = click.argument("files", nargs=-1, required=True, metavar="FILE...")


@dataclass(frozen=True, slots=True)
class Looked:
    """A file that was looked at.

    Attributes:
        file: its name.
        source: what it holds; None: it cannot be read.
        definition: that, if nothing is wrong.
        problems: what is wrong, with places.
    """

    file: str
    source: Source | None
    definition: Definition | None
    problems: Sequence[Placed | PgflowError]


def open_file(file: str) -> Source:
    """What a file holds; - is standard input."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return read(content.decode("utf-8-sig"), file)
    except UnicodeDecodeError:
        raise ArgumentError(f"{file} is no UTF-8 text") from None
    except OSError as error:
        raise ArgumentError(f"{file} cannot be read: {error.strerror or error}") from None


def look(file: str) -> Looked:
    """Look at a file's definition."""
    try:
        source = open_file(file)
    except PgflowError as error:
        return Looked(file, None, None, [error])
    definition, problems = examined(source.value)
    return Looked(file, source, definition, source.place_all(problems))


def look_at_all(files: Sequence[str]) -> list[Looked]:
    """Look at all of them; two of the same name are a problem, too."""
    found = [look(file) for file in dict.fromkeys(files)]
    first: dict[str, str] = {}
    for number, one in enumerate(found):
        if one.definition is not None:
            other = first.setdefault(one.definition.name, one.file)
            if other != one.file:
                error = ArgumentError(f"{one.file}: {other} has a definition of {one.definition.name}, too")
                found[number] = Looked(one.file, one.source, None, [error])
    return found


def refuse(looked: Sequence[Looked]) -> None:
    """An ArgumentError with all that is wrong, if anything is."""
    wrong = [str(problem) for one in looked for problem in one.problems]
    if wrong:
        raise ArgumentError("\n".join((_count(len(wrong)), *wrong)))


def _count(number: int) -> str:
    return "something is wrong:" if number == 1 else f"{number} things are wrong:"


def _as_json(problem: Placed | PgflowError) -> dict[str, Any]:
    if isinstance(problem, Placed):
        return {**problem.problem._asdict(), "line": problem.line, "column": problem.column}
    line, column = getattr(problem, "line", None), getattr(problem, "column", None)
    return {"path": "", "message": problem.message, "hint": problem.hint, "line": line, "column": column}


def _advice(one: Looked) -> list[Placed]:
    if one.definition is None or one.source is None:
        return []
    return one.source.place_all(advised(one.definition))


@click.command(cls=output.Command)
@FILES
def validate(files: tuple[str, ...]) -> ExitCode:
    """Look through definitions in YAML or JSON files.

    All that is wrong with them is told at once, each with its line, and with what to do about it. Asks no database. -
    reads standard input.
    """
    looked = look_at_all(files)
    sound = not any(one.problems for one in looked)
    if output.wants_json():
        output.document(
            [{"file": one.file, "name": one.definition.name if one.definition else None, "valid": not one.problems,
              "problems": list(map(_as_json, one.problems)),
              "advice": [_as_json(advice) for advice in _advice(one)]} for one in looked]
        )  # fmt: skip
    else:
        for one in looked:
            for problem in one.problems:
                for line in str(problem).split("\n"):
                    click.echo(output.cell("", line))
            if one.definition is not None:
                nodes, edges = len(one.definition.nodes), len(one.definition.edges)
                output.note(f"{one.file}: {one.definition.name} is valid: {nodes:,} nodes, {edges:,} edges")
            for advice in _advice(one):
                where = f"{advice.source}:{advice.line}: " if advice.line else ""
                for line in f"note: {where}{advice.problem}".split("\n"):
                    output.note(line)
    return ExitCode.OK if sound else ExitCode.FAILED


@click.command(cls=output.Command)
@FILES
@click.option("--dry-run", is_flag=True, help="Tell what would be done, and do nothing.")
def apply(files: tuple[str, ...], dry_run: bool) -> None:
    """Publish definitions in YAML or JSON files.

    All of them, or none when something is wrong with one. What says the same as the newest version makes no new one.
    Runs that have begun go on with the version they follow. Schedules, webhooks and event triggers become what
    `triggers` says. - reads standard input.

    \b
    Example:
      pgflow workflow apply workflows/*.yaml --dry-run
    """
    looked = look_at_all(files)
    refuse(looked)
    done = []
    with connection.session("cli") as session:
        client = Client(config.load(), actor=connection.actor()).on(session.connection)
        with session.connection.transaction(force_rollback=dry_run):
            for one in looked:
                assert one.source is not None
                done.append((one.file, Workflows(client).publish(one.source.value)))
    rows: list[dict[str, Any]] = [
        {"name": it.name, "version": it.version, "done": it.done, "file": file, "triggers": dict(it.triggers)}
        for file, it in done
    ]
    output.rows(rows, ["name", "version", "done", "file"], empty="there is nothing to do")
    for _, it in done:
        for name, what in it.triggers.items():
            if what != "unchanged":
                output.note(f"{name} {what}")
    if dry_run:
        output.note("nothing was changed")
