"""What commands print: JSON for programs, tables for a terminal, aligned text for a pipe.

Results go to standard output, remarks and errors to standard error. A value is shown by its type: instants in the local
zone (in JSON: UTC, RFC 3339), durations in words, nothing as a dash. What comes from a database may hold anything, so
control characters never reach a terminal.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import click
import orjson

from pgflow import duration

T = TypeVar("T")

_JSON = "pgflow.json"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_NEWLINE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_STYLES = {
    "completed": "green", "alive": "green", "running": "cyan", "retrying": "yellow", "silent": "yellow",
    "needs_attention": "yellow", "failed": "red", "cancelled": "dim", "skipped": "dim",
}  # fmt: skip
_WRAPPED = {
    "message", "last_message", "note", "error", "why", "detail", "purpose", "parameters", "tags", "queues", "names",
}  # fmt: skip


_SHORTENED = {"name", "queue", "key", "host", "worker", "by", "state_now"}
_STORED = {"input", "output", "error", "retry", "tags"}
"""Properties that hold JSON of the user's own."""


class Command(click.Command):
    """A command with `--json`."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.append(
            click.Option(["--json"], is_flag=True, expose_value=False, callback=_want_json, help="Answer in JSON.")
        )


class Group(click.Group):
    """A group whose commands have `--json`."""

    command_class = Command


def _want_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_JSON] = True


def wants_json() -> bool:
    """Whether the command was asked for JSON."""
    return bool(click.get_current_context().meta.get(_JSON, False))


def is_interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and is_watched()


def is_terminal() -> bool:
    """Whether a person reads the answer."""
    return sys.stdout.isatty()


def is_watched() -> bool:
    """Whether a person sees the remarks."""
    return sys.stderr.isatty()


def note(text: str) -> None:
    """A remark for people, on standard error; none with `--json`."""
    if not wants_json():
        click.echo(_clean(text), err=True)


def document(value: Any) -> None:
    """A JSON document."""
    options = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if is_terminal() else 0)
    click.echo(orjson.dumps(_jsonable(value), option=options).decode())


def rows(found: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """A list of rows: all that they hold in JSON, else these columns as a table."""
    if wants_json():
        document(found)
    elif not found:
        note(empty)
    elif is_terminal():
        _rich_table(found, columns)
    else:
        _plain_table(found, columns)


def details(pairs: Mapping[str, Any]) -> None:
    """One thing with all its properties; those without a value are left out."""
    if wants_json():
        document(pairs)
        return
    _properties(pairs)


def _properties(pairs: Mapping[str, Any]) -> None:
    shown = {name: value for name, value in pairs.items() if value is not None}
    width = max(map(len, shown), default=0) + 2
    for name, value in shown.items():
        text = _block(value) if name in _STORED else cell(name, value)
        indented = text.replace("\n", "\n" + " " * width)
        click.echo(f"{name:<{width}}{_coloured(name, indented) if is_terminal() else indented}")


def progress(parts: Collection[T], label: str) -> Iterable[T]:
    """Go through the parts, with a progress bar for whoever watches."""
    if wants_json() or not is_watched() or len(parts) < 2:
        return parts
    return _with_bar(parts, label)


def _with_bar(parts: Collection[T], label: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import track

    yield from track(parts, label, console=Console(stderr=True), transient=True)


def cell(name: str, value: Any, *, precise: bool = False, brief: bool = False) -> str:
    """A value on one line. Instants are `precise` to the millisecond, or `brief`: today's without the date."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return _instant(value.astimezone(), precise, brief)
        case timedelta():
            return duration.text(value.total_seconds())
        case int() if name.endswith("bytes"):
            return _size(value)
        case float() | Decimal():
            return f"{float(value):.4g}"
        case dict():
            return _clean(orjson.dumps(_jsonable(value), option=orjson.OPT_UTC_Z).decode())
        case list() | tuple():
            return ", ".join(cell("", part) for part in value) or "-"
        case _:
            return _clean(str(value))


def _instant(local: datetime, precise: bool, brief: bool) -> str:
    text = local.replace(tzinfo=None).isoformat(" ", "milliseconds" if precise else "seconds")
    if brief and local.date() == datetime.now().astimezone().date():
        return text[11:]
    return text[:16] if brief and not precise else text


def _size(value: int) -> str:
    size = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TB"


def _clean(text: str) -> str:
    return _CONTROL.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(found[0], f"\\x{ord(found[0]):02x}")


def _block(value: Any) -> str:
    """JSON for people; a traceback keeps its lines."""
    if isinstance(value, dict) and isinstance(value.get("traceback"), str):
        rest = {name: part for name, part in value.items() if name != "traceback"}
        return f"{_block(rest)}\n{_CONTROL_BUT_NEWLINE.sub(_spelled, value['traceback'].rstrip())}"
    text = orjson.dumps(_jsonable(value), option=orjson.OPT_UTC_Z).decode()
    if len(text) > 80:
        text = orjson.dumps(_jsonable(value), option=orjson.OPT_UTC_Z | orjson.OPT_INDENT_2).decode()
    return _CONTROL_BUT_NEWLINE.sub(_spelled, text)


def _jsonable(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC)
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case Mapping():
            return {name: _jsonable(part) for name, part in value.items()}
        case list() | tuple():
            return [_jsonable(part) for part in value]
        case _:
            return value


def _cells(found: Sequence[Mapping[str, Any]], columns: Sequence[str], *, brief: bool = False) -> list[list[str]]:
    precise = "after" in columns
    return [[cell(column, row[column], precise=precise, brief=brief) for column in columns] for row in found]


def _is_number(found: Sequence[Mapping[str, Any]], column: str) -> bool:
    kinds = {type(row[column]) for row in found if row[column] is not None}
    return bool(kinds) and kinds <= {int, float, Decimal, timedelta}


def _plain_table(found: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    lines = [list(columns), *_cells(found, columns)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    right = [_is_number(found, column) for column in columns]
    for line in lines:
        padded = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _rich_table(found: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    lines = _cells(found, columns, brief=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    needed = -2
    for position, column in enumerate(columns):
        wrapped = column in _WRAPPED
        widest = max(len(column), *(len(line[position]) for line in lines))
        least = min(widest, max(12, len(column))) if wrapped or column in _SHORTENED else widest
        needed += least + 2
        table.add_column(
            Text(column),
            justify="right" if _is_number(found, column) else "left",
            no_wrap=not wrapped,
            overflow="fold" if wrapped else "ellipsis",
            min_width=least,
        )
    if needed > console.width:
        _expanded(found, columns)
        return
    for line in lines:
        table.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in line))
    console.print(table)


def _expanded(found: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """One property a line, where a table would lose columns."""
    for position, row in enumerate(found):
        if position:
            click.echo()
        _properties({column: row[column] for column in columns})


def _coloured(name: str, text: str) -> str:
    style = _STYLES.get(text) if name == "state" else None
    return text if style in {None, "dim"} else click.style(text, fg=style)


def verdict(done_to: str, done: Sequence[str], asked: Sequence[str]) -> None:
    """Say what was done to those that were asked for, and to which it could not be done.

    Args:
        done_to: `paused`, say.
        done: the names of those that it was done to.
        asked: those that were asked for.
    """
    left = [name for name in dict.fromkeys(asked) if name not in done]
    if wants_json():
        document({done_to: sorted(done), "left": left})
        return
    if done:
        note(f"{done_to} {', '.join(sorted(done))}")
    for name in left:
        note(f"{name} was not to be {done_to}")
