"""Audits on a connection as a person would have it: without the engine's planner settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import psycopg
import pytest

from pgflow.config import Settings
from pgflow.db.call import Session
from pgflow.engine.audit import audit


class Ask(Protocol):
    def __call__(self, name: str, /, **given: object) -> list[dict[str, Any]]: ...


@pytest.fixture
def connection(database: Settings) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.require_url(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def ask(connection: psycopg.Connection[Any]) -> Ask:
    """`ask("dead_letters", limit=5)` runs an audit."""

    def run(name: str, /, **given: object) -> list[dict[str, Any]]:
        return Session(connection).run(audit(name).call({key: str(value) for key, value in given.items()}))

    return run
