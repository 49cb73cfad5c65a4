"""`pgflow schedule apply`: schedules kept in a file."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
from pydantic import BaseModel, ConfigDict, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from pgflow import config, yaml
from pgflow.cli import connection, output
from pgflow.cli.schedule_request import asked, unheard
from pgflow.cron import CronError
from pgflow.engine.schedules import Schedule
from pgflow.errors import ArgumentError, PgflowError
from pgflow.expression import ExpressionError
from pgflow.sdk.client import Client
from pgflow.sdk.registry import schedules as verbs

_Scalar = StrictStr | StrictBool | StrictInt | StrictFloat


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    task: StrictStr
    cron: StrictStr | None = None
    every: StrictStr | StrictInt | StrictFloat | None = None
    at: StrictStr | None = None
    timezone: StrictStr | None = None
    starts_at: StrictStr | None = None
    ends_at: StrictStr | None = None
    input: dict[str, Any] | None = None
    jitter: StrictStr | StrictInt | StrictFloat | None = None
    overlap: StrictStr | None = None
    catch_up: StrictInt | None = None
    queue: StrictStr | None = None
    priority: StrictStr | None = None
    tags: dict[str, _Scalar] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    timezone: StrictStr | None = None
    schedules: dict[str, _Entry]


@dataclass(frozen=True, slots=True)
class _Wanted:
    source: str
    schedules: list[Schedule]


@click.command(cls=output.Command)
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--prune", is_flag=True, help="Remove what this file once had and has no more.")
@click.option("--dry-run", is_flag=True, help="Tell what would be done, and do nothing.")
def apply(file: IO[str], prune: bool, dry_run: bool) -> None:
    """Make the schedules of a YAML file.

    All of them, or none when something in the file makes no sense. A schedule belongs to the file by whose name it was
    made last; --prune removes those of this name only. - reads standard input.

    \b
    Example of a file:
      timezone: Europe/Berlin
      schedules:
        report:
          task: reports.daily
          cron: "0 6 * * MON-FRI"
          input: {day: "${trigger.fire_date}"}
          overlap: skip
    """
    name = "-" if file.name in {"-", "<stdin>"} else Path(file.name).name
    if prune and name == "-":
        raise ArgumentError("--prune goes by the file's name, and standard input has none")
    try:
        text = file.read()
    except UnicodeDecodeError:
        raise ArgumentError(f"{name} is no UTF-8 text") from None
    wanted = _read(text, name)
    with connection.session("cli") as session:
        client = Client(config.load(), actor=connection.actor()).on(session.connection)
        with session.connection.transaction(force_rollback=dry_run):
            done = _apply(client, wanted, prune=prune)
        warnings = {task: unheard(session, task) for task in sorted({one.start["name"] for one in wanted.schedules})}
    output.rows(
        [{"name": name, "done": what} for name, what in done.items()], ["name", "done"], empty="there is nothing to do"
    )
    for warning in filter(None, warnings.values()):
        output.note(f"note: {warning}")
    if dry_run:
        output.note("nothing was changed")


def _apply(client: Client, wanted: _Wanted, *, prune: bool) -> dict[str, str]:
    stored = {one.name: one for one in client.schedules.list()}
    for one in wanted.schedules:
        source = stored[one.name].source if one.name in stored else ""
        if source.startswith("code:"):
            raise ArgumentError(
                f"the schedule {one.name} is declared in code, in {source.removeprefix('code:')}",
                hint="a worker with that code would change it back: remove it there, or choose another name",
            )
    done = {}
    for one in sorted(wanted.schedules, key=lambda one: one.name):
        done[one.name] = client._drive(verbs.put(one, actor=connection.actor()))
    gone = [name for name, one in stored.items() if one.source == wanted.source and name not in done] if prune else []
    if gone:
        client.schedules.remove(*gone)
    return done | dict.fromkeys(gone, "removed")


def _read(text: str, name: str) -> _Wanted:
    """What the file asks for, or all that is wrong with it."""
    document = yaml.load(text, name)
    source = f"file:{name}"
    try:
        file = _File.model_validate(document.value)
    except ValidationError as error:
        wrong = [_shape(document, problem) for problem in error.errors()]
        raise _all(list({(one.line, one.column): one for one in reversed(wrong)}.values())[::-1]) from None
    found: list[Schedule] = []
    wrong = []
    for schedule, entry in file.schedules.items():
        given = entry.model_dump(exclude={"task"})
        given["timezone"] = given["timezone"] or file.timezone
        try:
            found.append(asked(schedule, entry.task, given, source=source))
        except PgflowError as error:
            path = ("schedules", schedule, *_culprit(error, given))
            wrong.append(document.error(path, error.message, hint=error.hint))
    if wrong:
        raise _all(wrong)
    return _Wanted(source, found)


def _shape(document: yaml.Document, problem: Any) -> yaml.YamlError:
    path = problem["loc"]
    message, hint = str(problem["msg"]).replace("Input should be a valid", "it has to be a"), None
    if problem["type"] == "extra_forbidden":
        known = list(_Entry.model_fields if len(path) > 1 else _File.model_fields)
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        message = f"there is no {path[-1]!r} here"
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    elif problem["type"] == "missing":
        message = f"{path[-1]} is missing"
    return document.error(path, message, hint=hint)


def _culprit(error: PgflowError, given: dict[str, Any]) -> tuple[str, ...]:
    """Under which key an error most likely lies: it quotes the value, or names the key."""
    if isinstance(error, ExpressionError):
        return ("input",)
    for word, value in given.items():
        if (isinstance(value, str) and repr(value) in error.message) or f"{word}=" in error.message:
            return (word,)
    if isinstance(error, CronError):
        return next(((word,) for word in ("cron", "every", "at") if given[word] is not None), ())
    return ()


def _all(wrong: list[yaml.YamlError]) -> PgflowError:
    if len(wrong) == 1:
        return wrong[0]
    return ArgumentError("\n".join((f"{len(wrong)} things are wrong:", *map(str, wrong))))
