"""The census's own tables, in the same database as the engine's and apart from them, in the schema `census`.

Each statement may be repeated without harm: a task that ran twice leaves what one run would have left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from functools import cache
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from census.counting import Counts

Connection = psycopg.Connection[Any]

# Two surveys may come at the same moment, and `if not exists` does not wait for the other.
_TABLES = """
    select pg_advisory_xact_lock(hashtext('census'));
    create schema if not exists census;
    create table if not exists census.survey (
        id         bigint      primary key,                 -- the run that surveyed
        root       text        not null,
        started_at timestamptz not null default now());
    create table if not exists census.module (
        survey     bigint      not null references census.survey,
        path       text        not null,
        task_id    bigint      not null,
        lines      integer,                                 -- null: not counted yet, or it does not parse
        functions  integer,
        classes    integer,
        branches   integer,
        primary key (survey, path));
    create table if not exists census.totals (
        survey     bigint      primary key references census.survey,
        modules    integer     not null,
        failed     integer     not null,
        lines      integer     not null,
        functions  integer     not null,
        classes    integer     not null,
        branches   integer     not null,
        took       interval    not null);
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a census found. `modules` counts all, `failed` those of them that do not parse."""

    survey: int
    modules: int
    failed: int
    lines: int
    functions: int
    classes: int
    branches: int


@cache
def pool(url: str) -> ConnectionPool[Connection]:
    """A few connections that all tasks of this process share; a block with one of them is one transaction."""
    return ConnectionPool(url, min_size=0, max_size=4, open=True, name="census")


def begin(connection: Connection, survey: int, root: str) -> bool:
    """Note that a survey began. Returns whether this is the first time it did."""
    connection.execute(_TABLES)
    added = connection.execute(
        "insert into census.survey (id, root) values (%s, %s) on conflict do nothing", (survey, root)
    )
    return added.rowcount == 1


def expect(connection: Connection, survey: int, tasks: Iterable[tuple[str, int]]) -> None:
    """Note which task counts which module: (path, task id)."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into census.module (survey, path, task_id) values (%s, %s, %s)",
            [(survey, path, task_id) for path, task_id in tasks],
        )


def note(connection: Connection, survey: int, path: str, counts: Counts) -> None:
    """Write down what a module holds."""
    connection.execute(
        "update census.module set lines = %s, functions = %s, classes = %s, branches = %s"
        " where survey = %s and path = %s",
        (*astuple(counts), survey, path),
    )


def open_modules(connection: Connection, survey: int) -> int:
    """How many modules are neither counted nor given up: the latter is what the engine's view says of their tasks."""
    row = connection.execute(
        """
        select count(*) from census.module m
         where m.survey = %s and m.lines is null and not exists (
               select from pgflow.task_state t
                where t.root_id = m.task_id and t.id = m.task_id and t.state in ('failed', 'cancelled'))
        """,
        (survey,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def add_up(connection: Connection, survey: int) -> Totals:
    """Write the totals and return them."""
    columns = ("modules", "failed", "lines", "functions", "classes", "branches")
    row = connection.execute(
        """
        insert into census.totals as t (survey, modules, failed, lines, functions, classes, branches, took)
        select s.id, count(*), count(*) - count(m.lines), coalesce(sum(m.lines), 0), coalesce(sum(m.functions), 0),
               coalesce(sum(m.classes), 0), coalesce(sum(m.branches), 0), now() - s.started_at
          from census.survey s join census.module m on m.survey = s.id where s.id = %s group by s.id
        on conflict (survey) do update set
               (modules, failed, lines, functions, classes, branches, took)
             = (excluded.modules, excluded.failed, excluded.lines, excluded.functions, excluded.classes,
                excluded.branches, excluded.took)
        returning modules, failed, lines, functions, classes, branches
        """,
        (survey,),
    ).fetchone()
    assert row is not None
    return Totals(survey, **dict(zip(columns, row, strict=True)))


def sentence(totals: Totals) -> str:
    """The totals in one line."""
    figures = {name: f"{value:,}" for name, value in asdict(totals).items()}
    return (
        "census {survey}: {modules} modules, {lines} lines, {functions} functions, {classes} classes, "
        "{branches} branches; {failed} modules do not parse"
    ).format(**{**figures, "survey": totals.survey})
