"""The engine's own tasks: what it does in workers, with the retries, time-outs and history of every other task.

They are named `pgflow.<what>`, wait in the queue `pgflow`, which every worker serves, and do their work through the
same clients that users have. A module here has one task, and `register` enters it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pgflow.config import Settings
from pgflow.db.call import AsyncSession, Call
from pgflow.engine.subscriptions import QUEUE as DELIVERIES
from pgflow.nodes.library import Library
from pgflow.sdk.app import App
from pgflow.sdk.async_client import AsyncClient
from pgflow.sdk.secret import Vault
from pgflow.sdk.task import Task
from pgflow.tasks import backfill, bulk, deliver, emit, webhook, work

if TYPE_CHECKING:
    from pgflow.nodes.connections import Connections
    from pgflow.outbound.client import Outbound

T = TypeVar("T")

QUEUE = "pgflow"
QUEUES = (QUEUE, DELIVERIES)
"""What every worker serves. Deliveries wait apart, because their queue is limited per host."""


class OwnTasks:
    """The engine's own tasks, for one worker.

    Args:
        settings: the settings in force.

    Attributes:
        tasks: by name.
        client: what they ask the engine with; opened when first used.
        library: the definitions that are published.
        vault: secrets in clear.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = AsyncClient(settings)
        self._outbound: Outbound | None = None
        self._connections: Connections | None = None
        self.library = Library(self.run, self.client._drive)
        self.vault = Vault(settings, self.run)
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

    def outbound(self) -> Outbound:
        """What they call servers of others with; one for all, because it keeps connections.

        Raises:
            ConfigError: the operator's settings for it make no sense.
        """
        if self._outbound is None:
            from pgflow.outbound.client import Outbound

            self._outbound = Outbound.of(self.settings)
        return self._outbound

    def connections(self) -> Connections:
        """The databases that the operator has named for `sql` nodes, with the connections that are kept to them."""
        if self._connections is None:
            from pgflow.nodes.connections import Connections

            self._connections = Connections(self.settings)
        return self._connections

    async def close(self) -> None:
        """Close what was opened."""
        await self.library.close()
        await self.client.close()
        if self._connections is not None:
            self._connections.close()
        if self._outbound is not None:
            await self._outbound.close()


_MODULES: tuple[Any, ...] = (backfill, bulk, work, deliver, emit, webhook)
