"""Statements as psycopg gets them."""

from __future__ import annotations

import pytest

from pgflow.db.statements import home, statement

NAMES = sorted(
    str(path.relative_to(home("sql")).with_suffix(""))
    for path in home("sql").glob("*/*.sql")
    if path.parent.name not in {"functions", "views"}
)


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_is_short_enough_for_psycopg_to_remember(name: str) -> None:
    """Its placeholders would be read anew at each call otherwise, which costs more than many a statement."""
    assert len(statement(name)) <= 4096
