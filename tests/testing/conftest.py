"""The fixtures that users get, on the server that the whole test session uses."""

from __future__ import annotations

import pytest

from pgflow.testing.plugin import pgflow_database, pgflow_engine, pgflow_template

__all__ = ["pgflow_database", "pgflow_engine", "pgflow_template"]


@pytest.fixture(scope="session")
def pgflow_server(server_url: str) -> str:
    """The session's server."""
    return server_url
