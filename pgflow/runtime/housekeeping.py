"""A duty of the leader, on a connection of its own: partitions made ahead, old history dropped, leftovers cleared.

Everything here is idempotent and harmless if two do it; slow, so never on the leader's connection. What is cleared away
row by row is cleared in short statements, one after the other with a rest between them, so that nobody waits for long;
as many as there is work for, so that nothing grows without bound, up to a million rows a table in one go.
"""

from __future__ import annotations

import asyncio

import structlog
from psycopg import errors as pg

from pgflow.config import Settings
from pgflow.db import partitions
from pgflow.db.call import Call
from pgflow.db.link import Link
from pgflow.engine import events, upkeep
from pgflow.errors import PermissionDenied
from pgflow.runtime.service import Service

log = structlog.get_logger("pgflow")

EVERY = 60.0
MOST_ROUNDS = 100
REST = 0.05
"""Seconds between two rounds, which are for others."""
PARTITIONS_A_RETENTION = 14
"""How many partitions one retention period is cut into: what is dropped is at most that fraction too old."""


class Housekeeping(Service):
    """Keeps the schema in order while its process leads."""

    name = "housekeeping"

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self.link = Link(settings, "housekeeping", direct=True, statement_timeout="120s", lock_timeout="2s")

    async def tick(self) -> float:
        """Do all of it once."""
        run = self.link.run
        await run(partitions.make())
        await run(upkeep.note_partitions())
        await run(upkeep.turn_partition(self._settings.retention / PARTITIONS_A_RETENTION))
        for partition in await run(upkeep.partitions()):
            if partition.idle is not None and partition.idle > self._settings.retention:
                await self._drop(partition)
        await run(events.summarize())
        for sweep in upkeep.sweeps(self._settings.retention, upkeep.SWEPT):
            await self._all(sweep)
        await self._all(upkeep.sweep_emissions(self._settings.event_retention, upkeep.SWEPT))
        return EVERY

    async def _all(self, some: Call[bool]) -> bool:
        """Do it until there is no more. Returns whether that came to pass."""
        for _ in range(MOST_ROUNDS):
            if not await self.link.run(some):
                return True
            await asyncio.sleep(REST)
        return False

    async def _drop(self, partition: upkeep.Partition) -> None:
        if not await self._all(upkeep.free_keys(partition, upkeep.SWEPT)):
            return  # the rest the next time; then it is dropped
        try:
            await partitions.drop(await self.link.connection(), self._settings.schema_name, partition.number)
            await self.link.run(upkeep.forget_partition(partition.lower))
            log.info("dropped old history", first_run=partition.lower, last_run=partition.upper - 1)
        except pg.LockNotAvailable:
            log.info("old history is in use; dropped later", first_run=partition.lower)
        except (pg.InsufficientPrivilege, PermissionDenied):
            log.warning(
                "old history was not dropped: this role does not own the schema",
                hint="let the scheduler connect as a member of the owner role",
            )

    async def stop(self) -> None:
        """Close the connection."""
        await self.link.close()
