"""The historian: reads the histories of workflows that are about to run, many in one statement."""

from __future__ import annotations

import asyncio
import random

from pgflow.config import Settings
from pgflow.db.failures import is_conflict, is_outage
from pgflow.engine import workflows
from pgflow.engine.workflows import HistoryRow
from pgflow.runtime.link import Link

MAX_TASKS = 200


class Historian:
    """Reads over one connection; whatever is asked for while a statement is under way goes into the next one."""

    def __init__(self, settings: Settings) -> None:
        self.link = Link(settings, "history", statement_timeout="60s")
        self._asked: dict[tuple[int, int], asyncio.Future[list[HistoryRow]]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def read(self, root_id: int, task_id: int) -> list[HistoryRow]:
        """The history of one task. An outage is waited out."""
        future: asyncio.Future[list[HistoryRow]] = asyncio.get_running_loop().create_future()
        self._asked[root_id, task_id] = future
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="pgflow-historian")
        return await future

    async def _read(self) -> None:
        failures = 0
        while self._asked:
            batch = dict(list(self._asked.items())[:MAX_TASKS])
            try:
                found = await self.link.run(workflows.history(list(batch)))
            except Exception as error:  # noqa: BLE001 (it is handed to whoever asked)
                if is_outage(error) or is_conflict(error):
                    failures += 1
                    await asyncio.sleep(min(1.0, 0.05 * 2.0 ** min(failures, 6)) * random.uniform(0.5, 1.0))
                    continue
                for key, future in batch.items():
                    self._asked.pop(key, None)
                    if not future.done():
                        future.set_exception(error)
                continue
            failures = 0
            for key, future in batch.items():
                if self._asked.get(key) is future:
                    del self._asked[key]
                if not future.done():
                    future.set_result(found.get(key[1], []))

    async def close(self) -> None:
        """Close the connection."""
        if self._reading is not None:
            self._reading.cancel()
        await self.link.close()
