from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import click
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgflow.cli import output

AT = datetime(2026, 5, 1, 9, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def command() -> Iterator[click.Context]:
    """Being inside a command without --json."""
    with click.Context(click.Command("x")) as context:
        yield context


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("a", None, "-"),
        ("a", True, "yes"),
        ("a", 12, "12"),
        ("a", 0.123456, "0.1235"),
        ("a", Decimal("2.50"), "2.5"),
        ("a", timedelta(minutes=90), "1h 30m"),
        ("a", [], "-"),
        ("a", ["x", None, 1], "x, -, 1"),
        ("a", {"b": AT}, '{"b":"2026-05-01T09:30:15.123456Z"}'),
        ("task_bytes", 2**20, "1 MB"),
        ("task_bytes", 512, "512 B"),
        ("a", "two\nlines\tand \x1b[31mred\x9b", "two\\nlines\\tand \\x1b[31mred\\x9b"),
    ],
)
def test_a_value_is_shown_by_its_type(name: str, value: object, text: str) -> None:
    assert output.cell(name, value) == text


def test_an_instant_is_shown_in_the_local_zone() -> None:
    local = AT.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert output.cell("at", AT.astimezone(timezone(timedelta(hours=-9)))) == local
    assert output.cell("at", AT, precise=True) == f"{local}.123"
    assert output.cell("at", AT, brief=True) == local[:16]
    now, shown = datetime.now(UTC), ""
    while not shown or now.astimezone().date() != datetime.now().astimezone().date():  # in between it was midnight
        now = datetime.now(UTC)
        shown = output.cell("at", now, brief=True)
    assert shown == now.astimezone().strftime("%H:%M:%S")


@given(st.text())
def test_no_text_takes_more_than_a_line_or_moves_the_cursor(text: str) -> None:
    shown = output.cell("a", text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)


@given(st.lists(st.tuples(st.text(min_size=1), st.integers()), min_size=1))
def test_a_piped_table_is_aligned_whatever_it_holds(pairs: list[tuple[str, int]]) -> None:
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click, "echo", lines.append)
        output._plain_table([{"name": text, "count": number} for text, number in pairs], ["count", "name"])
    assert len(lines) == len(pairs) + 1
    ends = {len(line) - len(line.lstrip()) + len(line.split()[0]) for line in lines}
    assert len(ends) == 1, "numbers stand right"


def test_json_is_in_utc_and_keeps_numbers(command: click.Context, capsys: pytest.CaptureFixture[str]) -> None:
    row: dict[str, Any] = {
        "id": 2**62, "at": AT.astimezone(timezone(timedelta(hours=2))), "took": timedelta(seconds=1.5),
        "sum": Decimal(3), "mean": Decimal("0.5"), "deep": [{"at": AT}],
    }  # fmt: skip
    output.document(row)
    assert orjson.loads(capsys.readouterr().out) == {
        "id": 2**62, "at": "2026-05-01T09:30:15.123456Z", "took": 1.5, "sum": 3, "mean": 0.5,
        "deep": [{"at": "2026-05-01T09:30:15.123456Z"}],
    }  # fmt: skip


def test_properties_without_a_value_are_left_out_and_json_is_laid_out(
    command: click.Context, capsys: pytest.CaptureFixture[str]
) -> None:
    output.details({"id": 1, "key": None, "input": {"a": "x" * 100}, "output": "text", "error": None})
    assert capsys.readouterr().out.splitlines() == [
        "id      1",
        "input   {",
        '          "a": "' + "x" * 100 + '"',
        "        }",
        'output  "text"',
    ]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm")


def test_a_table_too_wide_for_the_terminal_is_turned_on_its_side(
    command: click.Context, terminal: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [{"task_id": 1, "state": "completed", "at": AT}, {"task_id": 2, "state": "failed", "at": AT}]
    monkeypatch.setenv("COLUMNS", "60")
    output.rows(found, ["task_id", "state", "at"], empty="")
    table = click.unstyle(capsys.readouterr().out).splitlines()
    assert [line.split()[0] for line in table] == ["task_id", "1", "2"]
    monkeypatch.setenv("COLUMNS", "20")
    output.rows(found, ["task_id", "state", "at"], empty="")
    assert [line.split()[:1] for line in click.unstyle(capsys.readouterr().out).splitlines()] == [
        ["task_id"], ["state"], ["at"], [], ["task_id"], ["state"], ["at"],
    ]  # fmt: skip


def test_markup_in_a_value_is_only_text(
    command: click.Context, terminal: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output.rows([{"name": "[red]x[/red] :smile:"}], ["name"], empty="")
    assert "[red]x[/red] :smile:" in capsys.readouterr().out


def test_progress_goes_through_every_part_and_shows_itself_to_a_person_alone(
    command: click.Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(output.progress([1, 2, 3], "counting")) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(output, "is_watched", lambda: True)
    assert list(output.progress([1, 2, 3], "counting")) == [1, 2, 3]
    assert output.progress([1], "counting") == [1], "what is done at once needs no bar"
