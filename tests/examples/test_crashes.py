"""Every workflow of the examples stands its worker's death right before and right after each of its commits."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pgflow.sdk.task import Task
from pgflow.testing import crash_everywhere
from pgflow.testing.plugin import Engines, pgflow_database, pgflow_engine, pgflow_template

__all__ = ["pgflow_database", "pgflow_engine", "pgflow_template"]

Tasks = dict[str, Task[..., Any]]
ITS_OWN = re.compile(r'[0-9a-f]{8}-[0-9a-f-]{27}|PF\d+|pgflow-\d+|your order \d+|(?<="number":)\d+')
"""What each run has for itself: ids made of the run's."""


@pytest.fixture(scope="session")
def pgflow_server(server_url: str) -> str:
    """The session's server."""
    return server_url


def without_its_own(value: Any) -> Any:
    """A result without what is each run's own."""
    return ITS_OWN.sub("#", json.dumps(value, default=str, separators=(",", ":"), sort_keys=True))


@pytest.mark.parametrize("answer", [[{"by": "Ann"}], []], ids=["confirmed", "expired"])
async def test_the_sign_up(pgflow_engine: Engines, tasks: Tasks, answer: list[Any]) -> None:
    import signup

    report = await crash_everywhere(
        pgflow_engine(signup.app), signup.signup, signup.User(email="ann@example.com"),
        signals={"confirmed": answer}, normal=without_its_own,
    )  # fmt: skip
    assert report.checkpoints >= 8


@pytest.mark.parametrize("card", ["4111 1111 1111 1111", "4111 1111 1111 0000"], ids=["shipped", "declined"])
async def test_the_order(pgflow_engine: Engines, tasks: Tasks, card: str) -> None:
    import order

    report = await crash_everywhere(
        pgflow_engine(order.app), order.order, order.Order("tea", 1, card), normal=without_its_own
    )
    assert report.checkpoints >= 5


async def test_the_crawler(pgflow_engine: Engines, tasks: Tasks) -> None:
    from crawler import site
    from crawler.tasks import app

    texts = site.pages(6)
    with site.served(texts) as url:
        report = await crash_everywhere(pgflow_engine(app), tasks["crawler.crawl"], url)
    assert report.checkpoints >= 5
