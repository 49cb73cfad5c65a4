"""Publishing, drafts and starting, on the real database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgflow.config import Settings
from pgflow.nodes.publishing import Workflows
from pgflow.sdk.client import Client
from tests.fixtures.database import Engine

NOOP = {"type": "noop"}


@pytest.fixture
def workflows(database: Settings) -> Iterator[Workflows]:
    with Client(database, actor="ann") as client:
        yield Workflows(client)


def test_smoke(workflows: Workflows, engine: Engine) -> None:
    done = workflows.publish(
        {"name": "w", "nodes": {"a": NOOP}, "triggers": [{"cron": "0 6 * * *"}, {"webhook": {}}, {"event": "x"}]}
    )
    print(done)
    print(workflows.publish({"name": "w", "nodes": {"a": NOOP}}))
    print(workflows.list(), workflows.versions("w"), workflows.diff("w", 1))
    print(workflows.export("w", 1))
    print(workflows.save_draft("w", {"name": "w", "nodes": {"a": NOOP, "b": NOOP}}))
    print(workflows.publish_draft("w"))
    print(workflows.start("w", {"x": 1}))
    print(workflows.list())
    assert 0
