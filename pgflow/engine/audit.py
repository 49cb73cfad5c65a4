"""Audits: the queries for people in sql/audit, found by folder, each described by its own header.

    -- Guarantees: tasks that failed for good, newest first, with the error. More may be said here.
    -- Columns: task_id, run_id, name
    -- Parameters: since interval = '7 days', run bigint

The first sentence is the audit's purpose. A parameter without a default has to be given. A new file is a new audit,
with no code of its own.

They read the public views and the history in one statement each, so an answer is of one instant. A file runs in psql
as well: `pgflow audit NAME --sql | psql` has the values filled in, and from a checkout
`sed -E "s/%\\(([a-z_]+)\\)s/:'\\1'/g" sql/audit/NAME.sql | psql -v since='1 day' -v limit=20` sets them as variables.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from psycopg import sql

from pgflow.db.call import Call, Rows
from pgflow.db.statements import source, statement, stems
from pgflow.errors import ArgumentError, NotFound

Row = dict[str, Any]

_FOLDER = "sql/audit"
_PARAMETER = re.compile(r"(?P<name>[a-z_]+) (?P<type>[a-z][a-z0-9_ ]*(?:\[\])?)(?: = (?P<default>\S.*))?")
_LISTED = re.compile(r"(?:'[^']*'|[^,'])+")
_INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that an audit takes.

    Args:
        name: as in `since`.
        type: its SQL type, as in `interval`.
        default: as text; None when it has to be given.
    """

    name: str
    type: str
    default: str | None

    def check(self, text: str) -> str:
        """The value, or an ArgumentError. What only the database can judge is left to it."""
        limit = _INTEGERS.get(self.type)
        if limit is not None and not (re.fullmatch(r"[+-]?[0-9]{1,19}", text) and -limit <= int(text) < limit):
            raise ArgumentError(f"{self.name}={text} is no {self.type}")
        return text


@dataclass(frozen=True, slots=True)
class Audit:
    """A query for people.

    Args:
        name: the file's name.
        purpose: what it answers, in a sentence.
        columns: what each row has.
        parameters: what it takes.
    """

    name: str
    purpose: str
    columns: tuple[str, ...]
    parameters: tuple[Parameter, ...]

    def call(self, given: Mapping[str, str]) -> Call[list[Row]]:
        """The audit as a call; its rows are dictionaries by column.

        Raises:
            ArgumentError: a parameter is unknown, missing, or no number where one is needed.
        """

        def parse(rows: Rows) -> list[Row]:
            return [dict(zip(self.columns, row, strict=True)) for row in rows]

        return Call(f"audit/{self.name}", self._values(given), parse, literal=True)

    def text(self, given: Mapping[str, str], schema: str) -> str:
        """The audit as SQL to be run elsewhere, with the values in it."""
        values = {name: sql.Literal(value).as_string() for name, value in self._values(given).items()}
        return f"-- {self.name}: {self.purpose}\n{statement(f'audit/{self.name}', schema) % values};"

    def _values(self, given: Mapping[str, str]) -> dict[str, str]:
        names = [parameter.name for parameter in self.parameters]
        for name in given:
            if name not in names:
                takes = ", ".join(names) or "nothing"
                raise ArgumentError(f"the audit {self.name} has no parameter {name!r}", hint=f"it takes: {takes}")
        values = {}
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is None:
                example = f"pgflow audit {self.name} {parameter.name}=..."
                raise ArgumentError(f"the audit {self.name} needs a {parameter.name} ({parameter.type})", hint=example)
            values[parameter.name] = parameter.check(value)
        return values


def audits() -> list[Audit]:
    """Every audit there is, by name."""
    return [_read(name) for name in stems("sql", "audit")]


def audit(name: str) -> Audit:
    """The audit of that name.

    Raises:
        NotFound: there is none; the hint has those whose names are alike.
    """
    names = list(stems("sql", "audit"))
    if name not in names:
        close = difflib.get_close_matches(name, names, cutoff=0.6)
        meant = f"did you mean {' or '.join(close)}?" if close else "`pgflow audit` lists them"
        raise NotFound(f"there is no audit {name!r}", hint=meant)
    return _read(name)


def _read(name: str) -> Audit:
    text = source(_FOLDER, name)
    header = [line[2:].strip() for line in takewhile(lambda line: line.startswith("--"), text.splitlines())]
    prose = " ".join(takewhile(lambda line: not line.startswith(("Columns:", "Parameters:", "Index:")), header))
    purpose = re.split(r"(?<=[.])\s", prose.removeprefix("Guarantees:").strip())[0].rstrip(".")
    parameters = [] if _said(header, "Parameters") == "none" else _LISTED.findall(_said(header, "Parameters"))
    columns = [column.strip() for column in _said(header, "Columns").split(",")]
    return Audit(name, purpose, tuple(columns), tuple(_parameter(name, part.strip()) for part in parameters))


def _said(header: list[str], mark: str) -> str:
    lines = [line.removeprefix(f"{mark}:").strip().rstrip(",") for line in header if line.startswith(f"{mark}:")]
    return ", ".join(lines)


def _parameter(audit: str, text: str) -> Parameter:
    found = _PARAMETER.fullmatch(text)
    if found is None:
        raise ValueError(f"sql/audit/{audit}.sql: not `name type = default`: {text}")
    default = found["default"]
    return Parameter(found["name"], found["type"], None if default is None else default.strip("'"))
