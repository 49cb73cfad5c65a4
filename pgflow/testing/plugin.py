"""The fixtures that pytest offers wherever pgflow-engine is installed: a database and an engine for a test.

Which server, in this order: the one at `PGFLOW_TEST_DATABASE_URL`, where databases may be created; an embedded one, for
which `pgflow-engine[dev]` is needed. It is started when the first test asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from pgflow.config import Settings
    from pgflow.sdk.app import App
    from pgflow.testing.engine import LocalEngine


class Engines(Protocol):
    """Makes engines; see `pgflow_engine`."""

    def __call__(self, app: App, /, *, concurrency: int = 16, schedules: bool = False) -> LocalEngine: ...


@pytest.fixture(scope="session")
def pgflow_server() -> Iterator[str]:
    """The URL of the server that tests make their databases on."""
    from pgflow.testing.database import server

    with server() as url:
        yield url


@pytest.fixture(scope="session")
def pgflow_template(pgflow_server: str) -> Iterator[str]:
    """The name of a migrated database with a test clock, which tests copy."""
    from pgflow.testing.database import template

    with template(pgflow_server) as name:
        yield name


@pytest.fixture
def pgflow_database(pgflow_server: str, pgflow_template: str) -> Iterator[Settings]:
    """The settings of a migrated database of the test's own, with a clock that the test may move."""
    from pgflow.testing.database import database

    with database(pgflow_server, pgflow_template) as settings:
        yield settings


@pytest.fixture
def pgflow_engine(pgflow_database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engines]:
    """`engine = pgflow_engine(app)`: the engine in the test's own process and database, which skips time.

    While the test lasts, `app.client()` leads to the same database.
    """
    from pgflow.testing.engine import LocalEngine

    made: list[LocalEngine] = []

    def make(app: App, /, *, concurrency: int = 16, schedules: bool = False) -> LocalEngine:
        monkeypatch.setattr(app, "_settings", pgflow_database)
        engine = LocalEngine(app, pgflow_database, concurrency=concurrency, schedules=schedules)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.finish()
