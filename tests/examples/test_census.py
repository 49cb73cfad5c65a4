"""The census on a small folder, with real executors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.errors import Fatal, RetryLater, TaskFailed
from pgflow.model import Claimed
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.attempt import CELL, Cell
from pgflow.sdk.task import Task
from tests.examples.conftest import Workers

FILES = {
    "plain.py": "def f():\n    if f: pass\n",
    "package/__init__.py": "",
    "package/module.py": "class C:\n    def m(self): pass\n    def n(self): pass\n",
    "old.py": "print 'hello'\n",
    "nul.py": "x = 1\0\n",
    "site-packages/other.py": "def g(): pass\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Three modules that parse, two that do not, and one that is not the library's."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(tmp_path)


def _query(url: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(text).fetchall()


async def test_a_census_counts_every_module_and_gives_up_on_those_that_do_not_parse(
    workers: Workers, client: AsyncClient, tasks: dict[str, Task[..., Any]], folder: str, database_url: str
) -> None:
    async with workers("census", processes=2):
        survey = await client.enqueue(tasks["census.survey"], root=folder)
        assert await client.result(survey, timeout=20) == 5
        ((totals, key),) = [(t["id"], t["key"]) for t in await client.tasks(name="census.totals")]
        found = await client.result(totals, timeout=20)
    assert (found.survey, found.modules, found.failed) == (survey.id, 5, 2)
    assert (found.lines, found.functions, found.classes, found.branches) == (5, 3, 1, 1)
    assert key is None

    rows = _query(database_url, "select path, lines, functions, classes, branches from census.module order by path")
    assert rows == [
        ("nul.py", None, None, None, None),
        ("old.py", None, None, None, None),
        ("package/__init__.py", 0, 0, 0, 0),
        ("package/module.py", 3, 2, 1, 0),
        ("plain.py", 2, 1, 0, 1),
    ]
    written = _query(
        database_url, "select survey, modules, failed, lines, functions, classes, branches from census.totals"
    )
    assert written == [(survey.id, 5, 2, 5, 3, 1, 1)]

    dead = await client.tasks(name="census.module", state="failed")
    assert {(task["key"], task["attempt"]) for task in dead} == {
        (f"{survey.id}/nul.py", 3),
        (f"{survey.id}/old.py", 3),
    }
    with pytest.raises(TaskFailed, match=r"null bytes|Missing parentheses"):
        await client.result(dead[0]["id"])


@pytest.fixture
def here(database: Settings, database_url: str, tasks: dict[str, Task[..., Any]]) -> Iterator[None]:
    """The census's tasks can be called in this process, as attempts of run 7."""
    from census import results
    from census import tasks as module

    module.app._settings = database
    claimed = Claimed(7, 1, 7, 1, 1, "census.survey", "default", 2, {}, None, None, None, None)
    token = CELL.set(Cell(claimed, 1))
    yield
    CELL.reset(token)
    results.pool(database_url).close()
    results.pool.cache_clear()
    module.app._settings = None


@pytest.mark.usefixtures("here")
def test_a_survey_that_runs_again_asks_for_nothing_twice(
    tasks: dict[str, Task[..., Any]], folder: str, database_url: str
) -> None:
    survey = tasks["census.survey"]
    assert survey(folder) == 5
    assert survey(folder) == 5
    assert _query(database_url, "select name, count(*) from pgflow.task group by name order by name") == [
        ("census.module", 5),
        ("census.totals", 1),
    ]
    assert _query(database_url, "select count(*) from census.module") == [(5,)]


@pytest.mark.usefixtures("here")
def test_totals_wait_for_the_last_module_and_may_be_added_up_again(
    tasks: dict[str, Task[..., Any]], folder: str, database_url: str
) -> None:
    tasks["census.survey"](folder)
    good = [name for name in FILES if name.startswith(("plain", "package"))]
    for left, name in zip((5, 4, 3), good, strict=True):
        with pytest.raises(RetryLater, match=f"{left} modules to go"):
            tasks["census.totals"](7)
        tasks["census.module"](7, folder, name)
        tasks["census.module"](7, folder, name)
    with psycopg.connect(database_url) as connection:
        connection.execute("update census.module set lines = 0 where path in ('old.py', 'nul.py')")
    first = tasks["census.totals"](7)
    assert (first.modules, first.functions) == (5, 3)
    assert tasks["census.totals"](7) == first
    assert _query(database_url, "select count(*) from census.totals") == [(1,)]


@pytest.mark.usefixtures("here")
def test_a_folder_without_modules_fails_at_once(tasks: dict[str, Task[..., Any]], tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="no Python files"):
        tasks["census.survey"](str(tmp_path))
