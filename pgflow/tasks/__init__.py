"""The engine's own tasks: what it does in workers, with the retries, time-outs and history of every other task.

They are named `pgflow.<what>`, wait in the queue `pgflow`, which every worker serves, and do their work through the
same clients that users have. A module here has one task, and `register` enters it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pgflow.config import Settings
from pgflow.db.call import AsyncSession, Call
from pgflow.sdk.app import App
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.task import Task
from pgflow.tasks import backfill, emit

T = TypeVar("T")

QUEUE = "pgflow"


class OwnTasks:
    """The engine's own tasks, for one worker.

    Args:
        settings: the settings in force.

    Attributes:
        tasks: by name.
        client: what they ask the engine with; opened when first used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = AsyncClient(settings)
        app = App(settings=settings)
        for module in _MODULES:
            module.register(app, self)
        self.tasks: Mapping[str, Task[..., Any]] = app.tasks

    async def run(self, call: Call[T]) -> T:
        """Run a verb of the engine in a transaction of its own."""
        return await self.client._run(call)

    async def run_together(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Run verbs in one transaction."""
        pool = await self.client._require_pool()
        async with pool.connection() as connection:
            return await AsyncSession(connection, self.settings.schema_name).run_together(calls)

    async def close(self) -> None:
        """Close what was opened."""
        await self.client.close()


_MODULES: tuple[Any, ...] = (backfill, emit)
