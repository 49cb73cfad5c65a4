"""One statement, one file, one name, one caller; and each file says what it guarantees and which index serves it."""

from __future__ import annotations

import re
from collections import Counter
from itertools import takewhile
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, modules, shown, sql_files, statements, strings

# Applied or listed by folder, so nothing names their files one by one.
BY_FOLDER = {"audit", "functions", "views"}
# Definitions that belong together, such as a function and its trigger or a view and its grants.
SEVERAL_STATEMENTS = {"functions", "views"}
LINES = 120

FILES = sql_files()
MARKED = re.compile(r"-- (Index|Parameters):")
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
PARAMETER = re.compile(r"(?P<name>[a-z_]+) (?P<type>[a-z][a-z0-9_ ]*(?:\[\])?)(?: = (?P<default>\S.*))?")


def noun(path: Path) -> str:
    return path.relative_to(ROOT / "sql").parts[0]


def header(path: Path) -> list[str]:
    """The comment lines that a file opens with."""
    return list(takewhile(lambda line: line.startswith("--"), path.read_text("utf-8").splitlines()))


def marked(path: Path, mark: str) -> list[str]:
    """What the header says after `-- Index:` or `-- Parameters:`."""
    return [line.split(":", 1)[1].strip() for line in header(path) if line.startswith(f"-- {mark}:")]


def test_there_is_sql_to_check() -> None:
    assert FILES
    assert [shown(path) for path in FILES if len(path.relative_to(ROOT / "sql").parts) != 2] == [], (
        "sql/<noun>/<verb>.sql"
    )


def test_every_file_opens_with_what_it_guarantees() -> None:
    assert [shown(path) for path in FILES if not any(_is_prose(line) for line in header(path))] == []


def _is_prose(line: str) -> bool:
    return len(line) > 20 and not MARKED.match(line)


def test_every_file_names_the_index_that_serves_it() -> None:
    wrong = {shown(path): marked(path, "Index") for path in FILES if not _names_index(marked(path, "Index"))}
    assert wrong == {}, "one line of the header reads `-- Index: NAME ...` or `-- Index: none, because ...`"


def _names_index(said: list[str]) -> bool:
    return len(said) == 1 and re.fullmatch(r"(none\W*)?", said[0]) is None


def test_every_file_is_short() -> None:
    lengths = {shown(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {path: lines for path, lines in lengths.items() if lines > LINES} == {}


def test_every_file_is_one_statement() -> None:
    counts = {path: len(statements(path.read_text("utf-8"))) for path in FILES}
    assert {shown(path) for path, count in counts.items() if count == 0} == set()
    assert {
        shown(path) for path, count in counts.items() if count > 1 and noun(path) not in SEVERAL_STATEMENTS
    } == set()


def test_every_file_is_named_by_exactly_one_string_of_the_package() -> None:
    names = Counter(text for module in modules() for _, text in strings(module.read_text("utf-8")))
    calls = {path.relative_to(ROOT / "sql").with_suffix("").as_posix() for path in FILES if noun(path) not in BY_FOLDER}
    wrong = {name: names[name] for name in sorted(calls) if names[name] != 1}
    assert wrong == {}, "files of sql/ and how many strings name each"


def test_every_statement_that_the_package_names_has_a_file() -> None:
    nouns = "|".join(sorted({noun(path) for path in FILES}))
    name = re.compile(rf"(?:{nouns})/[a-z_]+")
    named = {(shown(module), text) for module in modules() for _, text in strings(module.read_text("utf-8"))}
    assert [at for at in sorted(named) if name.fullmatch(at[1]) and not (ROOT / "sql" / f"{at[1]}.sql").exists()] == []


def test_every_audit_declares_its_parameters() -> None:
    audits = [path for path in FILES if noun(path) == "audit"]
    used = {shown(path): set(PLACEHOLDER.findall(path.read_text("utf-8"))) for path in audits}
    declared = {shown(path): parameters(marked(path, "Parameters")) for path in audits}
    assert declared == used, "the header reads `-- Parameters: name type = default, ...`"


def parameters(lines: list[str]) -> set[str]:
    """The names in `since interval = '1 day', top integer = 20`."""
    parts = [part.strip() for line in lines if line != "none" for part in re.findall(r"(?:'[^']*'|[^,'])+", line)]
    found = [PARAMETER.fullmatch(part) for part in parts]
    assert all(found), f"not `name type = default`: {parts}"
    return {match["name"] for match in found if match}


def test_parameters_are_read_past_quoted_commas() -> None:
    assert parameters(["since interval = '1 day, 2 h', top integer = 20, name text"]) == {"since", "top", "name"}


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("select 1", 1),
        ("select 1;", 1),
        ("-- a; b\nselect ';' as \"x;y\" /* ; */;\n", 1),
        ("create function f() as $$ begin; end; $$;", 1),
        ("create function f() as $body$ select '$$;$$'; $body$;", 1),
        ("select 1; select 2", 2),
        ("-- nothing", 0),
    ],
)
def test_statements_are_counted_past_quotes_and_comments(sql: str, count: int) -> None:
    assert len(statements(sql)) == count
