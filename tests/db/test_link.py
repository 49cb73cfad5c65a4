"""A link is one connection, and whoever uses it beside another waits for his turn."""

from __future__ import annotations

import asyncio

from pgflow.config import Settings
from pgflow.db.link import Link
from pgflow.engine import leadership


async def test_single_calls_beside_transactions_on_one_link(database: Settings) -> None:
    link = Link(database, "test")

    async def singles() -> None:
        for _ in range(200):
            assert (await link.run(leadership.pulse())).pending is False

    async def together() -> None:
        for _ in range(200):
            answers = await link.run_together([leadership.pulse(), leadership.last_seq()])
            assert len(answers) == 2

    try:
        await asyncio.gather(singles(), together(), singles(), together())
    finally:
        await link.close()
